// Step lines: which optimisers with which options. What they do to parameters is in step_updates.cpp.
#include "frontend/step_lines.h"

#include <fmt/format.h>

#include <algorithm>

#include "frontend/evaluator.h"
#include "frontend/foreign_words.h"
#include "frontend/line_forms.h"
#include "frontend/number_ranges.h"
#include "frontend/selectors.h"
#include "ir/example_axis.h"
#include "ir/support/suggest.h"

namespace smelt::frontend {

namespace {

/// Those of the whole line, which stand with its first optimiser.
constexpr std::string_view kLineOptions[] = {"clip_norm", "clip_value", "accumulate"};

/// Options that change nothing without another one.
struct Dependent {
  std::string_view option, needs, otherwise;
};
constexpr Dependent kDependent[] = {
    {"nesterov", "momentum", "`nesterov` is a form of momentum"},
    {"decay", "weight_decay", "`decay` says which parameters `weight_decay` shrinks"},
};

}  // namespace

void StepLines::check_option_ranges(const std::string& name, double value, Span span) {
  if (const NumberRange* broken = broken_range(kStepLine, name, value))
    diagnostics_.report(Diag::E0503, span, fmt::format("`{}` is {}; it has to be {}", name, value, broken->text));
}

int32_t StepLines::find_objective(std::string_view name) const {
  const auto found = std::ranges::find(experiment_.objectives, name, &Objective::name);
  return found == experiment_.objectives.end() ? -1 : static_cast<int32_t>(found - experiment_.objectives.begin());
}

std::string help_for_objective(const std::string& name, const std::vector<std::string>& known) {
  std::string near = did_you_mean(name, known);
  return near.empty() ? fmt::format("declare it: `objective {}(..) updates .. {{ .. }}`", printable(name)) : near;
}

void StepLines::read_step_lines() {
  lines_.resize(experiment_.objectives.size());
  const ast::TrainDecl* const train = train_section(file_);
  if (train == nullptr) return;
  for (const ast::TrainItem& item : train->items) {
    const auto* step = std::get_if<ast::StepItem>(&item.node);
    if (step == nullptr) continue;
    const int32_t index = find_objective(step->objective.text);
    if (index < 0) {
      std::vector<std::string> names;
      for (const Objective& o : experiment_.objectives) names.push_back(o.name);
      diagnostics_
          .report(Diag::E0606, step->objective.span, fmt::format("no objective `{}`", printable(step->objective.text)))
          .with_help(help_for_objective(step->objective.text, names));
      continue;
    }
    StepLine& line = lines_[static_cast<size_t>(index)];
    if (line.item != nullptr) {
      diagnostics_
          .report(Diag::E0605, step->objective.span,
                  fmt::format("objective `{}` has two step lines", step->objective.text))
          .label(line.span, "first here");
      continue;
    }
    line.item = step;
    line.span = item.span;
    line.optimisers.push_back({.expr = step->optimiser});
    for (const ast::StepGroup& group : step->groups)
      line.optimisers.push_back({.expr = group.optimiser, .selector = group.selector});
    for (size_t i = 0; i < line.optimisers.size(); ++i) {
      if (i > 0) line.optimisers[i].prefix = fmt::format("{}.", i + 1);
      read_optimiser(line.optimisers[i]);
    }
  }
  for (const ast::TrainItem& item : train->items)
    if (const auto* loop = std::get_if<ast::LoopItem>(&item.node)) read_together(*loop);
}

// loop { together { d_loss; g_loss } }
void StepLines::read_together(const ast::LoopItem& loop) {
  std::map<int32_t, Span> seen;
  for (const ast::LoopGroup& group : loop.groups) {
    std::vector<size_t> members;
    for (const ast::LoopEntry& entry : group.entries) {
      const int32_t index = find_objective(entry.objective.text);
      if (index < 0 || !has_line(static_cast<size_t>(index))) continue;  // TrainSection tells
      const auto [first, fresh] = seen.try_emplace(index, entry.objective.span);
      if (!fresh && (group.together || leader_of(static_cast<size_t>(index)) != static_cast<size_t>(index) ||
                     std::ranges::any_of(together_, [&](const auto& g) { return g[0] == static_cast<size_t>(index); })))
        diagnostics_
            .report(Diag::E0605, entry.objective.span,
                    fmt::format("`{}` runs together with others, and so once in the loop", entry.objective.text))
            .label(first->second, "first here");
      if (group.together && entry.times.valid())
        diagnostics_.report(Diag::E0605, scopes_.span_of(entry.times), "what runs together runs once")
            .with_help("take the number away, or take the objective out of `together`");
      members.push_back(static_cast<size_t>(index));
    }
    if (group.together && !members.empty()) together_.push_back(std::move(members));
  }
}

bool StepLines::has_rate(size_t objective) const {
  return std::ranges::any_of(lines_[objective].optimisers, [](const StepOptimiser& optimiser) {
    return optimiser.decl == nullptr ||
           std::ranges::any_of(optimiser.decl->params, [](const ast::Param& param) { return param.name.text == "lr"; });
  });
}

size_t StepLines::leader_of(size_t objective) const {
  for (const std::vector<size_t>& group : together_)
    if (std::ranges::find(group, objective) != group.end()) return group[0];
  return objective;
}

std::vector<size_t> StepLines::members(size_t leader) const {
  for (const std::vector<size_t>& group : together_)
    if (group[0] == leader) return group;
  return {leader};
}

/// Of the library, then of the file.
std::vector<std::string> StepLines::optimiser_names() const {
  std::vector<std::string> names;
  const auto add = [&](const FileScope& scope) {
    for (const ast::OptimiserDecl& decl : scope.ast.optimisers) names.push_back(decl.name.text);
  };
  if (const FileScope* library = library_.find_file("optim")) add(*library);
  add(file_);
  return names;
}

/// Warns about what is written on the line and has no effect.
void StepLines::check_dependent_options(const StepOptimiser& optimiser, std::string_view called) {
  for (const Dependent& dependent : kDependent) {
    const auto given = optimiser.options.find(std::string(dependent.option));
    if (given == optimiser.options.end() || optimiser.options.contains(std::string(dependent.needs))) continue;
    const auto* value = file_.ast.as<ast::NameExpr>(given->second);
    if (value != nullptr && value->name == "false") continue;
    const auto& params = optimiser.decl->params;
    const auto needed =
        std::ranges::find(params, dependent.needs, [](const ast::Param& p) { return std::string_view(p.name.text); });
    const bool exists = needed != params.end();
    if (exists) {  // by a default, it has an effect
      const auto* standard = optimiser.scope->ast.as<ast::NameExpr>(needed->default_value);
      if (standard == nullptr || standard->name != "none") continue;
    }
    diagnostics_
        .report(Diag::W0006, scopes_.span_of(given->second),
                fmt::format("`{}` has no effect without `{}`", dependent.option, dependent.needs))
        .note(std::string(dependent.otherwise))
        .with_help(exists ? fmt::format("add `{} = ..`, or remove `{}`", dependent.needs, dependent.option)
                          : fmt::format("`{}` has no `{}`: remove `{}`", called, dependent.needs, dependent.option));
  }
}

void StepLines::read_optimiser(StepOptimiser& line) {
  const Span span = file_.ast[line.expr].span;
  const auto* call = file_.ast.as<ast::CallExpr>(line.expr);
  const auto* name = file_.ast.as<ast::NameExpr>(call != nullptr ? call->callee : line.expr);
  const auto [scope, decl] =
      name != nullptr ? scopes_.find_decl(file_, name->name) : std::pair<const FileScope*, Decl>{};
  const auto* optimiser = std::get_if<const ast::OptimiserDecl*>(&decl);
  if (optimiser == nullptr) {
    const std::vector<std::string> known = optimiser_names();
    std::string help = name != nullptr ? did_you_mean(name->name, known) : "";
    diagnostics_
        .report(
            Diag::E0607, span,
            name != nullptr ? fmt::format("`{}` is not an optimiser", printable(name->name)) : "expected an optimiser")
        .with_help(help.empty() ? fmt::format("there are {}", fmt::join(known, ", ")) : help);
    return;
  }
  line.scope = scope;
  line.span = span;
  std::vector<std::string> names;
  for (const LineForm& common : kStepOptions) names.emplace_back(common.word);
  for (const ast::Param& param : (*optimiser)->params) names.push_back(param.name.text);
  size_t position = 0;
  for (const ast::Arg& arg : call != nullptr ? call->args : std::vector<ast::Arg>{}) {
    const Span where = arg.name.empty() ? file_.ast[arg.value].span : arg.name.span;
    std::string option = arg.name.text;
    if (option.empty() && position < (*optimiser)->params.size()) option = (*optimiser)->params[position++].name.text;
    if (std::ranges::find(names, option) == names.end()) {
      diagnostics_.report(Diag::E0401, where, fmt::format("`{}` has no option `{}`", name->name, printable(option)))
          .note(fmt::format("it has {}", fmt::join(names, ", ")))
          .with_help(help_for_option(option, names));
    } else if (line.selector.valid() && std::ranges::find(kLineOptions, option) != std::end(kLineOptions)) {
      diagnostics_.report(Diag::E0401, where, fmt::format("`{}` holds for the whole step line", option))
          .with_help("write it with the first optimiser of the line");
    } else if (!line.options.emplace(option, arg.value).second) {
      diagnostics_.report(Diag::E0401, where, fmt::format("option `{}` is given twice", option));
    }
  }
  for (const ast::Param& param : (*optimiser)->params) {
    if (param.default_value.valid() || line.options.contains(param.name.text)) continue;
    diagnostics_.report(Diag::E0401, span, fmt::format("`{}` lacks `{}`", name->name, param.name.text))
        .with_help(fmt::format("write `{}({} = ..)`", name->name, param.name.text));
    return;
  }
  line.decl = *optimiser;
  check_dependent_options(line, name->name);
}

}  // namespace smelt::frontend
