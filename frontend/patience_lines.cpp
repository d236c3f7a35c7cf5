// Lines that wait for a metric to become better: `stop when no better(..)`, `slow loss by 0.5 when no better(..)`.
#include <fmt/format.h>

#include <algorithm>

#include "frontend/evaluator.h"
#include "frontend/shapes.h"
#include "frontend/step_lines.h"
#include "frontend/train_section.h"
#include "ir/experiment.h"
#include "ir/support/suggest.h"

namespace smelt::frontend {

/// The split on which the train section first evaluates a metric; an error when it never does.
std::string TrainSection::split_of_evaluated(const ast::Ident& metric) const {
  for (const ast::TrainItem& item : train_->items) {
    const auto* every = std::get_if<ast::EveryItem>(&item.node);
    if (every == nullptr) continue;
    for (const ast::Action& other : every->actions) {
      const auto* eval = std::get_if<ast::EvalAction>(&other.node);
      if (eval != nullptr && std::ranges::find(eval->names, metric.text, &ast::Ident::text) != eval->names.end())
        return eval->split.text;
    }
  }
  const std::vector<std::string> names = eval_names();
  const bool known = std::ranges::find(names, metric.text) != names.end();
  diagnostics_
      .report(Diag::E0606, metric.span,
              known ? fmt::format("`{}` is not evaluated", metric.text)
                    : fmt::format("no objective or metric `{}`", printable(metric.text)))
      .with_help(known ? fmt::format("write `every 1 epoch {{ eval valid: {} }}`", metric.text)
                       : did_you_mean(metric.text, names));
  return {};
}

/// no better(min loss, 5); `what` happens then, for messages.
Patience TrainSection::patience_of(const ast::Ident& direction, const ast::Ident& metric, ast::ExprId evaluations,
                                   std::string_view what) {
  const Span span = scopes_.span_of(evaluations);
  const std::optional<int64_t> count =
      shapes_.expect_integer(evaluator_.eval(evaluations), span, "the number of evaluations");
  if (count && *count < 1)
    diagnostics_.report(Diag::E0503, span,
                        fmt::format("{} after {} evaluations; it has to be at least 1", what, *count));
  return {metric.text, split_of_evaluated(metric), direction.text == "max", count.value_or(1)};
}

// stop when no better(min loss, 5)
void TrainSection::stop_without_progress(const ast::StopItem& item) {
  experiment_.train.patience =
      patience_of(item.best_direction, item.best_metric, item.evaluations, "training would stop");
}

// slow loss by 0.5 when no better(min loss, 5)
void TrainSection::slow_line(const ast::SlowItem& item) {
  const int32_t objective = step_lines_.find_objective(item.objective.text);
  if (objective < 0 || !step_lines_.has_line(static_cast<size_t>(objective))) {
    std::vector<std::string> names;
    for (size_t i = 0; i < experiment_.objectives.size(); ++i)
      if (step_lines_.has_line(i)) names.push_back(experiment_.objectives[i].name);
    diagnostics_
        .report(Diag::E0606, item.objective.span, fmt::format("no step line `{}`", printable(item.objective.text)))
        .with_help(did_you_mean(item.objective.text, names));
    return;
  }
  if (!step_lines_.has_rate(static_cast<size_t>(objective))) {
    diagnostics_
        .report(Diag::E0607, item.objective.span,
                fmt::format("no optimiser of the step line `{}` has a rate", item.objective.text))
        .with_help("what falls is the parameter `lr` of an optimiser: `optimiser mine(lr, ..) for (p, g, t) { .. }`");
    return;
  }
  const Span span = scopes_.span_of(item.factor);
  const Value value = evaluator_.eval(item.factor);
  const std::optional<double> factor = shapes_.number_of(value);
  if (!value.bad() && (!factor || *factor <= 0 || *factor >= 1))
    diagnostics_.report(Diag::E0503, span,
                        fmt::format("the rate is multiplied by {}; it has to be a number above 0 and below 1",
                                    factor ? fmt::format("{}", *factor) : shapes_.describe(value)));
  experiment_.train.slow.push_back(
      {slow_scalar(item.objective.text), factor.value_or(1),
       patience_of(item.best_direction, item.best_metric, item.evaluations, "the rate would fall")});
}

}  // namespace smelt::frontend
