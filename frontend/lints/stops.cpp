// What a run never reaches: a condition that cannot hold, a patience for more evaluations than there are, an update
// behind its last step.
#include <fmt/format.h>

#include <algorithm>

#include "frontend/lints/lint.h"
#include "frontend/step_lines.h"
#include "ir/experiment.h"

namespace smelt::frontend {

namespace {

/// Whether a value is at least 0, as far as its operations tell.
bool at_least_zero(const Graph& graph, NodeId id, int depth = 0) {
  constexpr int kDeepest = 32;
  if (depth > kDeepest) return false;
  const Node& node = graph[id];
  const auto operand = [&](size_t k) { return at_least_zero(graph, node.inputs[k], depth + 1); };
  switch (node.op) {
    case OpKind::Square:
    case OpKind::Abs:
    case OpKind::Exp:
    case OpKind::Sqrt:
    case OpKind::Softplus:
    case OpKind::Sigmoid:
    case OpKind::Relu:
    case OpKind::Extent:
    case OpKind::Softmax: return true;
    case OpKind::Constant: {
      const AttrValue* value = node.attrs.find("value");
      const auto* number = value != nullptr ? std::get_if<double>(value) : nullptr;
      return number != nullptr && *number >= 0;
    }
    case OpKind::Pow: {
      const Node* power = &graph[node.inputs[1]];
      while (power->op == OpKind::Broadcast || power->op == OpKind::Cast) power = &graph[power->inputs[0]];
      const AttrValue* value = power->op == OpKind::Constant ? power->attrs.find("value") : nullptr;
      const auto* number = value != nullptr ? std::get_if<double>(value) : nullptr;
      return (number != nullptr && *number == 2) || operand(0);
    }
    case OpKind::Mul: return node.inputs[0] == node.inputs[1] || (operand(0) && operand(1));
    case OpKind::Add:
    case OpKind::Div:
    case OpKind::Min: return operand(0) && operand(1);
    case OpKind::Max: return operand(0) || operand(1);
    case OpKind::ReduceSum:
    case OpKind::ReduceMax:
    case OpKind::ReduceMin:
    case OpKind::Broadcast:
    case OpKind::Reshape:
    case OpKind::Transpose:
    case OpKind::Slice:
    case OpKind::Cast:
    case OpKind::Stop: return operand(0);
    default: return false;
  }
}

class Condition {
 public:
  Condition(const LintInput& input, const Graph& graph) : input_(input), graph_(graph) {}

  /// Why it never holds; empty when it may.
  std::string never(NodeId id) const {
    const Node& node = graph_[id];
    if (node.op == OpKind::Constant) return is_false(node) ? "it is always false" : std::string();
    if (node.op == OpKind::Or) {
      const std::string left = never(node.inputs[0]);
      return left.empty() || never(node.inputs[1]).empty() ? std::string() : left;
    }
    if (node.op == OpKind::And) {
      const std::string left = never(node.inputs[0]);
      return left.empty() ? never(node.inputs[1]) : left;
    }
    for (const NodeId operand : node.inputs) {
      const std::optional<size_t> objective = objective_of(operand);
      if (objective && !runs(*objective))
        return fmt::format("the train section does not run `{}`", input_.experiment.objectives[*objective].name);
    }
    if (node.op == OpKind::Lt || node.op == OpKind::Le) return below_least(node.inputs[0], node.inputs[1], node.op);
    if (node.op == OpKind::Gt || node.op == OpKind::Ge)
      return below_least(node.inputs[1], node.inputs[0], node.op == OpKind::Gt ? OpKind::Lt : OpKind::Le);
    return {};
  }

 private:
  static bool is_false(const Node& node) {
    const AttrValue* value = node.attrs.find("value");
    const auto* number = value != nullptr ? std::get_if<double>(value) : nullptr;
    return number != nullptr && *number == 0;
  }

  std::optional<size_t> objective_of(NodeId id) const {
    while (graph_[id].op == OpKind::Cast || graph_[id].op == OpKind::Broadcast) id = graph_[id].inputs[0];
    for (const Argument& argument : graph_.arguments) {
      if (argument.node != id || argument.role != ArgRole::Scalar) continue;
      const ScalarInput& scalar = input_.experiment.scalars[static_cast<size_t>(argument.ref)];
      if (scalar.kind == ScalarKind::Loss) return static_cast<size_t>(scalar.ref);
    }
    return std::nullopt;
  }

