#include "frontend/selectors.h"

#include <fmt/format.h>

#include "frontend/evaluator.h"
#include "frontend/foreign_words.h"
#include "ir/support/suggest.h"

namespace smelt::frontend {

namespace {

/// `*` in the pattern matches any characters of one segment.
bool match_segment(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern[0] != '*')
    return !text.empty() && pattern[0] == text[0] && match_segment(pattern.substr(1), text.substr(1));
  return match_segment(pattern.substr(1), text) || (!text.empty() && match_segment(pattern, text.substr(1)));
}

std::pair<std::string_view, std::string_view> first_segment(std::string_view path) {
  const size_t dot = path.find('.');
  if (dot == std::string_view::npos) return {path, {}};
  return {path.substr(0, dot), path.substr(dot + 1)};
}

/// Segments one by one; `**` matches zero or more of them. A pattern that ends early selects everything
/// below.
bool match_path(std::string_view pattern, std::string_view path) {
  if (pattern.empty()) return true;
  const auto [head, tail] = first_segment(pattern);
  if (head == "**") return match_path(tail, path) || (!path.empty() && match_path(pattern, first_segment(path).second));
  if (path.empty()) return false;
  const auto [segment, rest] = first_segment(path);
  return match_segment(head, segment) && match_path(tail, rest);
}

}  // namespace

bool Selectors::selector_path(ast::ExprId id, std::string& path) {
  if (const auto* name = scopes_.ast().as<ast::NameExpr>(id)) {
    const auto [scope, decl] = scopes_.find_decl(*scopes_.frame().scope, name->name);
    const bool has_parameters =
        std::holds_alternative<const ast::ModelDecl*>(decl) || std::holds_alternative<const ast::EmaItem*>(decl);
    if (scopes_.find_local(name->name) != nullptr || !has_parameters) return false;
    path = name->name;
    return true;
  }
  const auto* member = scopes_.ast().as<ast::MemberExpr>(id);
  if (member == nullptr || !selector_path(member->base, path)) return false;
  path += "." + member->name.text;
  return true;
}

/// The variables a selector matches; none is an error once all models have been seen.
std::optional<Selector> Selectors::matching(ast::ExprId id) {
  Selector selector;
  if (!selector_path(id, selector.text)) {
    const Value value = scopes_.ast().as<ast::NameExpr>(id) != nullptr ? evaluator_.eval(id) : Value();
    if (scopes_.ast().as<ast::NameExpr>(id) == nullptr || !value.bad()) {
      diagnostics_.report(Diag::E0307, scopes_.span_of(id), "expected a model or parameters of one")
          .with_help("write `net`, `net.fc1` or `net.**.W`");
    }
    return std::nullopt;
  }
  const std::string_view tail =
      std::string_view(selector.text).substr(std::min(selector.text.size(), selector.text.rfind('.') + 1));
  for (size_t i = 0; i < experiment_.variables.size(); ++i) {
    const Variable& variable = experiment_.variables[i];
    if (variable.kind != VariableKind::Param && variable.kind != VariableKind::State) continue;
    if (!match_path(selector.text, variable.path)) continue;
    // `net.**.W` ends in a name: it selects variables of that name, not what lies below it.
    if (selector.text.find("**.") != std::string::npos &&
        !match_segment(tail == "**" ? "*" : tail, variable.path.substr(variable.path.rfind('.') + 1)))
      continue;
    selector.variables.push_back(static_cast<int32_t>(i));
    selector.exact = selector.exact || variable.path == selector.text;
  }
  if (!selector.variables.empty() || graph_.context().trial) return selector;
  const std::string model = selector.text.substr(0, selector.text.find('.'));
  std::vector<std::string> some, of_model;
  for (const Variable& variable : experiment_.variables) {
    if (variable.kind != VariableKind::Param) continue;
    if (some.size() < 4) some.push_back(variable.path);
    if (variable.path.starts_with(model + ".")) of_model.push_back(variable.path);
  }
  auto& diagnostic =
      diagnostics_.report(Diag::E0307, scopes_.span_of(id), fmt::format("`{}` matches no parameter", selector.text));
  if (!some.empty())
    diagnostic.note(fmt::format("there are {}{}", fmt::join(some, ", "), some.size() == 4 ? ", .." : ""));
  diagnostic.with_help(of_model.empty()
                           ? fmt::format("`{0}` gets its parameters where it is applied, as by `{0}(x)`, and nothing "
                                         "that runs applies it",
                                         printable(model))
                           : did_you_mean(selector.text, of_model));
  return std::nullopt;
}

std::optional<Selector> Selectors::eval_selector(ast::ExprId id) {
  const std::optional<Selector> selector = matching(id);
  if (!selector || selector->variables.empty()) return selector;
  const Variable& variable = experiment_.variables[static_cast<size_t>(selector->variables[0])];
  if (variable.average_of.empty()) return selector;
  const std::string model = variable.average_of.substr(0, variable.average_of.find('.'));
  diagnostics_
      .report(Diag::E0307, scopes_.span_of(id),
              fmt::format("`{}` is of an average of `{}`, which no optimiser changes", selector->text, model))
      .with_help(fmt::format("select `{}`: each of its updates moves the average", model));
  return std::nullopt;
}

/// What a dot may be meant for that selects nothing.
static std::string help_for_member(const Value& base, const std::string& member) {
  if (base.as<Distribution>() != nullptr)
    return "`mean_of(q)` is the mean of a distribution; what else it is made of has names before: `m = ..`, then "
           "`Normal(mean = m, ..)`";
  if (std::string meant = help_for_foreign_name(member); !meant.empty()) return meant;
  if (base.as<TupleValue>() != nullptr) return "a tuple is taken apart by names: `(a, b) = ..`";
  return "a dot selects parameters of a model, `net.fc1.W`; functions are applied, `sum(x)` or `x |> sum`, and sizes "
         "are dims";
}

/// `book.E` is a parameter's value where a tensor is needed, and a selector for `l2(..)` and `updates`.
Value Selectors::member_value(ast::ExprId id, const Naming& naming) {
  std::string path;
  if (!selector_path(id, path)) {
    const Value base = evaluator_.eval(scopes_.ast().as<ast::MemberExpr>(id)->base, naming);
    const std::string& member = scopes_.ast().as<ast::MemberExpr>(id)->name.text;
    if (!base.bad())
      diagnostics_
          .report(Diag::E0403, scopes_.span_of(id),
                  fmt::format("{} has no member `{}`", shapes_.describe(base), member))
          .with_help(help_for_member(base, member));
    return {};
  }
  const std::optional<Selector> selector = matching(id);
  // What a mistake before this kept from being applied has no parameters yet: one mistake is one error.
  if (!selector || (selector->variables.empty() && diagnostics_.has_errors())) return {};
  return *selector;
}

}  // namespace smelt::frontend
