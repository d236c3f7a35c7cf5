#include "ir/ops/vjp_rules.h"

#include <algorithm>
#include <numeric>

#include "ir/ops/index_adjoint.h"
#include "ir/support/check.h"

namespace smelt {
namespace {

/// `select(condition, value, 0)`, or with `inverted` `select(condition, 0, value)`.
struct Masked {
  NodeId condition;
  NodeId value;
  bool inverted = false;
};

std::optional<Masked> as_masked(const Graph& graph, NodeId id) {
  const Node& node = graph[id];
  if (node.op != OpKind::Select) return std::nullopt;
  if (constant_value(graph, node.inputs[2]) == 0.0) return Masked{node.inputs[0], node.inputs[1], false};
  if (constant_value(graph, node.inputs[1]) == 0.0) return Masked{node.inputs[0], node.inputs[2], true};
  return std::nullopt;
}

NodeId build_masked(Builder& builder, const Masked& mask) {
  const NodeId zero = builder.like(mask.value, 0);
  return mask.inverted ? builder.select(mask.condition, zero, mask.value)
                       : builder.select(mask.condition, mask.value, zero);
}

/// Applies `change` to the value inside the mask, and inside masks in that, or to `ct` itself.
template <typename Change>
NodeId inside_mask(Builder& builder, NodeId ct, Change change) {
  std::optional<Masked> mask = as_masked(builder.graph(), ct);
  if (!mask) return change(ct);
  mask->value = inside_mask(builder, mask->value, change);
  return build_masked(builder, *mask);
}

/// The same node, or the same movement of the same condition.
bool same_condition(const Graph& graph, NodeId a, NodeId b) {
  while (a != b) {
    const Node &x = graph[a], &y = graph[b];
    if (x.op != y.op || op_def(x).kind != Kind::Move || x.attrs != y.attrs || x.type != y.type) return false;
    a = x.inputs[0];
    b = y.inputs[0];
  }
  return true;
}

}  // namespace

std::optional<double> constant_value(const Graph& graph, NodeId id) {
  const Node& node = graph[id];
  if (node.op != OpKind::Constant) return std::nullopt;
  return node.attrs.number("value");
}

NodeId add_cotangents(Builder& builder, NodeId a, NodeId b) {
  const std::optional<Masked> mask_a = as_masked(builder.graph(), a);
  const std::optional<Masked> mask_b = as_masked(builder.graph(), b);
  if (!mask_a || !mask_b) return builder.add(a, b);
  if (!same_condition(builder.graph(), mask_a->condition, mask_b->condition)) {
    // Where neither counts the sum is masked as well.
    const auto counts = [&](const Masked& mask) {
      return mask.inverted ? builder.make(OpKind::Not, {mask.condition}) : mask.condition;
    };
    const NodeId either = builder.make(OpKind::Or, {counts(*mask_a), counts(*mask_b)});
    return build_masked(builder, {either, builder.add(a, b), false});
  }
  if (mask_a->inverted == mask_b->inverted) {
    return build_masked(builder, {mask_a->condition, builder.add(mask_a->value, mask_b->value), mask_a->inverted});
  }
  // The two branches of one `select`.
  const Masked &then = mask_a->inverted ? *mask_b : *mask_a, &otherwise = mask_a->inverted ? *mask_a : *mask_b;
  return builder.select(then.condition, then.value, otherwise.value);
}

Vjp::Vjp(Builder& builder, NodeId id, NodeId ct, std::vector<bool> needed)
    : builder_(builder),
      node_(builder.graph()[id]),
      id_(id),
      ct_(ct),
      needed_(std::move(needed)),
      cotangents_(node_.inputs.size()) {
  SMELT_CHECK(needed_.size() == node_.inputs.size(), "`{}` has {} operands", op_def(node_).name, needed_.size());
  SMELT_CHECK(builder.type(ct) == node_.type, "cotangent `{}` of `{}`", to_string(builder.type(ct)),
              to_string(node_.type));
}

void Vjp::add(size_t i, NodeId ct) {
  SMELT_CHECK(builder_.type(ct) == type(i), "vjp of `{}` gives `{}` for operand {} of type `{}`", op_def(node_).name,
              to_string(builder_.type(ct)), i, to_string(type(i)));
  cotangents_[i] = cotangents_[i].valid() ? add_cotangents(builder_, cotangents_[i], ct) : ct;
}

NodeId Vjp::moved(NodeId ct, const std::function<NodeId(NodeId)>& move) {
  const std::optional<Masked> mask = as_masked(builder_.graph(), ct);
  if (!mask) return move(ct);
  const NodeId condition = move(mask->condition);
  return build_masked(builder_, {condition, moved(mask->value, move), mask->inverted});
}

NodeId Vjp::times(NodeId ct, NodeId factor) {
  return inside_mask(builder_, ct, [&](NodeId value) { return builder_.mul(value, factor); });
}

NodeId Vjp::times(NodeId ct, double factor) { return times(ct, builder_.like(ct, factor)); }

NodeId Vjp::over(NodeId ct, NodeId divisor) {
  return inside_mask(builder_, ct, [&](NodeId value) { return builder_.div(value, divisor); });
}

NodeId Vjp::negated(NodeId ct) {
  return inside_mask(builder_, ct, [&](NodeId value) { return builder_.neg(value); });
}

NodeId Vjp::where(NodeId condition, NodeId ct) { return masked(condition, ct, false); }
NodeId Vjp::unless(NodeId condition, NodeId ct) { return masked(condition, ct, true); }

NodeId Vjp::masked(NodeId condition, NodeId ct, bool inverted) {
  const std::optional<Masked> mask = as_masked(builder_.graph(), ct);
  if (!mask || !same_condition(builder_.graph(), mask->condition, condition))
    return build_masked(builder_, {condition, ct, inverted});
  return mask->inverted == inverted ? ct : builder_.like(ct, 0);
}

namespace vjp_rules {
namespace {

std::vector<int64_t> axes_outside(const std::vector<int64_t>& axes, size_t rank) {
  std::vector<int64_t> others;
  for (int64_t axis = 0; axis < static_cast<int64_t>(rank); ++axis) {
    if (std::ranges::find(axes, axis) == axes.end()) others.push_back(axis);
  }
  return others;
}

/// d/da a^b = b a^(b-1). With a constant exponent the factors are made here, so that x^2 at 0 and at x < 0 is
/// exact.
void pow_base(Vjp& v) {
  Builder& b = v.build();
  const NodeId base = v.operand(0), exponent = v.operand(1);
  if (const std::optional<double> c = constant_value(b.graph(), exponent)) {
    if (*c == 0.0) return;
    if (*c == 1.0) return v.add(0, v.ct());
    const NodeId power = *c == 2.0 ? base : b.make(OpKind::Pow, {base, b.like(base, *c - 1)});
    return v.add(0, v.times(v.ct(), b.mul(b.like(base, *c), power)));
  }
  // At a = b = 0 the factor b is 0 and a^(b-1) infinite; the derivative of a^0 is 0.
  const NodeId zero = b.like(base, 0), one = b.like(base, 1);
  const NodeId both_zero =
      b.make(OpKind::And, {b.make(OpKind::Eq, {base, zero}), b.make(OpKind::Eq, {exponent, zero})});
  const NodeId power = b.make(OpKind::Pow, {base, b.select(both_zero, one, b.sub(exponent, one))});
  v.add(0, v.times(v.ct(), b.mul(exponent, power)));
}

/// d/db a^b = a^b log a for a > 0, and 0 elsewhere: a negative base has real powers at integer exponents
/// only.
void pow_exponent(Vjp& v) {
  Builder& b = v.build();
  const NodeId base = v.operand(0);
  const NodeId positive = b.make(OpKind::Gt, {base, b.like(base, 0)});
  const NodeId log = b.log(b.select(positive, base, b.like(base, 1)));
  v.add(1, v.where(positive, v.times(v.ct(), b.mul(v.result(), log))));
}

void extremum(Vjp& v, OpKind first_wins) {
  const NodeId first = v.build().make(first_wins, {v.operand(0), v.operand(1)});
  if (v.needs(0)) v.add(0, v.where(first, v.ct()));
  if (v.needs(1)) v.add(1, v.unless(first, v.ct()));
}

}  // namespace

void pow(Vjp& v) {
  if (v.needs(0)) pow_base(v);
  if (v.needs(1)) pow_exponent(v);
}

void max(Vjp& v) { extremum(v, OpKind::Ge); }
void min(Vjp& v) { extremum(v, OpKind::Le); }

void select(Vjp& v) {
  if (v.needs(1)) v.add(1, v.where(v.operand(0), v.ct()));
  if (v.needs(2)) v.add(2, v.unless(v.operand(0), v.ct()));
}

void cast(Vjp& v) {
  if (is_float(v.type(0).dtype) && is_float(v.node().type.dtype)) v.add(0, v.build().cast(v.ct(), v.type(0).dtype));
}

void reduce_sum(Vjp& v) {
  const Shape shape = v.type(0).shape;
  v.add(0, v.moved(v.ct(), [&](NodeId x) { return v.build().broadcast_back(x, shape, v.attrs().integers("axes")); }));
}

void reduce_extremum(Vjp& v) {
  Builder& b = v.build();
  const NodeId x = v.operand(0);
  const TensorType type = v.type(0);
  const std::vector<int64_t>& axes = v.attrs().integers("axes");
  const NodeId hit = b.make(OpKind::Eq, {x, b.broadcast_back(v.result(), type.shape, axes)});
  const NodeId num_hits = b.reduce_sum(b.cast(hit, type.dtype), axes);
  v.add(0, v.where(hit, b.broadcast_back(v.over(v.ct(), num_hits), type.shape, axes)));
}

void contract(Vjp& v) {
  const IndexFormula& formula = v.attrs().formula("formula");
  for (size_t k = 0; k < v.node().inputs.size(); ++k) {
    const size_t other = k % 2 == 0 ? k + 1 : k - 1;
    if (v.needs(k)) v.add(k, index_adjoint(v.build(), formula, k % 2, TensorType(v.type(k)), v.ct(), v.operand(other)));
  }
}

void read(Vjp& v) {
  const TensorType type = v.type(0);
  v.add(0, index_adjoint(v.build(), v.attrs().formula("formula"), 0, type, v.ct(), {}));
}

void broadcast(Vjp& v) {
  Builder& b = v.build();
  const std::vector<int64_t>& axes = v.attrs().integers("axes");
  const NodeId sum = b.reduce_sum(v.ct(), axes_outside(axes, v.node().type.rank()));
  // The sum has the kept axes in the result's order; operand axis i is the one that stands at axes[i].
  std::vector<int64_t> order = axes;
  std::ranges::sort(order);
  std::vector<int64_t> permutation;
  for (const int64_t axis : axes) permutation.push_back(std::ranges::find(order, axis) - order.begin());
  v.add(0, b.transpose(sum, std::move(permutation)));
}

void transpose(Vjp& v) {
  const std::vector<int64_t>& permutation = v.attrs().integers("permutation");
  std::vector<int64_t> inverse(permutation.size());
  for (size_t i = 0; i < permutation.size(); ++i)
    inverse[static_cast<size_t>(permutation[i])] = static_cast<int64_t>(i);
  v.add(0, v.moved(v.ct(), [&](NodeId x) { return v.build().transpose(x, inverse); }));
}

void reshape(Vjp& v) {
  const Shape shape = v.type(0).shape;
  // There and back again is where it was: conditions are compared.
  v.add(0, v.moved(v.ct(), [&](NodeId x) {
    const Node& node = v.build().graph()[x];
    if (node.op == OpKind::Reshape && v.build().type(node.inputs[0]).shape == shape) return node.inputs[0];
    return v.build().reshape(x, shape);
  }));
}

void slice(Vjp& v) {
  const std::vector<int64_t>& starts = v.attrs().integers("starts");
  const std::vector<int64_t>& limits = v.attrs().integers("limits");
  std::vector<int64_t> high(starts.size());
  for (size_t axis = 0; axis < high.size(); ++axis) high[axis] = v.type(0).shape[axis].bound - limits[axis];
  v.add(0, v.build().make(OpKind::Pad, {v.ct()}, {{"low", starts}, {"high", high}}));
}

void pad(Vjp& v) {
  const std::vector<int64_t>& low = v.attrs().integers("low");
  std::vector<int64_t> starts(low.size()), limits(low.size());
  for (size_t axis = 0; axis < low.size(); ++axis) {
    starts[axis] = low[axis];
    limits[axis] = starts[axis] + v.type(0).shape[axis].bound;
  }
  v.add(0, v.build().make(OpKind::Slice, {v.ct()}, {{"starts", std::move(starts)}, {"limits", std::move(limits)}}));
}

void gather(Vjp& v) {
  if (!v.needs(0)) return;
  Builder& b = v.build();
  const TensorType table = v.type(0);
  // A row may be read by all labels of a batch, one after the other: many of them are added in f64, which has digits to
  // lose.
  constexpr int64_t kManyLabels = 4096;
  const AttrValue* batch = v.attrs().find("batch");
  const Shape& index = b.type(v.operand(1)).shape;
  const auto own = index.begin() + (batch == nullptr ? 0 : std::get<int64_t>(*batch));
  const std::optional<int64_t> labels = num_elements(Shape(own, index.end()));
  const bool wide = table.dtype == DType::F32 && (!labels || *labels > kManyLabels);
  const TensorType type{wide ? DType::F64 : table.dtype, table.shape};
  const std::vector<NodeId> operands{v.operand(1), b.cast(v.ct(), type.dtype)};
  const NodeId sum = batch == nullptr ? b.make(OpKind::ScatterAdd, operands, {{"type", type}})
                                      : b.make(OpKind::BatchScatterAdd, operands, {{"batch", *batch}, {"type", type}});
  v.add(0, b.cast(sum, table.dtype));
}

void scatter_add(Vjp& v) {
  if (!v.needs(1)) return;
  const AttrValue* batch = v.attrs().find("batch");
  v.add(1, batch == nullptr ? v.build().make(OpKind::Gather, {v.ct(), v.operand(0)})
                            : v.build().make(OpKind::BatchGather, {v.ct(), v.operand(0)}, {{"batch", *batch}}));
}

/// Of rows with one number the last has the gradient: it finds its own place among all where the table has rows.
void put_rows(Vjp& v) {
  Builder& b = v.build();
  const NodeId index = v.operand(0);
  const TensorType rows = v.type(1), table = v.type(2);
  if (v.needs(2)) {
    const NodeId zeros = b.constant(0, rows);
    v.add(2, b.make(OpKind::PutRows, {index, zeros, v.ct()}));
  }
  if (!v.needs(1)) return;
  const NodeId place = b.position(b.type(index).shape);
  const NodeId none = b.constant(-1, {DType::I32, {table.shape[0]}});
  const NodeId lasts = b.make(OpKind::PutRows, {index, place, none});
  const NodeId last = b.make(OpKind::Gather, {lasts, index});
  std::vector<int64_t> axes(b.type(index).rank());
  std::iota(axes.begin(), axes.end(), 0);
  const NodeId is_last = b.broadcast(b.make(OpKind::Eq, {last, place}), rows.shape, axes);
  const NodeId ct = b.make(OpKind::Gather, {v.ct(), index});
  const NodeId zeros = b.constant(0, rows);
  v.add(1, b.select(is_last, ct, zeros));
}

}  // namespace vjp_rules
}  // namespace smelt
