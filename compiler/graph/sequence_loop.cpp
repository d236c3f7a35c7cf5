#include "compiler/graph/sequence_loop.h"

#include <fmt/format.h>

#include <algorithm>

#include "compiler/graph/mask_numbers.h"
#include "ir/example_axis.h"
#include "ir/op.h"
#include "ir/scan.h"

namespace smelt {
namespace {

NodeId counter_of(const Graph& graph, const Node& scan) {
  for (size_t k = 0; k < scan.inputs.size(); ++k) {
    const Node& operand = graph[scan.inputs[k]];
    if (scan.body->arguments[k].role == ArgRole::Slice && operand.op == OpKind::Index && operand.type.rank() == 1)
      return scan.body->arguments[k].node;
  }
  return {};
}

/// `carry` where `next` is select(position == step + lead, .., carry).
std::optional<Sequence> sequence_of_update(const Graph& body, NodeId carry, NodeId next, NodeId step) {
  const Node& update = body[next];
  if (update.op != OpKind::Select || update.inputs[2] != carry) return std::nullopt;
  NodeId condition = update.inputs[0];
  const auto rank = static_cast<int32_t>(update.type.rank());
  Positions at;
  for (int32_t axis = 0; axis < rank; ++axis) at.push_back(Affine::of(kFree + axis));
  while (op_def(body[condition]).kind == Kind::Move) {
    const Node& move = body[condition];
    const std::optional<IndexMap> map = op_def(move).access(body.type(move.inputs[0]), move.type, move.attrs);
    if (!map || map->bounded) return std::nullopt;
    Positions inner;
    for (const Affine& axis : map->axes) inner.push_back(substitute(axis, at));
    at = std::move(inner);
    condition = move.inputs[0];
  }
  const Node& equal = body[condition];
  if (equal.op != OpKind::Eq) return std::nullopt;
  const std::optional<Affine> a = position_at(body, equal.inputs[0], at, step),
                              b = position_at(body, equal.inputs[1], at, step);
  if (!a || !b) return std::nullopt;
  const Affine difference = *a - *b;
  if (difference.terms.size() != 2 || difference.terms[0].first != kNow) return std::nullopt;
  const auto [free, factor] = difference.terms[1];
  const Affine lead = difference * -factor;  // position == step + lead: step + lead - position
  if (lead.coefficient(kNow) != 1 || lead.coefficient(free) != -1) return std::nullopt;
  return Sequence{carry, free - kFree, lead.constant};
}

/// A whole length of the sequence is one axis of the value.
void add_axis(std::vector<int32_t>& axes, int64_t axis) {
  const auto place = static_cast<int32_t>(axis);
  if (place >= 0 && std::ranges::find(axes, place) == axes.end()) axes.push_back(place);
}

/// Axes of a node's result that are the positions of operand k along `axis`.
std::vector<int32_t> axes_in_result(const SequenceLoop& loop, const Node& node, size_t k, int32_t axis) {
  const Graph& body = *loop.body;
  std::vector<int32_t> found;
  const auto is_long = [&](int64_t result) {
    return result >= 0 && node.type.shape[static_cast<size_t>(result)] == Extent(loop.length);
  };
  const auto of_map = [&](const IndexMap& map, int32_t rank) {
    for (const auto& [index, factor] : map.axes[static_cast<size_t>(axis)].terms) {
      if (index < rank && factor == 1 && is_long(index)) add_axis(found, index);
    }
  };
  switch (op_def(node).kind) {
    case Kind::Elementwise: return {axis};
    case Kind::Contract: {
      const IndexFormula& formula = node.attrs.formula("formula");
      of_map(formula.operands[k % formula.operands.size()], formula.rank);
      return found;
    }
    case Kind::Move: {
      const TensorType& operand = body.type(node.inputs[0]);
      if (const std::optional<IndexMap> map = op_def(node).access(operand, node.type, node.attrs)) {
        of_map(*map, static_cast<int32_t>(node.type.rank()));
        return found;
      }
      const int64_t through = through_reshape(operand.shape, node.type.shape, axis);
      if (is_long(through)) add_axis(found, through);
      return found;
    }
    case Kind::Reduce: {
      const std::optional<AxisCut> cut = cut_of_operand(body, node, k, axis);
      if (cut && cut->result >= 0) return {cut->result};
      return {};
    }
    case Kind::Gather:
      if (k == 1) return {axis};
      return axis == 0 ? std::vector<int32_t>{}
                       : std::vector<int32_t>{axis - 1 + static_cast<int32_t>(body.type(node.inputs[1]).rank())};
    default: return {};
  }
}

/// Whether a loop in the body runs over the positions, from the first to the last.
bool runs_over_positions(const SequenceLoop& loop, const Node& scan) {
  return steps_of(scan) == Extent(loop.length) && !is_reversed(scan);
}

std::vector<int32_t> positions_of(const SequenceLoop& loop, const Node& node) {
  if (node.op == OpKind::Part) {
    const Node& scan = (*loop.body)[node.inputs[0]];
    const bool over = runs_over_positions(loop, scan) && is_stacked_part(*loop.body, node);
    return over && loop.depends[node.inputs[0].index] ? std::vector<int32_t>{0} : std::vector<int32_t>{};
  }
  std::vector<int32_t> axes;
  for (size_t k = 0; k < node.inputs.size(); ++k) {
    for (const int32_t axis : loop.positions[node.inputs[k].index]) {
      for (const int32_t result : axes_in_result(loop, node, k, axis)) add_axis(axes, result);
    }
  }
  return axes;
}

void follow_positions(SequenceLoop& loop) {
  const Graph& body = *loop.body;
  loop.is_read.resize(body.size());
  loop.depends.resize(body.size());
  loop.varies.resize(body.size());
  loop.positions.resize(body.size());
  for (const Argument& argument : body.arguments) loop.varies[argument.node.index] = argument.role != ArgRole::Whole;
  for (const Sequence& sequence : loop.sequences) {
    loop.depends[sequence.carry.index] = true;
    loop.varies[sequence.carry.index] = false;
    loop.positions[sequence.carry.index] = {sequence.axis};
  }
  for (uint32_t i = 0; i < body.size(); ++i) {
    const Node& node = body.nodes[i];
    if (node.op == OpKind::Argument) continue;
    for (const NodeId input : node.inputs) {
      loop.depends[i] = loop.depends[i] || loop.depends[input.index];
      loop.varies[i] = loop.varies[i] || loop.varies[input.index];
    }
    if (!loop.depends[i]) continue;
    const std::vector<int32_t>& table = node.inputs.empty() ? loop.positions[i] : loop.positions[node.inputs[0].index];
    if (node.op == OpKind::Gather && node.inputs[1] == loop.step && std::ranges::find(table, 0) != table.end()) {
      loop.is_read[i] = true;
      loop.depends[i] = false;
      loop.varies[i] = true;
      continue;
    }
    loop.positions[i] = positions_of(loop, node);
  }
}

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
    const bool light = kind == Kind::Elementwise || kind == Kind::Move || kind == Kind::Argument;
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
      if (loop_.depends[id.index]) return refuse(id, "does not keep positions apart");
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

std::vector<IndexMap> maps_of(const Graph& body, const Node& node) {
  if (op_def(node).kind == Kind::Contract) return node.attrs.formula("formula").operands;
  if (op_def(node).kind != Kind::Move) return {};
  const std::optional<IndexMap> map = op_def(node).access(body.type(node.inputs[0]), node.type, node.attrs);
  return map ? std::vector<IndexMap>{*map} : std::vector<IndexMap>{};
}

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

const Sequence* SequenceLoop::sequence_of(NodeId id) const {
  const auto found = std::ranges::find(sequences, id, &Sequence::carry);
  return found == sequences.end() ? nullptr : &*found;
}

bool is_stacked_part(const Graph& body, const Node& node) {
  if (node.op != OpKind::Part) return false;
  const Node& scan = body[node.inputs[0]];
  return scan.body->results[static_cast<size_t>(node.attrs.integer("result"))].role == ResultRole::Stacked;
}

std::optional<SequenceLoop> find_sequence_loop(const Graph& graph, const Node& scan) {
  if (scan.op != OpKind::Scan || is_reversed(scan)) return std::nullopt;
  SequenceLoop loop;
  loop.body = scan.body.get();
  loop.step = counter_of(graph, scan);
  if (!loop.step.valid()) return std::nullopt;
  for (const Output& result : loop.body->results) {
    if (result.role != ResultRole::Carry) continue;
    const NodeId carry = loop.body->arguments[carry_argument(*loop.body, result.ref)].node;
    const std::optional<Sequence> sequence = sequence_of_update(*loop.body, carry, result.node, loop.step);
    if (!sequence || sequence->lead < 0) continue;
    const Extent& length = loop.body->type(carry).shape[static_cast<size_t>(sequence->axis)];
    if (!length.is_static() || (loop.length != 0 && length.bound != loop.length)) continue;
    loop.length = length.bound;
    loop.sequences.push_back(*sequence);
  }
  if (loop.sequences.empty() || steps_of(scan).bound > loop.length) return std::nullopt;
  follow_positions(loop);
  if (std::ranges::find(loop.is_read, true) == loop.is_read.end()) return std::nullopt;
  return loop;
}

Demands find_demands(const SequenceLoop& loop) { return DemandFinder(loop).run(); }

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
