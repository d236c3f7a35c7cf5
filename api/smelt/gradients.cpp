#include "api/smelt/gradients.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "ir/builder.h"
#include "ir/support/printable.h"
#include "ir/support/suggest.h"

namespace smelt {
namespace {

struct ParameterGradient {
  int32_t variable = -1;
  NodeId parameter, gradient;
};

/// The `grad` nodes of the loss with respect to variables.
std::vector<ParameterGradient> gradients_of(const Graph& graph) {
  std::map<NodeId, int32_t> variable_of;
  for (const Argument& argument : graph.arguments) {
    if (argument.role == ArgRole::Variable) variable_of[argument.node] = argument.ref;
  }
  NodeId loss;
  for (const Output& output : graph.results) {
    if (output.role == ResultRole::Loss) loss = output.node;
  }
  std::vector<ParameterGradient> found;
  for (uint32_t i = 0; i < graph.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (node.op != OpKind::Grad || node.inputs[0] != loss) continue;
    const auto variable = variable_of.find(node.inputs[1]);
    if (variable != variable_of.end()) found.push_back({variable->second, node.inputs[1], {i}});
  }
  return found;
}

/// Hv as the gradient of the gradients' product with v.
void add_hessian_product(Graph& graph, const std::vector<ParameterGradient>& gradients,
                         const std::vector<Variable>& variables) {
  Builder build(graph);
  NodeId along;
  for (const ParameterGradient& each : gradients) {
    const TensorType type = build.type(each.gradient);
    const std::string& path = variables[static_cast<size_t>(each.variable)].path;
    const NodeId v = build.argument({fmt::format("v {}", path), ArgRole::Feed, each.variable, {}}, type);
    std::vector<int64_t> axes(type.rank());
    std::iota(axes.begin(), axes.end(), 0);
    const NodeId part = build.reduce_sum(build.mul(each.gradient, v), axes);
    along = along.valid() ? build.add(along, part) : part;
  }
  for (const ParameterGradient& each : gradients) {
    const NodeId product = build.make(OpKind::Grad, {along, each.parameter});
    const std::string& path = variables[static_cast<size_t>(each.variable)].path;
    graph.results.push_back({fmt::format("Hv {}", path), ResultRole::Value, each.variable, product});
  }
}

}  // namespace

Result<Experiment> with_gradients(const Experiment& experiment, const std::string& objective, GradientOrder order) {
  const auto at = std::ranges::find(experiment.objectives, objective, &Objective::name);
  if (at == experiment.objectives.end() || at->step < 0) {
    std::vector<std::string_view> run;
    for (const Objective& one : experiment.objectives)
      if (one.step >= 0) run.push_back(one.name);
    return fail(ErrorKind::Usage, fmt::format("no `step` line runs an objective `{}`", printable(objective)),
                suggest(objective, run));
  }
  Experiment result = experiment;
  Function function = experiment.functions[static_cast<size_t>(at->step)];
  function.kind = FunctionKind::Gradients;
  const std::vector<ParameterGradient> gradients = gradients_of(function.graph);
  std::erase_if(function.graph.results, [](const Output& output) { return output.role != ResultRole::Loss; });
  for (const ParameterGradient& each : gradients) {
    const std::string& path = experiment.variables[static_cast<size_t>(each.variable)].path;
    function.graph.results.push_back({path, ResultRole::Value, each.variable, each.gradient});
  }
  if (order == GradientOrder::Second && !gradients.empty())
    add_hessian_product(function.graph, gradients, experiment.variables);
  result.functions.push_back(std::move(function));
  return result;
}

}  // namespace smelt
