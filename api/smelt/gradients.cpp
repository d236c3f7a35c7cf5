#include "api/smelt/gradients.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace smelt {

Result<Experiment> with_gradients(const Experiment& experiment, const std::string& objective) {
  const auto at = std::ranges::find(experiment.objectives, objective, &Objective::name);
  if (at == experiment.objectives.end() || at->step < 0) {
    return fail(ErrorKind::Usage, fmt::format("no `step` line runs an objective `{}`", objective));
  }
  Experiment result = experiment;
  Function function = experiment.functions[static_cast<size_t>(at->step)];
  function.name = "grads";
  function.kind = FunctionKind::Loss;
  std::map<NodeId, int32_t> variable_of;
  for (const Argument& argument : function.graph.arguments) {
    if (argument.role == ArgRole::Variable) variable_of[argument.node] = argument.ref;
  }
  NodeId loss;
  for (const Output& output : function.graph.results) {
    if (output.role == ResultRole::Loss) loss = output.node;
  }
  std::erase_if(function.graph.results, [](const Output& output) { return output.role != ResultRole::Loss; });
  for (uint32_t i = 0; i < function.graph.size(); ++i) {
    const Node& node = function.graph.nodes[i];
    if (node.op != OpKind::Grad || node.inputs[0] != loss) continue;
    const auto variable = variable_of.find(node.inputs[1]);
    if (variable == variable_of.end()) continue;
    const std::string& path = experiment.variables[static_cast<size_t>(variable->second)].path;
    function.graph.results.push_back({path, ResultRole::Value, variable->second, {i}});
  }
  result.functions.push_back(std::move(function));
  return result;
}

}  // namespace smelt
