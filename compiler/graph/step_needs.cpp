#include "compiler/graph/step_needs.h"

#include "ir/op.h"
#include "ir/scan.h"

namespace smelt {
namespace {

/// Of a formula that reads operand k around the position: one axis of it, which has more than the index alone.
std::optional<int32_t> window_axis(const IndexMap& map, int32_t index) {
  std::optional<int32_t> found;
  for (size_t axis = 0; axis < map.axes.size(); ++axis) {
    if (map.axes[axis].coefficient(index) == 0) continue;
    if (found || map.axes[axis].coefficient(index) != 1) return std::nullopt;
    found = static_cast<int32_t>(axis);
  }
  return found;
}

}  // namespace

std::optional<PositionWindow> window_of(const Graph& body, const Node& node, size_t k, int32_t axis, int32_t index) {
  const IndexMap map = maps_of(body, node)[k];
  const auto extent_of = [&](int32_t other) {
    return op_def(node).kind == Kind::Contract ? node.attrs.formula("formula").extents[static_cast<size_t>(other)]
                                               : node.type.shape[static_cast<size_t>(other)];
  };
  PositionWindow window;
  Affine rest = map.axes[static_cast<size_t>(axis)];
  rest = substitute(rest, index, {});
  int64_t last = rest.constant;
  window.first = rest.constant;
  for (const auto& [other, factor] : rest.terms) {
    if (!extent_of(other).is_static()) return std::nullopt;
    (factor < 0 ? window.first : last) += factor * (extent_of(other).bound - 1);
  }
  if (rest.terms.size() == 1 && rest.terms[0].second > 0) {
    window.stride = rest.terms[0].second;
    window.inside = Affine::of(rest.terms[0].first);
  } else {
    window.inside = rest + -window.first;
  }
  window.size = (last - window.first) / window.stride + 1;
  return window;
}

StepNeeds step_needs(const SequenceLoop& loop, NodeId id, int32_t axis) {
  const Graph& body = *loop.body;
  const Node& node = body[id];
  StepNeeds needs;
  const bool depends = loop.depends[id.index];
  const auto refuse = [&] { return StepNeeds{.operands = {}, .cut = {}, .sliced = true}; };
  if (node.op == OpKind::Index) return needs;
  if (node.op == OpKind::Argument) return refuse();
  if (is_stacked_part(body, node)) {
    const bool over = depends && axis == 0 && runs_over_positions(loop, body[node.inputs[0]]);
    if (!over) return refuse();
    needs.operands = {{Need::Step, 0}};
    return needs;
  }
  if (node.op == OpKind::Scan) {
    for (size_t k = 0; k < node.inputs.size(); ++k) {
      const bool slice = node.body->arguments[k].role == ArgRole::Slice;
      needs.operands.push_back({slice ? Need::Step : Need::Whole, slice ? 0 : -1});
    }
    return needs;
  }
  if (node.op == OpKind::Gather) {
    if (axis >= static_cast<int32_t>(body.type(node.inputs[1]).rank())) return refuse();
    needs.operands = {{Need::Whole, -1}, {Need::Step, axis}};
    return needs;
  }
  const Kind kind = op_def(node).kind;
  const bool is_simple = kind == Kind::Elementwise || kind == Kind::Move || kind == Kind::Constant;
  if (!depends && !is_simple) return refuse();
  needs.cut = cut_of_result(body, node, axis);
  if (needs.cut) {
    for (size_t k = 0; k < node.inputs.size(); ++k) {
      const int32_t at = needs.cut->operands[k];
      const std::vector<int32_t>& positions = loop.positions[node.inputs[k].index];
      if (at >= 0) {
        needs.operands.push_back({Need::Step, at});
      } else if (loop.depends[node.inputs[k].index] && positions.size() == 1) {
        needs.operands.push_back({Need::History, positions[0]});
      } else {
        needs.operands.push_back({Need::Whole, -1});
      }
    }
    return needs;
  }
  const std::vector<IndexMap> maps = maps_of(body, node);
  if (!depends || maps.size() != node.inputs.size()) return refuse();
  for (size_t k = 0; k < maps.size(); ++k) {
    if (!maps[k].has(axis)) {
      needs.operands.push_back({Need::Whole, -1});
      continue;
    }
    const std::optional<int32_t> window = window_axis(maps[k], axis);
    if (!window) return refuse();
    const std::optional<PositionWindow> positions = window_of(body, node, k, *window, axis);
    const bool own = positions && positions->size == 1 && positions->first == 0;
    needs.operands.push_back({own ? Need::Step : Need::Window, *window});
  }
  return needs;
}

}  // namespace smelt
