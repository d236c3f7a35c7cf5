#include "compiler/plan/index_walk.h"

#include <algorithm>
#include <numeric>

#include "ir/half_bits.h"
#include "ir/op.h"
#include "ir/support/check.h"

namespace smelt {

Affine linear_offset(const IndexVector& index, const Shape& shape) {
  SMELT_CHECK(index.size() == shape.size(), "index of rank {} in a shape of rank {}", index.size(), shape.size());
  const std::vector<int64_t> strides = row_major_strides(shape);
  Affine offset;
  for (size_t axis = 0; axis < shape.size(); ++axis) offset = offset + index[axis] * strides[axis];
  return offset;
}

NodeId alias_root(const Graph& graph, const std::vector<bool>& stored, NodeId node) {
  while (graph[node].op == OpKind::Reshape && !stored[node.index]) node = graph[node].inputs[0];
  return node;
}

namespace {

/// By axis of a reshape that keeps the index, the axis of its operand; -1: one of size 1, which has none.
std::vector<int> axes_below(const Shape& from, const Shape& to) {
  std::vector<int> axes;
  int below = 0;
  for (const Extent& extent : to) {
    const bool single = extent == Extent(1);
    while (!single && from[static_cast<size_t>(below)] == Extent(1)) ++below;
    axes.push_back(single ? -1 : below++);
  }
  return axes;
}

}  // namespace

GatherTable gather_table(const Graph& graph, const std::vector<bool>& stored, NodeId table) {
  std::vector<int> places(graph.type(table).rank());  // of the table's axes in `node`; -1: an axis of size 1
  std::iota(places.begin(), places.end(), 0);
  NodeId node = table;
  for (; !stored[node.index] && is_reordering(graph, node); node = graph[node].inputs[0]) {
    const Shape &from = graph.type(graph[node].inputs[0]).shape, &to = graph.type(node).shape;
    std::vector<int> below;
    if (graph[node].op == OpKind::Reshape)
      below = axes_below(from, to);
    else
      std::ranges::copy(graph[node].attrs.integers("permutation"), std::back_inserter(below));
    for (int& place : places) place = place < 0 ? place : below[static_cast<size_t>(place)];
  }
  const std::vector<int64_t> strides = row_major_strides(graph.type(node).shape);
  GatherTable result{alias_root(graph, stored, node), {}};
  for (const int place : places) result.strides.push_back(place < 0 ? 0 : strides[static_cast<size_t>(place)]);
  return result;
}

bool is_widening(const Graph& graph, NodeId node) {
  return graph[node].op == OpKind::Cast && graph.type(node).dtype == DType::F32 &&
         is_half(graph.type(graph[node].inputs[0]).dtype);
}

NodeId operand_root(const Graph& graph, const std::vector<bool>& stored, NodeId node) {
  while (!stored[node.index] && (graph[node].op == OpKind::Reshape || is_widening(graph, node)))
    node = graph[node].inputs[0];
  return node;
}

bool keeps_index(const Graph& graph, const Node& reshape) {
  const auto without_ones = [](const Shape& shape) {
    Shape kept;
    std::ranges::copy_if(shape, std::back_inserter(kept), [](const Extent& e) { return e != Extent(1); });
    return kept;
  };
  return without_ones(graph.type(reshape.inputs[0]).shape) == without_ones(reshape.type.shape);
}

bool is_reordering(const Graph& graph, NodeId node) {
  return graph[node].op == OpKind::Transpose || (graph[node].op == OpKind::Reshape && keeps_index(graph, graph[node]));
}

namespace {

IndexVector reshaped_index(const Shape& from, const Shape& to, const IndexVector& index) {
  IndexVector kept;
  for (size_t axis = 0; axis < to.size(); ++axis) {
    if (to[axis] != Extent(1)) kept.push_back(index[axis]);
  }
  IndexVector result;
  size_t next = 0;
  for (const Extent& extent : from) result.push_back(extent == Extent(1) ? Affine{} : kept[next++]);
  return result;
}

}  // namespace

IndexVector operand_index(const Graph& graph, const Node& node, size_t operand, const IndexVector& index) {
  const OpDef& op = op_def(node);
  const Shape& shape = graph.type(node.inputs[operand]).shape;
  switch (op.kind) {
    case Kind::Elementwise: return index;
    case Kind::Random: return {};  // seed and run are scalars
    case Kind::Gather: return {index.begin(), index.begin() + static_cast<ptrdiff_t>(shape.size())};
    case Kind::Move: {
      const std::optional<IndexMap> map = op.access(graph.type(node.inputs[operand]), node.type, node.attrs);
      if (!map) return reshaped_index(shape, node.type.shape, index);
      IndexVector result;
      for (const Affine& axis : map->axes) result.push_back(substitute(axis, index));
      return result;
    }
    case Kind::Argument:
    case Kind::Constant:
    case Kind::Index:
    case Kind::Extent:
    case Kind::Reduce:
    case Kind::Contract:
    case Kind::Scatter:
    case Kind::Scan:
    case Kind::Part:
    case Kind::Composite:
    case Kind::Meta: break;
  }
  SMELT_CHECK(false, "`{}` has no index map", op.name);
}

}  // namespace smelt
