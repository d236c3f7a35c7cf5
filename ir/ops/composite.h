// Composites: ops that `expand_composites` replaces by primitives. They exist so that rules such as
// log(softmax(x)) -> log_softmax(x) see them whole.
#pragma once

#include <limits>

#include "ir/builder.h"
#include "ir/op.h"
#include "ir/ops/shape_rules.h"

namespace smelt::ops {

using Operands = std::span<const NodeId>;

inline NodeId square_expand(Builder& b, Operands x, const Attributes&) { return b.mul(x[0], x[0]); }

/// max(0, x): a tie goes to the zero, so that relu'(0) = 0, and a NaN is passed on.
inline NodeId relu_expand(Builder& b, Operands x, const Attributes&) {
  return b.make(OpKind::Max, {b.like(x[0], 0), x[0]});
}

/// The first index whose element is not beaten by the extremum. A NaN beats nothing, so the result stays in
/// range.
inline NodeId arg_extremum(Builder& b, NodeId x, int64_t axis, OpKind reduce, OpKind beaten) {
  const TensorType type = b.type(x);
  const std::vector<int64_t> axes{axis};
  const NodeId extremum = b.broadcast_back(b.make(reduce, {x}, {{"axes", axes}}), type.shape, axes);
  const TensorType index_type{DType::I32, type.shape};
  const NodeId end = b.constant(std::numeric_limits<int32_t>::max(), index_type);
  const NodeId index = b.index(index_type, axis);
  const NodeId candidates = b.select(b.make(beaten, {x, extremum}), end, index);
  return b.reduce_min(candidates, axes);
}
inline NodeId arg_max_expand(Builder& b, Operands x, const Attributes& attrs) {
  return arg_extremum(b, x[0], attrs.integer("axis"), OpKind::ReduceMax, OpKind::Lt);
}
inline NodeId arg_min_expand(Builder& b, Operands x, const Attributes& attrs) {
  return arg_extremum(b, x[0], attrs.integer("axis"), OpKind::ReduceMin, OpKind::Gt);
}

/// The maximum over axes, put back, as a constant of the differentiation: what it contributes cancels
/// exactly.
inline NodeId stopped_max(Builder& b, NodeId x, const std::vector<int64_t>& axes) {
  return b.make(OpKind::Stop, {b.reduce_max(x, axes)});
}

/// log(sum(e^shifted)) where `max` was subtracted: log1p of the sum without the 1 of one largest element, which keeps
/// its digits when the others are small. e^s - 1 of a largest element is 0, and has the derivatives of e^s.
inline NodeId log_of_terms(Builder& b, NodeId x, NodeId max, NodeId shifted, const std::vector<int64_t>& axes) {
  const NodeId is_largest = b.make(OpKind::Eq, {x, b.broadcast_back(max, b.type(x).shape, axes)});
  const NodeId smaller = b.exp(shifted);
  const NodeId terms = b.select(is_largest, b.make(OpKind::Expm1, {shifted}), smaller);
  const NodeId zero = b.like(x, 0), one = b.like(x, 1);
  const NodeId count = b.reduce_sum(b.select(is_largest, one, zero), axes);
  const NodeId others = b.sub(count, b.like(count, 1));
  return b.make(OpKind::Log1p, {b.add(b.reduce_sum(terms, axes), others)});
}

/// max + log(sum(exp(x - max))). An infinite maximum is not subtracted: inf - inf is undefined, e^inf and
/// e^-inf are not.
inline NodeId log_sum_exp_expand(Builder& b, Operands x, const Attributes& attrs) {
  const std::vector<int64_t>& axes = attrs.integers("axes");
  if (axes.empty()) return x[0];
  const Shape shape = b.type(x[0]).shape;
  const NodeId max = stopped_max(b, x[0], axes);
  const NodeId infinity = b.like(max, std::numeric_limits<double>::infinity());
  const NodeId is_infinite = b.make(OpKind::Eq, {b.make(OpKind::Abs, {max}), infinity});
  const NodeId shift = b.select(is_infinite, b.like(max, 0), max);
  const NodeId shifted = b.sub(x[0], b.broadcast_back(shift, shape, axes));
  return b.add(shift, log_of_terms(b, x[0], max, shifted, axes));
}

inline NodeId softmax_expand(Builder& b, Operands x, const Attributes& attrs) {
  const std::vector<int64_t>& axes = attrs.integers("axes");
  const Shape shape = b.type(x[0]).shape;
  const NodeId shifted = b.sub(x[0], b.broadcast_back(stopped_max(b, x[0], axes), shape, axes));
  const NodeId terms = b.exp(shifted);
  return b.div(terms, b.broadcast_back(b.reduce_sum(terms, axes), shape, axes));
}

inline NodeId log_softmax_expand(Builder& b, Operands x, const Attributes& attrs) {
  const std::vector<int64_t>& axes = attrs.integers("axes");
  const Shape shape = b.type(x[0]).shape;
  const NodeId max = stopped_max(b, x[0], axes);
  const NodeId shifted = b.sub(x[0], b.broadcast_back(max, shape, axes));
  const NodeId log = log_of_terms(b, x[0], max, shifted, axes);
  return b.sub(shifted, b.broadcast_back(log, shape, axes));
}

/// Both operands padded to the result's size and added; exact, because the other summand is 0.
inline NodeId concat_expand(Builder& b, Operands x, const Attributes& attrs) {
  const auto axis = static_cast<size_t>(attrs.integer("axis"));
  const TensorType first = b.type(x[0]), second = b.type(x[1]);
  const std::vector<int64_t> none(first.rank(), 0);
  std::vector<int64_t> after = none, before = none;
  after[axis] = second.shape[axis].bound;
  before[axis] = first.shape[axis].bound;
  const NodeId low = b.make(OpKind::Pad, {x[0]}, {{"low", none}, {"high", after}});
  const NodeId high = b.make(OpKind::Pad, {x[1]}, {{"low", before}, {"high", none}});
  return b.make(first.dtype == DType::Bool ? OpKind::Or : OpKind::Add, {low, high});
}

inline constexpr OpDef kSquare = {
    .name = "square",
    .doc = "x * x",
    .kind = Kind::Composite,
    .operands = {"x"},
    .infer = shape_rules::elementwise,
    .reference = [](std::span<const double> a) { return a[0] * a[0]; },
    .expand = square_expand,
    .applied = Applied::ByElement,
    .range = {0, kUnbounded},
};

inline constexpr OpDef kRelu = {
    .name = "relu",
    .doc = "max(0, x), with derivative 0 at 0",
    .kind = Kind::Composite,
    .operands = {"x"},
    .infer = shape_rules::elementwise,
    .reference = [](std::span<const double> a) { return std::max(a[0], 0.0); },
    .expand = relu_expand,
    .applied = Applied::ByElement,
    .range = {0, kUnbounded},
    .samples = {.away_from_zero = 0.1},
};

inline constexpr OpDef kArgMax = {
    .name = "argmax",
    .doc = "first index of the maximum along an axis; 0 when it is NaN",
    .kind = Kind::Composite,
    .operands = {"x"},
    .attributes = {{"axis", AttrType::Int, "the axis that is removed"}},
    .infer = shape_rules::arg_reduce,
    .expand = arg_max_expand,
    .applied = Applied::OfAxis,
    .samples = {.differentiable = false},
};

inline constexpr OpDef kArgMin = {
    .name = "argmin",
    .doc = "first index of the minimum along an axis; 0 when it is NaN",
    .kind = Kind::Composite,
    .operands = {"x"},
    .attributes = {{"axis", AttrType::Int, "the axis that is removed"}},
    .infer = shape_rules::arg_reduce,
    .expand = arg_min_expand,
    .applied = Applied::OfAxis,
    .samples = {.differentiable = false},
};

inline constexpr OpDef kLogSumExp = {
    .name = "logsumexp",
    .doc = "log of the sum of e^x over axes, without overflow",
    .kind = Kind::Composite,
    .operands = {"x"},
    .attributes = {{"axes", AttrType::Ints, "increasing; they are removed"}},
    .traits = {.cheap = false, .float_only = true},
    .infer = shape_rules::reduce,
    .expand = log_sum_exp_expand,
    .applied = Applied::OverAxes,
    .source = "Blanchard, Higham, Higham 2021, Accurately computing the log-sum-exp and softmax functions",
};

inline constexpr OpDef kSoftmax = {
    .name = "softmax",
    .doc = "e^x divided by its sum over axes",
    .kind = Kind::Composite,
    .operands = {"x"},
    .attributes = {{"axes", AttrType::Ints, "increasing; normalised over these"}},
    .traits = {.cheap = false, .float_only = true},
    .infer = shape_rules::softmax,
    .expand = softmax_expand,
    .applied = Applied::AlongAxes,
    .range = {0, 1},
    .source = "Blanchard, Higham, Higham 2021, Accurately computing the log-sum-exp and softmax functions",
};

inline constexpr OpDef kLogSoftmax = {
    .name = "log_softmax",
    .doc = "x minus logsumexp(x) over axes",
    .kind = Kind::Composite,
    .operands = {"x"},
    .attributes = {{"axes", AttrType::Ints, "increasing; normalised over these"}},
    .traits = {.cheap = false, .float_only = true},
    .infer = shape_rules::softmax,
    .expand = log_softmax_expand,
    .applied = Applied::AlongAxes,
    .source = "Blanchard, Higham, Higham 2021, Accurately computing the log-sum-exp and softmax functions",
};

inline constexpr OpDef kConcat = {
    .name = "concat",
    .doc = "a, then b, along one static axis",
    .kind = Kind::Composite,
    .operands = {"a", "b"},
    .attributes = {{"axis", AttrType::Int, "the axis that grows"}},
    .infer = shape_rules::concat,
    .expand = concat_expand,
};

}  // namespace smelt::ops
