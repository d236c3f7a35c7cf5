// Walks through graphs that several lints share.
#include "frontend/lints/lint.h"
#include "ir/experiment.h"

namespace smelt::frontend {

bool is_number(const Graph& graph, NodeId id) {
  while (graph[id].op == OpKind::Broadcast || graph[id].op == OpKind::Cast) id = graph[id].inputs[0];
  return graph[id].op == OpKind::Constant;
}

NodeId source_of(const Graph& graph, NodeId id) {
  while (true) {
    const Node& node = graph[id];
    switch (node.op) {
      case OpKind::Broadcast:
      case OpKind::Transpose:
      case OpKind::Reshape:
      case OpKind::Slice:
      case OpKind::Read:
      case OpKind::Cast:
      case OpKind::Stop: id = node.inputs[0]; break;
      case OpKind::Max:
      case OpKind::Min:
        if (!is_number(graph, node.inputs[1])) return id;
        id = node.inputs[0];
        break;
      default: return id;
    }
  }
}

std::vector<bool> computed_from(const Graph& graph, const std::vector<NodeId>& roots) {
  std::vector<bool> reached(graph.size(), false);
  for (const NodeId root : roots) reached[root.index] = true;
  for (uint32_t i = 0; i < graph.size(); ++i) {
    for (const NodeId input : graph.nodes[i].inputs) reached[i] = reached[i] || reached[input.index];
  }
  return reached;
}

std::vector<NodeId> parameters_of(const LintInput& input, const Graph& graph,
                                  const std::function<bool(int32_t)>& wanted) {
  std::vector<NodeId> nodes;
  for (const Argument& argument : graph.arguments) {
    if (argument.role != ArgRole::Variable) continue;
    const Variable& variable = input.experiment.variables[static_cast<size_t>(argument.ref)];
    if (variable.kind == VariableKind::Param && wanted(argument.ref)) nodes.push_back(argument.node);
  }
  return nodes;
}

std::string_view net_of(std::string_view path) { return path.substr(0, path.find('.')); }

bool silenced(std::string_view path) { return path.starts_with('_') || path.find("._") != std::string_view::npos; }

}  // namespace smelt::frontend
