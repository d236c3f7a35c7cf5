// The rules of `simplify` about shapes: movements are merged, moved out of the way of arithmetic, or folded
// into the formula of a contraction.
#include <algorithm>

#include "compiler/graph/simplify.h"
#include "ir/op.h"
#include "ir/ops/shape_rules.h"
#include "ir/support/check.h"

namespace smelt {
namespace {

using Axes = std::vector<int64_t>;

/// a[order[i]] for each i.
Axes composed(const Axes& a, const Axes& order) {
  Axes result;
  for (const int64_t axis : order) result.push_back(a[static_cast<size_t>(axis)]);
  return result;
}

bool is_identity(const Axes& axes) {
  for (size_t i = 0; i < axes.size(); ++i) {
    if (axes[i] != static_cast<int64_t>(i)) return false;
  }
  return true;
}

NodeId move_of_constant(Match& m) {
  const std::optional<double> value = m.number(0);
  return value ? m.build().constant(*value, m.type()) : kNoMatch;
}

NodeId same_type_move(Match& m) { return m.operand(0).type == m.type() ? m.in(0) : kNoMatch; }

NodeId transpose_of_transpose(Match& m) {
  if (!m.is(0, OpKind::Transpose)) return kNoMatch;
  const Axes& inner = m.operand(0).attrs.integers("permutation");
  return m.build().transpose(m.in(0, 0), composed(inner, m.attrs().integers("permutation")));
}

/// broadcast(broadcast(x)): operand axis i goes to inner[i], and from there to outer[inner[i]].
NodeId broadcast_of_broadcast(Match& m) {
  if (!m.is(0, OpKind::Broadcast)) return kNoMatch;
  const Axes& inner = m.operand(0).attrs.integers("axes");
  return m.build().broadcast(m.in(0, 0), m.type().shape, composed(m.attrs().integers("axes"), inner));
}

/// broadcast(transpose(x)): axis i of the transpose is axis permutation[i] of x.
NodeId broadcast_of_transpose(Match& m) {
  if (!m.is(0, OpKind::Transpose) || is_turned_for_many(m.build().graph(), m.in(0), m.type().shape)) return kNoMatch;
  const Axes& permutation = m.operand(0).attrs.integers("permutation");
  Axes axes(permutation.size());
  for (size_t i = 0; i < axes.size(); ++i) axes[permutation[i]] = m.attrs().integers("axes")[i];
  return m.build().broadcast(m.in(0, 0), m.type().shape, std::move(axes));
}

/// transpose(broadcast(x)): result axis i is axis permutation[i] of the broadcast.
NodeId transpose_of_broadcast(Match& m) {
  if (!m.is(0, OpKind::Broadcast)) return kNoMatch;
  const Axes& permutation = m.attrs().integers("permutation");
  Axes axes;
  for (const int64_t axis : m.operand(0).attrs.integers("axes")) {
    axes.push_back(std::ranges::find(permutation, axis) - permutation.begin());
  }
  return m.build().broadcast(m.in(0, 0), m.type().shape, std::move(axes));
}

NodeId slice_of_slice(Match& m) {
  if (!m.is(0, OpKind::Slice)) return kNoMatch;
  const Axes inner = m.operand(0).attrs.integers("starts");
  Axes starts = m.attrs().integers("starts"), limits = m.attrs().integers("limits");
  for (size_t i = 0; i < inner.size(); ++i) {
    starts[i] += inner[i];
    limits[i] += inner[i];
  }
  return m.build().make(OpKind::Slice, {m.in(0, 0)}, {{"starts", starts}, {"limits", limits}});
}

/// The part that a pad did not touch, or part of it.
NodeId slice_of_pad(Match& m) {
  if (!m.is(0, OpKind::Pad)) return kNoMatch;
  const Axes low = m.operand(0).attrs.integers("low");
  const Shape inner = m.graph().type(m.in(0, 0)).shape;
  Axes starts = m.attrs().integers("starts"), limits = m.attrs().integers("limits");
  for (size_t i = 0; i < low.size(); ++i) {
    starts[i] -= low[i];
    limits[i] -= low[i];
    if (starts[i] < 0 || limits[i] > inner[i].bound) return kNoMatch;
  }
  return m.build().make(OpKind::Slice, {m.in(0, 0)}, {{"starts", starts}, {"limits", limits}});
}

NodeId pad_of_pad(Match& m) {
  if (!m.is(0, OpKind::Pad)) return kNoMatch;
  Axes low = m.attrs().integers("low"), high = m.attrs().integers("high");
  for (size_t i = 0; i < low.size(); ++i) {
    low[i] += m.operand(0).attrs.integers("low")[i];
    high[i] += m.operand(0).attrs.integers("high")[i];
  }
  return m.build().make(OpKind::Pad, {m.in(0, 0)}, {{"low", low}, {"high", high}});
}

/// reshape(gather(t, i)) -> gather(reshape(t), i) when the axes of the index stay: the table is reshaped once
/// and not each batch, and usually for free. A column of data may have any number of rows; only the reader allocates
/// them, so the reshape of a column with long rows may be beyond the limit of tensors, and then stays behind.
NodeId reshape_of_gather(Match& m) {
  if (!m.is(0, OpKind::Gather)) return kNoMatch;
  const NodeId table = m.in(0, 0), index = m.in(0, 1);
  const Shape index_shape = m.graph().type(index).shape;
  const Shape& result = m.type().shape;
  if (result.size() < index_shape.size() || !std::equal(index_shape.begin(), index_shape.end(), result.begin())) {
    return kNoMatch;
  }
  const Shape from = m.graph().type(table).shape;
  Shape to{from[0]};
  to.insert(to.end(), result.begin() + static_cast<std::ptrdiff_t>(index_shape.size()), result.end());
  if (!shape_rules::reshape_keeps_extents(from, to)) return kNoMatch;
  const Result<NodeId> reshaped =
      m.build().push(OpKind::Reshape, {table}, {{"type", TensorType{m.graph().type(table).dtype, to}}});
  if (!reshaped) return kNoMatch;
  return m.build().make(OpKind::Gather, {*reshaped, index});
}

/// contract(transpose(x), b): the formula reads x in its own order.
template <size_t side>
NodeId contract_of_transpose(Match& m) {
  if (!m.is(side, OpKind::Transpose) || m.node().inputs.size() != 2) return kNoMatch;
  IndexFormula formula = m.attrs().formula("formula");
  const Node& moved = m.operand(side);
  const IndexMap through = *op_def(moved).access(m.graph().type(moved.inputs[0]), moved.type, moved.attrs);
  formula.operands[side] = compose(through, formula.operands[side]);
  const NodeId x = m.in(side, 0);
  return side == 0 ? m.build().contract(x, m.in(1), std::move(formula))
                   : m.build().contract(m.in(0), x, std::move(formula));
}

/// contract(1, x) without sums: x in the order of the result. A transposed convolution is the adjoint of a sum, whose
/// own cotangent is 1; left as a product, it would hide the convolution from what computes x.
NodeId contract_of_one(Match& m) {
  const IndexFormula& formula = m.attrs().formula("formula");
  if (m.node().inputs.size() != 2 || formula.num_indices() != formula.rank) return kNoMatch;
  const std::array shapes{m.operand(0).type.shape, m.operand(1).type.shape};
  if (!reads_whole_axes(formula, shapes)) return kNoMatch;
  for (size_t side = 0; side < 2; ++side) {
    const IndexMap& map = formula.operands[1 - side];
    if (!m.is_number(side, 1) || map.axes.size() != static_cast<size_t>(formula.rank)) continue;
    Axes permutation;
    for (int32_t index = 0; index < formula.rank; ++index) permutation.push_back(map.plain_axis_of(index));
    return m.build().transpose(m.in(1 - side), std::move(permutation));
  }
  return kNoMatch;
}

/// transpose(contract(a, b)): the formula writes in the order that is asked for. Convolutions keep theirs, which
/// `choose_layouts` has chosen or will choose.
NodeId transpose_of_contract(Match& m) {
  if (!m.is(0, OpKind::Contract) || m.operand(0).inputs.size() != 2) return kNoMatch;
  const IndexFormula& formula = m.operand(0).attrs.formula("formula");
  if (!formula.is_plain()) return kNoMatch;
  const Axes& permutation = m.attrs().integers("permutation");
  IndexFormula result = formula;
  std::vector<Affine> places;  // where each index of `formula` is in `result`
  for (int32_t index = 0; index < formula.num_indices(); ++index) places.push_back(Affine::of(index));
  for (size_t i = 0; i < permutation.size(); ++i) {
    const auto from = static_cast<size_t>(permutation[i]);
    places[from] = Affine::of(static_cast<int32_t>(i));
    result.extents[i] = formula.extents[from];
  }
  for (IndexMap& map : result.operands) {
    for (Affine& axis : map.axes) axis = substitute(axis, places);
  }
  return m.build().contract(m.in(0, 0), m.in(0, 1), std::move(result));
}

/// read(move(x)): one read through both maps, unless both may leave what they read: what is outside for the one could
/// be inside for the other. A window over a part of a run-time axis stays two reads: the sum of their indices would run
/// over the axis itself, which formulas may not.
NodeId read_of_move(Match& m) {
  const Node& moved = m.operand(0);
  if (op_def(moved).kind != Kind::Move) return kNoMatch;
  const std::optional<IndexMap> inner = op_def(moved).access(m.graph().type(moved.inputs[0]), moved.type, moved.attrs);
  IndexFormula formula = m.attrs().formula("formula");
  if (!inner || inner->bounded || formula.operands[0].bounded) return kNoMatch;
  formula.operands[0] = compose(*inner, formula.operands[0]);
  for (size_t i = 0; i < formula.extents.size(); ++i) formula.extents[i] = m.type().shape[i];
  const auto read = m.build().push(OpKind::Read, {m.in(0, 0)},
                                   {{"formula", std::move(formula)}, {"outside", m.attrs().number("outside")}});
  return read ? *read : kNoMatch;
}

/// Splits the axes of a reduction of a broadcast into repeated ones and ones of x, the latter in x's
/// numbering.
struct ReducedBroadcast {
  Axes repeated;
  Axes own;
};
std::optional<ReducedBroadcast> reduced_broadcast(Match& m) {
  if (!m.is(0, OpKind::Broadcast)) return std::nullopt;
  const Axes& axes = m.operand(0).attrs.integers("axes");
  ReducedBroadcast split;
  for (const int64_t axis : m.attrs().integers("axes")) {
    const auto found = std::ranges::find(axes, axis);
    if (found == axes.end()) {
      split.repeated.push_back(axis);
    } else {
      split.own.push_back(found - axes.begin());
    }
  }
  if (split.repeated.empty()) return std::nullopt;
  std::ranges::sort(split.own);
  return split;
}

/// Repeats `x`, the broadcast's operand after a reduction over `own`, along the axes that were not reduced.
NodeId broadcast_rest(Match& m, NodeId x, const Axes& own) {
  const Axes axes = m.operand(0).attrs.integers("axes");
  const Axes& reduced = m.attrs().integers("axes");
  Axes places;
  for (size_t i = 0; i < axes.size(); ++i) {
    if (std::ranges::find(own, static_cast<int64_t>(i)) != own.end()) continue;
    places.push_back(axes[i] - std::ranges::count_if(reduced, [&](int64_t axis) { return axis < axes[i]; }));
  }
  return m.build().broadcast(x, m.type().shape, std::move(places));
}

NodeId sum_of_broadcast(Match& m) {
  const std::optional<ReducedBroadcast> split = reduced_broadcast(m);
  if (!split || !is_float(m.type().dtype)) return kNoMatch;
  Builder& b = m.build();
  const NodeId sum = b.reduce_sum(m.in(0, 0), split->own);
  const NodeId count = b.count(m.in(0), split->repeated, m.type().dtype);
  return broadcast_rest(m, b.mul(sum, b.broadcast(count, Shape(b.type(sum).shape), {})), split->own);
}

/// The extremum of repeated numbers, which must be there at least once.
NodeId extremum_of_broadcast(Match& m) {
  const std::optional<ReducedBroadcast> split = reduced_broadcast(m);
  if (!split) return kNoMatch;
  for (const int64_t axis : split->repeated) {
    const Extent& extent = m.operand(0).type.shape[static_cast<size_t>(axis)];
    if (!extent.is_static() || extent.bound == 0) return kNoMatch;
  }
  const NodeId x = m.in(0, 0);
  const NodeId kept = split->own.empty() ? x : m.build().make(m.node().op, {x}, {{"axes", split->own}});
  return broadcast_rest(m, kept, split->own);
}

/// A reduction over axes of size 1, or over none, only drops them.
NodeId reduce_of_ones(Match& m) {
  for (const int64_t axis : m.attrs().integers("axes")) {
    if (m.operand(0).type.shape[static_cast<size_t>(axis)] != Extent(1)) return kNoMatch;
  }
  return m.build().reshape(m.in(0), m.type().shape);
}

/// f(broadcast(a), broadcast(b), c) -> broadcast(f(a, b, c)): the arithmetic is done once, not for every
/// copy.
NodeId elementwise_of_broadcasts(Match& m) {
  const Node* first = nullptr;
  for (size_t i = 0; i < m.node().inputs.size(); ++i) {
    const Node& operand = m.operand(i);
    if (operand.op == OpKind::Constant) continue;
    if (operand.op != OpKind::Broadcast) return kNoMatch;
    if (first == nullptr) first = &operand;
    const bool alike = operand.attrs.integers("axes") == first->attrs.integers("axes") &&
                       m.graph().type(operand.inputs[0]).shape == m.graph().type(first->inputs[0]).shape;
    if (!alike) return kNoMatch;
  }
  if (first == nullptr) return kNoMatch;
  const Axes axes = first->attrs.integers("axes");
  const Shape small = m.graph().type(first->inputs[0]).shape;
  std::vector<NodeId> inputs;
  for (size_t i = 0; i < m.node().inputs.size(); ++i) {
    const TensorType type{m.operand(i).type.dtype, small};
    inputs.push_back(m.is(i, OpKind::Broadcast) ? m.in(i, 0) : m.build().constant(*m.number(i), type));
  }
  return m.build().broadcast(m.build().make(m.node().op, std::move(inputs), m.attrs()), m.type().shape, axes);
}

constexpr Rule kMovementRules[] = {
    {"broadcast_constant", "broadcast(c) -> c", OpKind::Broadcast, move_of_constant},
    {"transpose_constant", "transpose(c) -> c", OpKind::Transpose, move_of_constant},
    {"reshape_constant", "reshape(c) -> c", OpKind::Reshape, move_of_constant},
    {"slice_constant", "slice(c) -> c", OpKind::Slice, move_of_constant},
    {"transpose_identity", "transpose(x) in order -> x", OpKind::Transpose,
     [](Match& m) { return is_identity(m.attrs().integers("permutation")) ? m.in(0) : kNoMatch; }},
    {"transpose_transpose", "transpose(transpose(x)) -> transpose(x)", OpKind::Transpose, transpose_of_transpose},
    {"transpose_broadcast", "transpose(broadcast(x)) -> broadcast(x)", OpKind::Transpose, transpose_of_broadcast},
    {"transpose_contract", "transpose(contract(a, b)) -> contract(a, b)", OpKind::Transpose, transpose_of_contract},
    {"reshape_identity", "reshape(x) to the shape of x -> x", OpKind::Reshape, same_type_move},
    {"reshape_reshape", "reshape(reshape(x)) -> reshape(x)", OpKind::Reshape,
     [](Match& m) { return m.is(0, OpKind::Reshape) ? m.build().reshape(m.in(0, 0), m.type().shape) : kNoMatch; }},
    {"reshape_gather", "reshape(gather(t, i)) -> gather(reshape(t), i)", OpKind::Reshape, reshape_of_gather},
    {"broadcast_identity", "broadcast(x) to the shape of x, in order -> x", OpKind::Broadcast,
     [](Match& m) {
       return m.operand(0).type == m.type() && is_identity(m.attrs().integers("axes")) ? m.in(0) : kNoMatch;
     }},
    {"broadcast_broadcast", "broadcast(broadcast(x)) -> broadcast(x)", OpKind::Broadcast, broadcast_of_broadcast},
    {"broadcast_transpose", "broadcast(transpose(x)) -> broadcast(x)", OpKind::Broadcast, broadcast_of_transpose},
    {"read_move", "read(move(x)) -> read(x) through both maps", OpKind::Read, read_of_move},
    {"slice_identity", "slice(x) of everything -> x", OpKind::Slice, same_type_move},
    {"slice_slice", "slice(slice(x)) -> slice(x)", OpKind::Slice, slice_of_slice},
    {"slice_pad", "slice(pad(x)) inside of x -> slice(x)", OpKind::Slice, slice_of_pad},
    {"pad_identity", "pad(x) by nothing -> x", OpKind::Pad, same_type_move},
    {"pad_pad", "pad(pad(x)) -> pad(x)", OpKind::Pad, pad_of_pad},
    {"contract_transpose_left", "contract(transpose(a), b) -> contract(a, b)", OpKind::Contract,
     contract_of_transpose<0>},
    {"contract_transpose_right", "contract(a, transpose(b)) -> contract(a, b)", OpKind::Contract,
     contract_of_transpose<1>},
    {"contract_one", "contract(1, x) -> transpose(x) when nothing is summed", OpKind::Contract, contract_of_one},
    {"sum_ones", "reduce_sum over axes of size 1 -> reshape; a -0 stays -0", OpKind::ReduceSum, reduce_of_ones},
    {"max_ones", "reduce_max over axes of size 1 -> reshape", OpKind::ReduceMax, reduce_of_ones},
    {"min_ones", "reduce_min over axes of size 1 -> reshape", OpKind::ReduceMin, reduce_of_ones},
    {"sum_broadcast", "reduce_sum(broadcast(x)) -> x * n; n equal numbers need no adding", OpKind::ReduceSum,
     sum_of_broadcast},
    {"max_broadcast", "reduce_max(broadcast(x)) -> x", OpKind::ReduceMax, extremum_of_broadcast},
    {"min_broadcast", "reduce_min(broadcast(x)) -> x", OpKind::ReduceMin, extremum_of_broadcast},
};

constexpr std::string_view kPullName = "elementwise_broadcasts";
constexpr std::string_view kPullDoc = "f(broadcast(a), broadcast(b), c) -> broadcast(f(a, b, c))";

/// The table, and `elementwise_broadcasts` for each elementwise op.
std::vector<Rule> all_rules() {
  std::vector<Rule> rules(std::begin(kMovementRules), std::end(kMovementRules));
  for (const OpDef& op : all_ops()) {
    if (op.kind == Kind::Elementwise) rules.push_back({kPullName, kPullDoc, op_kind(op), elementwise_of_broadcasts});
  }
  return rules;
}

}  // namespace

std::span<const Rule> movement_rules() {
  static const std::vector<Rule> rules = all_rules();
  return rules;
}

}  // namespace smelt
