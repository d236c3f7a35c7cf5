#include "ir/ops/vjp_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "ir/ops/contract_formula.h"
#include "ir/support/check.h"
#include "ir/support/fault.h"

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
    return build_masked(builder,
                        {mask_a->condition, SMELT_FAULT(23, builder.add(mask_a->value, mask_b->value), mask_a->value),
                         mask_a->inverted});
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
    const NodeId power = *c == 2.0 ? base : b.make(OpKind::Pow, {base, b.like(base, SMELT_FAULT(13, *c - 1, *c))});
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
  v.add(1, v.where(positive, v.times(v.ct(), SMELT_FAULT(14, b.mul(v.result(), log), log))));
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

void max(Vjp& v) { extremum(v, SMELT_FAULT(15, OpKind::Ge, OpKind::Gt)); }
void min(Vjp& v) { extremum(v, OpKind::Le); }

void select(Vjp& v) {
  if (v.needs(1)) v.add(1, v.where(v.operand(0), v.ct()));
  if (v.needs(2)) v.add(2, SMELT_FAULT(16, v.unless(v.operand(0), v.ct()), v.where(v.operand(0), v.ct())));
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
  v.add(0, v.where(hit, b.broadcast_back(SMELT_FAULT(17, v.over(v.ct(), num_hits), v.ct()), type.shape, axes)));
}

/// da of y[out] = sum a[lhs] b[rhs] with windows in lhs, b being operand `right`. Position p of a window's axis is s +
/// t of the cotangent's index and b's, or s - t + T - 1: so one of them is read at p - t + T - 1, or at p + t, behind a
/// margin of T - 1 zeros.
static NodeId contract_left_window(Vjp& v, const ContractFormula& formula, size_t right) {
  Builder& build = v.build();
  const auto extent = [](const Shape& shape, const std::vector<std::string>& names, const std::string& name) {
    return shape[static_cast<size_t>(position_of(names, name))].bound;
  };
  // The longer of the two slides, but a reversed window can only be read along its base.
  bool slides_ct = true;
  for (const std::string& axis : formula.lhs) {
    const std::optional<Window> window = window_of(axis);
    if (!window) continue;
    const bool base_in_ct = position_of(formula.out, window->base) >= 0;
    const std::string &in_ct = base_in_ct ? window->base : window->tap, &in_b = base_in_ct ? window->tap : window->base;
    slides_ct = window->reversed
                    ? base_in_ct
                    : extent(v.node().type.shape, formula.out, in_ct) >= extent(v.type(right).shape, formula.rhs, in_b);
    if (window->reversed) break;
  }
  ContractFormula adjoint = slides_ct ? ContractFormula{formula.out, formula.rhs, formula.lhs}
                                      : ContractFormula{formula.rhs, formula.out, formula.lhs};
  const Shape& taps_shape = slides_ct ? v.type(right).shape : v.node().type.shape;
  std::vector<int64_t> margin(adjoint.lhs.size(), 0);
  for (std::string& axis : adjoint.out) {
    const std::optional<Window> window = window_of(axis);
    if (!window) continue;
    const bool base_slides = position_of(adjoint.lhs, window->base) >= 0;
    const std::string sliding = base_slides ? window->base : window->tap,
                      taps = base_slides ? window->tap : window->base;
    const auto at = static_cast<size_t>(position_of(adjoint.lhs, sliding));
    margin[at] = extent(taps_shape, adjoint.rhs, taps) - 1;
    adjoint.lhs[at] = fmt::format("{}{}{}", sliding, window->reversed ? '+' : '-', taps);
    axis = sliding;
  }
  const NodeId sliding = slides_ct ? v.ct() : v.operand(right), taps = slides_ct ? v.operand(right) : v.ct();
  return build.contract(build.make(OpKind::Pad, {sliding}, {{"low", margin}, {"high", margin}}), taps,
                        to_string(adjoint));
}

void contract(Vjp& v) {
  // y[out] = sum a[lhs] b[rhs]  ->  da[lhs] = sum ct[out] b[rhs],  db[rhs] = sum a[lhs] ct[out]
  const Result<ContractFormula> formula = parse_formula(v.attrs().text("formula"));
  SMELT_CHECK(formula.has_value(), "{}", v.attrs().text("formula"));
  Builder& b = v.build();
  for (size_t left = 0, right = 1; right < v.node().inputs.size(); left += 2, right += 2) {
    if (v.needs(left)) {
      v.add(left, formula->has_windows()
                      ? contract_left_window(v, *formula, right)
                      : b.contract(v.ct(), v.operand(right),
                                   to_string(ContractFormula{formula->out, formula->rhs, formula->lhs})));
    }
    if (v.needs(right)) {
      v.add(right,
            b.contract(v.operand(left), v.ct(), to_string(ContractFormula{formula->lhs, formula->out, formula->rhs})));
    }
  }
}

void broadcast(Vjp& v) {
  Builder& b = v.build();
  const std::vector<int64_t>& axes = v.attrs().integers("axes");
  const NodeId sum = b.make(SMELT_FAULT(18, OpKind::ReduceSum, OpKind::ReduceMax), {v.ct()},
                            {{"axes", axes_outside(axes, v.node().type.rank())}});
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
    inverse[SMELT_FAULT(19, static_cast<size_t>(permutation[i]), i)] =
        SMELT_FAULT(19, static_cast<int64_t>(i), permutation[i]);
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
  v.add(0, v.build().make(OpKind::Pad, {v.ct()},
                          {{"low", SMELT_FAULT(20, starts, high)}, {"high", SMELT_FAULT(20, high, starts)}}));
}

void pad(Vjp& v) {
  const std::vector<int64_t>& low = v.attrs().integers("low");
  std::vector<int64_t> starts(low.size()), limits(low.size());
  for (size_t axis = 0; axis < low.size(); ++axis) {
    starts[axis] = SMELT_FAULT(21, low[axis], 0);
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
  const std::optional<int64_t> labels = num_elements(b.type(v.operand(1)).shape);
  const bool wide = table.dtype == DType::F32 && (!labels || *labels > kManyLabels);
  const TensorType type{wide ? DType::F64 : table.dtype, table.shape};
  const NodeId sum = b.make(OpKind::ScatterAdd, {v.operand(1), b.cast(v.ct(), type.dtype)}, {{"type", type}});
  v.add(0, b.cast(sum, table.dtype));
}

void scatter_add(Vjp& v) {
  if (v.needs(1) && SMELT_FAULT(22, true, false)) v.add(1, v.build().make(OpKind::Gather, {v.ct(), v.operand(0)}));
}

}  // namespace vjp_rules
}  // namespace smelt
