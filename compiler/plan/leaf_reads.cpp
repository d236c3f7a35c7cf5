#include "compiler/plan/leaf_reads.h"

#include <algorithm>

#include "ir/op.h"

namespace smelt {
namespace {

struct Walker {
  const Graph& graph;
  const std::vector<bool>& stored;
  const LeafVisitor& visit;

  void operands(NodeId id, const IndexVector& index) const {
    const Node& node = graph[id];
    if (op_def(node).kind == Kind::Gather) {
      value(node.inputs[1], operand_index(graph, node, 1, index));
      visit(gather_table(graph, stored, node.inputs[0]).root, std::nullopt);
      return;
    }
    for (size_t k = 0; k < node.inputs.size(); ++k) value(node.inputs[k], operand_index(graph, node, k, index));
  }

  void value(NodeId id, const IndexVector& index) const {
    const Node& node = graph[id];
    if (stored[id.index] || node.op == OpKind::Argument) {
      visit(id, linear_offset(index, node.type.shape));
    } else if (node.op == OpKind::Reshape && !keeps_index(graph, node)) {
      visit(operand_root(graph, stored, id), linear_offset(index, node.type.shape));
    } else if (node.op == OpKind::Reshape) {
      value(node.inputs[0], operand_index(graph, node, 0, index));
    } else {
      operands(id, index);
    }
  }
};

IndexVector plain_indices(size_t rank) {
  IndexVector index;
  for (size_t axis = 0; axis < rank; ++axis) index.push_back(Affine::of(static_cast<int32_t>(axis)));
  return index;
}

/// What is computed in a scatter's own kernel, which nothing joins: there the elements do not matter.
void scatter_leaves(const Graph& graph, const std::vector<bool>& stored, const Node& node, const LeafVisitor& visit) {
  const LeafVisitor anywhere = [&](NodeId leaf, const std::optional<Affine>&) { visit(leaf, std::nullopt); };
  const Walker walker{graph, stored, anywhere};
  for (const NodeId input : node.inputs) walker.value(input, plain_indices(graph.type(input).rank()));
}

}  // namespace

IndexVector loop_indices(const Graph& graph, NodeId id) {
  const Node& node = graph[id];
  if (op_def(node).kind != Kind::Reduce) return plain_indices(node.type.rank());
  const std::vector<int64_t>& axes = node.attrs.integers("axes");
  IndexVector index;
  int32_t outer = 0, inner = static_cast<int32_t>(node.type.rank());
  for (size_t axis = 0; axis < graph.type(node.inputs[0]).rank(); ++axis) {
    const bool reduced = std::ranges::find(axes, static_cast<int64_t>(axis)) != axes.end();
    index.push_back(Affine::of(reduced ? inner++ : outer++));
  }
  return index;
}

void for_each_leaf(const Graph& graph, const std::vector<bool>& stored, NodeId id, const LeafVisitor& visit) {
  const IndexVector index = loop_indices(graph, id);
  const Walker walker{graph, stored, visit};
  const Node& node = graph[id];
  switch (op_def(node).kind) {
    case Kind::Reduce: walker.value(node.inputs[0], index); break;
    case Kind::Scatter: scatter_leaves(graph, stored, node, visit); break;
    case Kind::Contract:
      for (const NodeId input : node.inputs) visit(operand_root(graph, stored, input), std::nullopt);
      break;
    case Kind::Scan:
      for (const NodeId input : node.inputs) visit(alias_root(graph, stored, input), std::nullopt);
      break;
    case Kind::Part: visit(node.inputs[0], std::nullopt); break;
    default:
      if (node.op == OpKind::Reshape && !keeps_index(graph, node)) {
        visit(operand_root(graph, stored, node.inputs[0]), linear_offset(index, node.type.shape));
      } else {
        walker.operands(id, index);
      }
  }
}

}  // namespace smelt
