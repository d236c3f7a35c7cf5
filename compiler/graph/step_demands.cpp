#include "compiler/graph/step_demands.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "compiler/graph/step_needs.h"
#include "ir/op.h"
#include "ir/scan.h"

namespace smelt {
namespace {

/// Works backwards from the results to what they need.
class DemandFinder {
 public:
  explicit DemandFinder(const SequenceLoop& loop) : loop_(loop), body_(*loop.body) {
    demands_.whole.resize(body_.size());
    demands_.steps.resize(body_.size());
    demands_.kept.assign(body_.size(), -1);
    demands_.look_back.assign(body_.size(), 0);
  }

  Demands run() {
    for (const Output& result : body_.results) demands_.whole[result.node.index] = true;
    for (uint32_t i = body_.size(); i-- > 0 && !demands_.refusal;) {
      if (demands_.whole[i]) need_whole({i});
      if (demands_.kept[i] >= 0) need_history({i}, demands_.kept[i]);
      for (size_t k = 0; k < demands_.steps[i].size() && !demands_.refusal; ++k) need_step({i}, demands_.steps[i][k]);
    }
    return std::move(demands_);
  }

 private:
  void refuse(NodeId node, std::string why) {
    if (!demands_.refusal) demands_.refusal = Refusal{node, std::move(why)};
  }

  void need_whole(NodeId id) {
    const Node& node = body_[id];
    if (loop_.is_read[id.index]) {
      add_axis(demands_.steps[node.inputs[0].index], 0);
      demands_.whole[loop_.step.index] = true;
      return;
    }
    const Kind kind = op_def(node).kind;
    const bool light = kind == Kind::Elementwise || kind == Kind::Move || kind == Kind::Argument || loop_.is_moved(id);
    if (loop_.depends[id.index] && !light) return refuse(id, "is needed of all positions in every step");
    for (const NodeId input : node.inputs) demands_.whole[input.index] = true;
  }

  void need_history(NodeId id, int32_t axis) {
    if (const Sequence* sequence = loop_.sequence_of(id); sequence != nullptr) {
      demands_.kept[id.index] = -1;  // it is there
      demands_.whole[id.index] = true;
      if (sequence->axis != axis) refuse(id, "is read along another axis than that of its positions");
      return;
    }
    add_axis(demands_.steps[id.index], axis);
  }

  void need_step(NodeId id, int32_t axis) {
    const Node& node = body_[id];
    if (loop_.varies[id.index] && id != loop_.step)
      return refuse(id, "differs from step to step, so that values of earlier positions do not stay what they were");
    if (node.type.shape[static_cast<size_t>(axis)] != Extent(loop_.length) && loop_.depends[id.index])
      return refuse(id, "has another length than the sequence");
    if (const Sequence* sequence = loop_.sequence_of(id); sequence != nullptr) {
      demands_.whole[id.index] = true;
      if (sequence->axis != axis) refuse(id, "is read along another axis than that of its positions");
      if (sequence->lead < 1) refuse(id, "is read at a position before it is written");
      return;
    }
    const StepNeeds needs = step_needs(loop_, id, axis);
    if (needs.sliced) {
      if (loop_.depends[id.index]) {
        if (!demands_.refusal) demands_.refusal = mixed_positions(body_, id);
        return;
      }
      if (!demands_.whole[id.index]) need_whole(id);
      demands_.whole[id.index] = true;
      return;
    }
    const Kind kind = op_def(node).kind;
    demands_.saves = demands_.saves || (loop_.depends[id.index] && (kind == Kind::Contract || kind == Kind::Scan));
    for (size_t k = 0; k < needs.operands.size(); ++k) {
      const bool window = needs.operands[k].need == Need::Window;
      const int64_t look_back = window ? need_window(id, k, needs.operands[k].axis, axis) : loop_.length;
      need_operand(id, node.inputs[k], needs.operands[k], look_back);
    }
  }

  /// How many positions the window reaches back, the step's own among them.
  int64_t need_window(NodeId id, size_t k, int32_t axis, int32_t index) {
    const NodeId operand = body_[id].inputs[k];
    const std::optional<PositionWindow> window = window_of(body_, body_[id], k, axis, index);
    if (!window) {
      refuse(id, "reads a window whose size shows at run time");
      return 0;
    }
    if (!loop_.depends[operand.index]) return 0;
    const Sequence* sequence = loop_.sequence_of(operand);
    const int64_t known = sequence == nullptr ? 0 : sequence->lead - 1;
    if (window->last() > known)
      refuse(id, fmt::format("reads {} behind the position that it computes",
                             window->last() == 1 ? "one position" : fmt::format("{} positions", window->last())));
    return std::min(loop_.length, 1 - std::min<int64_t>(window->first, 0));
  }

  void need_operand(NodeId reader, NodeId id, const Operand& operand, int64_t look_back) {
    switch (operand.need) {
      case Need::Step: add_axis(demands_.steps[id.index], operand.axis); return;
      case Need::Whole:
        if (loop_.depends[id.index]) return refuse(reader, "reads all positions of the sequence");
        if (loop_.varies[id.index])
          return refuse(reader,
                        "reads what differs from step to step, so that values of earlier positions do not stay");
        demands_.whole[id.index] = true;
        return;
      case Need::History:
      case Need::Window: {
        if (!loop_.depends[id.index]) {
          demands_.whole[id.index] = true;
          return;
        }
        int32_t& kept = demands_.kept[id.index];
        if (kept >= 0 && kept != operand.axis) return refuse(reader, "reads positions along two axes");
        const Sequence* sequence = loop_.sequence_of(id);
        if (sequence != nullptr && operand.need == Need::History && sequence->lead < 1)
          return refuse(reader, "reads a position before it is written");
        kept = operand.axis;
        demands_.look_back[id.index] = std::max(demands_.look_back[id.index], look_back);
        return;
      }
    }
  }

  const SequenceLoop& loop_;
  const Graph& body_;
  Demands demands_;
};

}  // namespace

Refusal mixed_positions(const Graph& body, NodeId id) {
  const NodeId scan = body[id].op == OpKind::Part ? body[id].inputs[0] : id;
  if (body[scan].op == OpKind::Scan && is_reversed(body[scan])) return {scan, "begins at the last position"};
  return {id, "does not keep positions apart"};
}

Demands find_demands(const SequenceLoop& loop) { return DemandFinder(loop).run(); }

}  // namespace smelt
