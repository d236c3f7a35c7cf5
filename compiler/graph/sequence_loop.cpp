#include "compiler/graph/sequence_loop.h"

#include <algorithm>

#include "compiler/graph/cut_axis.h"
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

/// Whether it is the carry with its rows in an order that the step has found.
bool is_carry_by_parents(const Graph& body, NodeId id, NodeId carry) {
  const Node& node = body[id];
  return node.op == OpKind::Gather && node.inputs[0] == carry && node.type == body.type(carry);
}

/// `carry` where `next` is select(position == step + lead, .., carry), or of the carry with other rows.
std::optional<Sequence> sequence_of_update(const Graph& body, NodeId carry, NodeId next, NodeId step) {
  const Node& update = body[next];
  if (update.op != OpKind::Select) return std::nullopt;
  const bool moves = is_carry_by_parents(body, update.inputs[2], carry);
  if (update.inputs[2] != carry && !moves) return std::nullopt;
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
  if (moves && free == kFree) return std::nullopt;  // rows are no positions
  return Sequence{carry, free - kFree, lead.constant, moves ? update.inputs[2] : NodeId{}};
}

/// Sequences with rows that all go on from the same parents, or none that do.
bool share_parents(SequenceLoop& loop) {
  for (size_t k = 0; k < loop.sequences.size(); ++k) {
    const NodeId moved = loop.sequences[k].moved;
    const NodeId parents = moved.valid() ? (*loop.body)[moved].inputs[1] : NodeId{};
    if (k > 0 && parents != loop.parents) return false;
    loop.parents = parents;
  }
  if (!loop.parents.valid()) return true;
  std::vector<RowPlace> given(loop.body->size());
  for (const Sequence& sequence : loop.sequences) given[sequence.carry.index].axis = 0;
  loop.rows = find_rows(*loop.body, given);
  return true;
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
    case Kind::Gather: {
      const auto row = static_cast<int32_t>(row_axis(node));
      if (k == 1 || axis < row) return {axis};
      if (axis == row) return {};
      return {axis - row - 1 + static_cast<int32_t>(body.type(node.inputs[1]).rank())};
    }
    default: return {};
  }
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

/// What stands in the way of a read at the position of the step: positions go into it, and none come out.
NodeId mixes_positions(const SequenceLoop& loop) {
  const Graph& body = *loop.body;
  for (uint32_t i = 0; i < body.size(); ++i) {
    const Node& read = body.nodes[i];
    if (read.op != OpKind::Gather || read.inputs[1] != loop.step) continue;
    NodeId at = read.inputs[0];
    while (loop.depends[at.index] && loop.positions[at.index].empty()) {
      NodeId before;
      for (const NodeId input : body[at].inputs) {
        if (!loop.positions[input.index].empty()) return at;
        if (loop.depends[input.index]) before = input;
      }
      at = before;
    }
  }
  return {};
}

}  // namespace

void add_axis(std::vector<int32_t>& axes, int64_t axis) {
  const auto place = static_cast<int32_t>(axis);
  if (place >= 0 && std::ranges::find(axes, place) == axes.end()) axes.push_back(place);
}

bool runs_over_positions(const SequenceLoop& loop, const Node& scan) {
  return steps_of(scan) == Extent(loop.length) && !is_reversed(scan) && !may_stop(scan);
}

std::vector<IndexMap> maps_of(const Graph& body, const Node& node) {
  if (op_def(node).kind == Kind::Contract) return node.attrs.formula("formula").operands;
  if (op_def(node).kind != Kind::Move) return {};
  const std::optional<IndexMap> map = op_def(node).access(body.type(node.inputs[0]), node.type, node.attrs);
  return map ? std::vector<IndexMap>{*map} : std::vector<IndexMap>{};
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

bool SequenceLoop::is_moved(NodeId id) const {
  return std::ranges::find(sequences, id, &Sequence::moved) != sequences.end();
}

std::optional<Sequence> sequence_of_carry(const Graph& graph, const Node& scan, int32_t ref) {
  const NodeId step = counter_of(graph, scan);
  if (!step.valid() || is_reversed(scan)) return std::nullopt;
  const Graph& body = *scan.body;
  return sequence_of_update(body, body.arguments[carry_argument(body, ref)].node,
                            body.results[carry_result(body, ref)].node, step);
}

std::expected<SequenceLoop, NodeId> find_sequence_loop(const Graph& graph, const Node& scan) {
  const std::unexpected<NodeId> none{NodeId{}};
  if (scan.op != OpKind::Scan || is_reversed(scan)) return none;
  SequenceLoop loop;
  loop.body = scan.body.get();
  loop.step = counter_of(graph, scan);
  if (!loop.step.valid()) return none;
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
  if (loop.sequences.empty() || steps_of(scan).bound > loop.length) return none;
  if (!share_parents(loop)) return none;
  follow_positions(loop);
  if (std::ranges::find(loop.is_read, true) == loop.is_read.end()) return std::unexpected(mixes_positions(loop));
  return loop;
}

}  // namespace smelt