  bool runs(size_t objective) const {
    const auto& loop = input_.experiment.train.loop;
    return std::ranges::any_of(loop, [&](const LoopItem& item) {
      return std::ranges::find(item.objectives, static_cast<int32_t>(objective)) != item.objectives.end();
    });
  }

  /// `loss < bound` of a loss that is at least 0.
  std::string below_least(NodeId loss, NodeId bound, OpKind how) const {
    const std::optional<size_t> objective = objective_of(loss);
    const FunctionContext* function = objective ? input_.loss_of(*objective) : nullptr;
    if (function == nullptr) return {};
    while (graph_[bound].op == OpKind::Cast || graph_[bound].op == OpKind::Broadcast) bound = graph_[bound].inputs[0];
    const AttrValue* value = graph_[bound].op == OpKind::Constant ? graph_[bound].attrs.find("value") : nullptr;
    const auto* number = value != nullptr ? std::get_if<double>(value) : nullptr;
    if (number == nullptr || *number > 0 || (*number == 0 && how == OpKind::Le)) return {};
    for (const Output& output : function->function.graph.results) {
      if (output.role == ResultRole::Loss && at_least_zero(function->function.graph, output.node))
        return fmt::format("the loss of `{}` is at least 0", input_.experiment.objectives[*objective].name);
    }
    return {};
  }

  const LintInput& input_;
  const Graph& graph_;
};

}  // namespace

void stop_never_holds(const LintInput& input) {
  for (const FunctionContext* function : input.functions) {
    if (function->function.kind != FunctionKind::Stop || function->function.graph.results.empty()) continue;
    const std::string why = Condition(input, function->function.graph).never(function->function.graph.results[0].node);
    if (why.empty()) continue;
    input.diagnostics.report(Diag::W0016, function->function.span, fmt::format("this never ends the run: {}", why))
        .with_help("remove the line, or write a condition that may hold, such as `stop when nan(loss)`");
  }
}

namespace {

/// Only where the run and the evaluations are counted in the same unit is their number known without the data.
void check_patience(const LintInput& input, const Patience& patience, Span span, std::string_view outcome) {
  const TrainPlan& plan = input.experiment.train;
  if (patience.evaluations == 0 || input.shortened) return;
  for (const Every& every : plan.every) {
    for (const Action& action : every.actions) {
      const bool evaluates = action.kind == ActionKind::Eval && action.split == patience.split &&
                             std::ranges::find(action.names, patience.metric) != action.names.end();
      const int64_t length = every.unit == Unit::Epoch ? plan.epochs : plan.steps;
      if (!evaluates || length < 0) continue;
      const int64_t evaluations = length / every.count;
      if (evaluations > patience.evaluations) return;
      input.diagnostics
          .report(Diag::W0016, span,
                  fmt::format("{}: `{}` is evaluated {} times, and {} without a better value come after the first",
                              outcome, patience.metric, evaluations, patience.evaluations))
          .with_help("evaluate more often, train for longer, or wait for fewer evaluations");
      return;
    }
  }
}

}  // namespace

void patience_without_end(const LintInput& input) {
  const auto* train = train_section(input.file);
  if (train == nullptr) return;
  const TrainPlan& plan = input.experiment.train;
  for (const ast::TrainItem& item : train->items) {
    if (const auto* stop = std::get_if<ast::StopItem>(&item.node); stop != nullptr && !stop->best_metric.empty())
      check_patience(input, plan.patience, item.span, "this never ends the run");
    const auto* slow = std::get_if<ast::SlowItem>(&item.node);
    for (const SlowRule& rule : plan.slow) {
      if (slow != nullptr && rule.scalar == slow_scalar(slow->objective.text))
        check_patience(input, rule.patience, item.span, "the rate never falls");
    }
  }
}

/// Where epochs count the run, `train` tells, because it knows the rows.
void updates_beyond_the_run(const LintInput& input) {
  const TrainPlan& plan = input.experiment.train;
  if (plan.steps < 0 || input.shortened) return;
  for (size_t k = 0; k < input.experiment.objectives.size(); ++k) {
    const Objective& objective = input.experiment.objectives[k];
    const int64_t runs = plan.steps * runs_an_iteration(plan.loop, static_cast<int32_t>(k));
    if (runs == 0 || objective.accumulates <= runs) continue;
    input.diagnostics
        .report(Diag::W0006, objective.accumulates_at,
                fmt::format("nothing is ever updated: gradients of {} runs of `{}` make an update, and there are {}",
                            objective.accumulates, objective.name, runs))
        .with_help("accumulate fewer, or train for more steps");
  }
}

}  // namespace smelt::frontend
