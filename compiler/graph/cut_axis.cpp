#include "compiler/graph/cut_axis.h"

#include <algorithm>

#include "ir/example_axis.h"
#include "ir/op.h"

namespace smelt {
namespace {

/// Of a contraction: every operand has the index as one whole plain axis, or not at all.
std::optional<AxisCut> cut_of_index(const Graph& graph, const Node& node, int32_t index) {
  const IndexFormula& formula = node.attrs.formula("formula");
  const bool summed = formula.is_summed(index);
  const Extent& over = (summed ? formula.extents : node.type.shape)[static_cast<size_t>(index)];
  AxisCut cut{.result = summed ? -1 : index, .operands = {}};
  for (size_t k = 0; k < formula.operands.size(); ++k) {
    const IndexMap& map = formula.operands[k];
    const int32_t axis = map.plain_axis_of(index);
    if (map.bounded) return std::nullopt;
    const bool part = axis >= 0 && over != unstated() &&
                      graph.type(node.inputs[k]).shape[static_cast<size_t>(axis)] != over;  // other parts than the axis
    if (part) return std::nullopt;
    for (size_t other = 0; other < map.axes.size(); ++other) {
      if (static_cast<int32_t>(other) != axis && map.axes[other].coefficient(index) != 0) return std::nullopt;
    }
    cut.operands.push_back(axis);
  }
  return cut;
}

int32_t place_in(const std::vector<int64_t>& axes, int64_t axis) {
  const auto found = std::ranges::find(axes, axis);
  return found == axes.end() ? -1 : static_cast<int32_t>(found - axes.begin());
}

/// The operand has the axis as it is and as long, or not at all.
std::optional<AxisCut> cut_of_move(const Graph& graph, const Node& node, int32_t axis) {
  const TensorType& operand = graph.type(node.inputs[0]);
  AxisCut cut{.result = axis, .operands = {-1}};
  if (const std::optional<IndexMap> map = op_def(node).access(operand, node.type, node.attrs)) {
    cut.operands[0] = map->plain_axis_of(axis);
    for (size_t other = 0; other < map->axes.size(); ++other) {
      if (static_cast<int32_t>(other) != cut.operands[0] && map->axes[other].coefficient(axis) != 0)
        return std::nullopt;
    }
    if (cut.operands[0] < 0) return cut;
  } else {
    cut.operands[0] = static_cast<int32_t>(through_reshape(node.type.shape, operand.shape, axis));
    if (cut.operands[0] < 0) return std::nullopt;
  }
  const Extent &from = operand.shape[static_cast<size_t>(cut.operands[0])],
               &to = node.type.shape[static_cast<size_t>(axis)];
  return from == to ? std::optional(cut) : std::nullopt;
}

/// By axis of the operand, its axis in the result of a reduction; -1: it is summed.
std::vector<int32_t> kept_places(const Graph& graph, const Node& node) {
  std::vector<int32_t> places;
  int32_t kept = 0;
  for (size_t axis = 0; axis < graph.type(node.inputs[0]).rank(); ++axis)
    places.push_back(place_in(node.attrs.integers("axes"), static_cast<int64_t>(axis)) >= 0 ? -1 : kept++);
  return places;
}

}  // namespace

std::optional<AxisCut> cut_of_result(const Graph& graph, const Node& node, int32_t axis) {
  switch (op_def(node).kind) {
    case Kind::Constant: return AxisCut{.result = axis, .operands = {}};
    case Kind::Elementwise: return AxisCut{.result = axis, .operands = std::vector<int32_t>(node.inputs.size(), axis)};
    case Kind::Contract:
      if (node.inputs.size() == 2) return cut_of_index(graph, node, axis);
      return std::nullopt;
    case Kind::Move: return cut_of_move(graph, node, axis);
    case Kind::Reduce: {
      const std::vector<int32_t> places = kept_places(graph, node);
      return AxisCut{.result = axis,
                     .operands = {static_cast<int32_t>(std::ranges::find(places, axis) - places.begin())}};
    }
    default: return std::nullopt;
  }
}

std::optional<AxisCut> cut_of_operand(const Graph& graph, const Node& node, size_t k, int32_t axis, bool any_fold) {
  switch (op_def(node).kind) {
    case Kind::Elementwise: return cut_of_result(graph, node, axis);
    case Kind::Contract: {
      if (node.inputs.size() != 2) return std::nullopt;  // a sum of products has more than the formula
      const Affine& read = node.attrs.formula("formula").operands[k].axes[static_cast<size_t>(axis)];
      if (!read.is_index()) return std::nullopt;
      return cut_of_index(graph, node, read.terms[0].first);
    }
    case Kind::Reduce: {
      const int32_t place = kept_places(graph, node)[static_cast<size_t>(axis)];
      if (place < 0 && node.op != OpKind::ReduceSum && !any_fold) return std::nullopt;
      return AxisCut{.result = place, .operands = {axis}};
    }
    case Kind::Move: {
      for (int32_t result = 0; result < static_cast<int32_t>(node.type.rank()); ++result) {
        const std::optional<AxisCut> cut = cut_of_move(graph, node, result);
        if (cut && cut->operands[0] == axis) return cut;
      }
      return std::nullopt;
    }
    default: return std::nullopt;
  }
}

NodeId make_part_of(Builder& build, const Node& node, Operands operands, std::initializer_list<PartOf> parts) {
  build.set_place(node);
  Attributes attrs = node.attrs;
  TensorType type = node.type;
  for (const auto& [cut, size] : parts)
    if (cut.result >= 0) type.shape[static_cast<size_t>(cut.result)] = Extent(size);
  for (const AttrDef& attribute : op_def(node).attributes) {
    if (attribute.type == AttrType::Type) attrs.set(attribute.name, type);
    if (attribute.type != AttrType::Formula) continue;
    IndexFormula formula = node.attrs.formula(attribute.name);
    for (const auto& [cut, size] : parts) {
      const auto read = std::ranges::find_if(cut.operands, [](int32_t axis) { return axis >= 0; });
      if (cut.result < 0 && read == cut.operands.end()) continue;
      const auto k = static_cast<size_t>(read - cut.operands.begin());
      const int32_t index =
          cut.result >= 0 ? cut.result : formula.operands[k].axes[static_cast<size_t>(*read)].terms[0].first;
      Extent& extent = formula.extents[static_cast<size_t>(index)];
      if (extent != unstated()) extent = Extent(size);
    }
    attrs.set(attribute.name, std::move(formula));
  }
  if (node.op == OpKind::Slice) {
    std::vector<int64_t> limits = node.attrs.integers("limits");
    for (const auto& [cut, size] : parts)
      if (cut.result >= 0) limits[static_cast<size_t>(cut.result)] = size;
    attrs.set("limits", std::move(limits));
  }
  return build.make(node.op, std::move(operands), std::move(attrs));
}

}  // namespace smelt
