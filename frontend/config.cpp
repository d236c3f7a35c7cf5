// Config entries: their values, and those that `--set` replaces.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "frontend/evaluator.h"
#include "frontend/names.h"
#include "ir/support/suggest.h"

namespace smelt::frontend {

Value Names::config_value(const ast::ConfigDecl& decl) {
  if (const auto set = config_.find(decl.name.text); set != config_.end()) return set->second;
  return global(decl.name.text, decl.name.span, [&]() -> Value {
    Value value = evaluator_.eval(decl.value);
    if (const auto* dim = value.as<DimValue>()) {
      if (const auto n = shapes_.number_of(*dim)) value = static_cast<int64_t>(*n);
    }
    if (value.as<int64_t>() || value.as<double>() || value.as<bool>() || value.as<std::string>() || value.bad())
      return value;
    diagnostics_.report(
        Diag::E0502, scopes_.span_of(decl.value),
        fmt::format("a config entry is a number, a boolean or a string, not {}", shapes_.describe(value)));
    return {};
  });
}

namespace {

/// The text of `--set` as a value of the default's type.
std::optional<Value> parse_setting(const std::string& text, const Value& like) {
  const char* const end = text.data() + text.size();
  if (like.as<bool>()) {
    if (text == "true" || text == "false") return Value(text == "true");
    return std::nullopt;
  }
  if (like.as<std::string>()) return Value(text);
  if (like.as<int64_t>()) {
    int64_t whole = 0;
    const auto [at, problem] = std::from_chars(text.data(), end, whole);
    return problem == std::errc() && at == end ? std::optional<Value>(whole) : std::nullopt;
  }
  double number = 0;
  const auto [at, problem] = std::from_chars(text.data(), end, number);
  return problem == std::errc() && at == end ? std::optional<Value>(number) : std::nullopt;
}

std::string_view expected_of(const Value& standard) {
  if (standard.as<bool>()) return "`true` or `false`";
  return standard.as<int64_t>() ? "a whole number" : "a number";
}

/// What may be meant by a fraction where the default is whole.
std::string help_for_setting(const std::string& name, const std::string& text, const Value& standard) {
  const bool is_number = parse_setting(text, Value(0.0)).has_value();
  if (standard.as<int64_t>() == nullptr || !is_number) return {};
  return fmt::format("its default has no point: `config {} = {}.0` takes fractions", name, *standard.as<int64_t>());
}

std::string setting_text(const Value& value) {
  if (const auto* whole = value.as<int64_t>()) return fmt::format("{}", *whole);
  if (const auto* number = value.as<double>()) return fmt::format("{}", *number);
  if (const auto* flag = value.as<bool>()) return *flag ? "true" : "false";
  if (const auto* text = value.as<std::string>()) return *text;
  return {};
}

}  // namespace

void Names::set_config() {
  std::vector<std::string> names;
  for (const ast::ConfigDecl& decl : file_.ast.configs) names.push_back(decl.name.text);
  for (const auto& [name, text] : options_.config) {
    const auto decl = std::ranges::find(file_.ast.configs, name, [](const ast::ConfigDecl& d) { return d.name.text; });
    if (decl == file_.ast.configs.end()) {
      std::string help = did_you_mean(name, names);
      if (help.empty())
        help = names.empty() ? "the file has no `config`" : fmt::format("the file has {}", fmt::join(names, ", "));
      diagnostics_.report(Diag::E0310, {}, fmt::format("`--set {}` names no config entry", printable(name)))
          .with_help(std::move(help));
      continue;
    }
    const Value standard = config_value(*decl);
    const std::optional<Value> value = parse_setting(text, standard);
    if (value)
      config_[name] = *value;
    else if (!standard.bad()) {
      diagnostics_
          .report(Diag::E0310, decl->name.span,
                  fmt::format("`--set {}={}` is not {}", name, printable(text), expected_of(standard)))
          .caret(fmt::format("default {}", setting_text(standard)))
          .with_help(help_for_setting(name, text, standard));
    }
  }
  for (const ast::ConfigDecl& decl : file_.ast.configs) {
    experiment_.config.push_back({decl.name.text, setting_text(config_value(decl))});
  }
}

}  // namespace smelt::frontend
