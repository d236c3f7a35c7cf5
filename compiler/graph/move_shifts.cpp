#include "compiler/graph/move_shifts.h"

#include <algorithm>
#include <map>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "compiler/graph/sequence_loop.h"
#include "compiler/graph/step_needs.h"
#include "ir/op.h"
#include "ir/rewrite.h"

namespace smelt {
namespace {

/// A read of the element `by` positions before along `axis`, 0 where there is none.
struct Shift {
  int32_t axis = -1;
  int64_t by = 0;
};

std::optional<Shift> shift_of(const Graph& body, const Node& node) {
  if (node.op != OpKind::Read || node.type.shape != body.type(node.inputs[0]).shape) return std::nullopt;
  if (node.attrs.number("outside") != 0) return std::nullopt;
  const IndexMap& map = node.attrs.formula("formula").operands[0];
  Shift shift;
  for (int32_t axis = 0; axis < static_cast<int32_t>(map.axes.size()); ++axis) {
    const Affine& position = map.axes[static_cast<size_t>(axis)];
    if (position == Affine::of(axis)) continue;
    if (shift.axis >= 0 || position.constant >= 0 || position + -position.constant != Affine::of(axis))
      return std::nullopt;
    shift = {axis, -position.constant};
  }
  return shift.axis < 0 ? std::nullopt : std::optional(shift);
}

class ShiftMover {
 public:
  explicit ShiftMover(const SequenceLoop& loop) : loop_(loop), body_(*loop.body), rebuilder_(body_) {}

  /// Nullopt: nothing moves.
  std::optional<Graph> run() {
    bool moved = false;
    for (uint32_t i = 0; i < body_.size(); ++i) {
      const Node& node = body_.nodes[i];
      const std::optional<Shift> shift = shift_of(body_, node);
      if (!shift || !keeps_positions(node.inputs[0], shift->axis)) {
        rebuilder_.copy({i});
        continue;
      }
      moved = true;
      rebuilder_.build().set_place(node);
      const NodeId value = shifted(node.inputs[0], *shift);
      rebuilder_.build().set_place(node);
      rebuilder_.replace({i}, zero_in_front(value, *shift));
    }
    return moved ? std::optional(rebuilder_.finish()) : std::nullopt;
  }

 private:
  /// Whether a position of a value, itself no sequence, is computed from that position of its operands.
  bool keeps_positions(NodeId id, int32_t axis) const {
    const Node& node = body_[id];
    if (!loop_.depends[id.index] || loop_.sequence_of(id) != nullptr || op_def(node).kind == Kind::Scan ||
        op_def(node).kind == Kind::Part)
      return false;
    const StepNeeds needs = step_needs(loop_, id, axis);
    return !needs.sliced && std::ranges::none_of(needs.operands, [](const Operand& operand) {
      return operand.need == Need::History || operand.need == Need::Window;
    });
  }

  /// Each value once: gelu(x) has x twice, and so has every layer behind it.
  NodeId shifted(NodeId id, const Shift& shift) {
    const std::tuple key{id, shift.axis, shift.by};
    if (const auto known = shifted_.find(key); known != shifted_.end()) return known->second;
    return shifted_[key] = shift_now(id, shift);
  }

  NodeId shift_now(NodeId id, const Shift& shift) {
    Builder& build = rebuilder_.build();
    if (!keeps_positions(id, shift.axis)) return read_before(rebuilder_.map(id), shift);
    const StepNeeds needs = step_needs(loop_, id, shift.axis);
    std::vector<NodeId> operands;
    for (size_t k = 0; k < needs.operands.size(); ++k) {
      const NodeId operand = body_[id].inputs[k];
      const bool moves = needs.operands[k].need == Need::Step;
      operands.push_back(moves ? shifted(operand, {needs.operands[k].axis, shift.by}) : rebuilder_.map(operand));
    }
    build.set_place(body_[id]);
    return build.copy(body_[id], std::move(operands));
  }

  NodeId read_before(NodeId id, const Shift& shift) {
    Builder& build = rebuilder_.build();
    const Shape shape = build.type(id).shape;
    const auto rank = static_cast<int32_t>(shape.size());
    IndexMap map{.axes = {}, .bounded = true};
    for (int32_t axis = 0; axis < rank; ++axis)
      map.axes.push_back(Affine::of(axis) + (axis == shift.axis ? -shift.by : 0));
    return build.read(id, {.rank = rank, .operands = {std::move(map)}, .extents = shape});
  }

  NodeId zero_in_front(NodeId value, const Shift& shift) {
    Builder& build = rebuilder_.build();
    const NodeId position = build.index({DType::I32, build.type(value).shape}, shift.axis);
    const NodeId none = build.make(OpKind::Lt, {position, build.like(position, static_cast<double>(shift.by))});
    return build.select(none, build.like(value, 0), value);
  }

  const SequenceLoop& loop_;
  const Graph& body_;
  GraphRebuilder rebuilder_;
  std::map<std::tuple<NodeId, int32_t, int64_t>, NodeId> shifted_;
};

}  // namespace

std::optional<Node> move_shifts(const Graph& graph, const Node& scan) {
  const std::expected<SequenceLoop, NodeId> loop = find_sequence_loop(graph, scan);
  if (!loop) return std::nullopt;
  std::optional<Graph> body = ShiftMover(*loop).run();
  if (!body) return std::nullopt;
  Node moved = scan;
  moved.body = std::make_shared<const Graph>(std::move(*body));
  return moved;
}

}  // namespace smelt
