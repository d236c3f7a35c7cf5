#include "ir/graph.h"

namespace smelt {

std::string_view to_string(ArgRole role) {
  switch (role) {
    case ArgRole::Variable: return "variable";
    case ArgRole::Column: return "column";
    case ArgRole::Rows: return "rows";
    case ArgRole::Feed: return "feed";
    case ArgRole::Scalar: return "scalar";
    case ArgRole::Seed: return "seed";
    case ArgRole::Run: return "run";
    case ArgRole::Carry: return "carry";
    case ArgRole::Slice: return "slice";
    case ArgRole::Whole: return "whole";
  }
  return "?";
}

std::string_view to_string(ResultRole role) {
  switch (role) {
    case ResultRole::Loss: return "loss";
    case ResultRole::Report: return "report";
    case ResultRole::Norm: return "norm";
    case ResultRole::Variable: return "variable";
    case ResultRole::Value: return "value";
    case ResultRole::Carry: return "carry";
    case ResultRole::Stacked: return "stacked";
    case ResultRole::Sum: return "sum";
    case ResultRole::Largest: return "largest";
    case ResultRole::Smallest: return "smallest";
  }
  return "?";
}

size_t row_axis(const Node& node) {
  return node.attrs.find("batch") == nullptr ? 0 : static_cast<size_t>(node.attrs.integer("batch"));
}

std::vector<std::vector<NodeId>> users_of(const Graph& graph) {
  std::vector<std::vector<NodeId>> users(graph.size());
  for (uint32_t i = 0; i < graph.size(); ++i) {
    for (const NodeId input : graph.nodes[i].inputs) users[input.index].push_back({i});
  }
  return users;
}

bool is_read_often(const Shape& value, const Shape& shape) {
  constexpr int64_t kOften = 16;  // a gathered vector costs about as much as 16 that lie in a line
  const std::optional<int64_t> size = num_elements(value), read = num_elements(shape);
  return size && read && *read / kOften >= *size;
}

bool is_turned_for_many(const Graph& graph, NodeId node, const Shape& shape) {
  const Node& turned = graph[node];
  if (turned.op != OpKind::Transpose) return false;
  const auto last = static_cast<int64_t>(turned.type.rank()) - 1;
  return turned.attrs.integers("permutation").back() != last && is_read_often(turned.type.shape, shape);
}

std::vector<bool> live_nodes(const Graph& graph) {
  std::vector<bool> live(graph.size());
  for (const Argument& argument : graph.arguments) live[argument.node.index] = true;
  for (const Output& output : graph.results) live[output.node.index] = true;
  for (uint32_t i = graph.size(); i-- > 0;) {
    if (!live[i]) continue;
    for (const NodeId input : graph.nodes[i].inputs) live[input.index] = true;
  }
  return live;
}

}  // namespace smelt
