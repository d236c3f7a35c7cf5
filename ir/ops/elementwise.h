// Elementwise ops: y[i] = body(a[i], b[i], ..), all operands of one type.
//
// Integers wrap around in compiled code; x / 0 is 0. Floats follow IEEE 754; max and min pass a NaN on.
// Derivatives at kinks: relu'(0) = abs'(0) = sign'(x) = floor'(x) = 0; on a tie max and min give their
// cotangent to the first operand.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "ir/half_bits.h"
#include "ir/op.h"
#include "ir/ops/shape_rules.h"
#include "ir/ops/vjp_rules.h"
#include "ir/scalar_math.h"

namespace smelt::ops {

/// `value` in the dtype of `like`.
inline Scalar literal(ScalarBuilder& s, Scalar like, int64_t value) {
  return is_float(like.dtype) ? s.constant(like.dtype, static_cast<double>(value)) : s.integer(like.dtype, value);
}

template <Compare predicate>
Scalar compare_body(ScalarBuilder& s, Scalars a, const Attributes&) {
  return s.compare(predicate, a[0], a[1]);
}

/// Integer division truncates. x / 0 is 0 and the most negative number / -1 wraps: neither may trap.
inline Scalar div_body(ScalarBuilder& s, Scalars a, const Attributes&) {
  if (is_float(a[0].dtype)) return s.div(a[0], a[1]);
  const Scalar zero = literal(s, a[1], 0), one = literal(s, a[1], 1);
  const Scalar by_zero = s.compare(Compare::Eq, a[1], zero);
  if (a[1].dtype == DType::U8) return s.select(by_zero, zero, s.div(a[0], s.select(by_zero, one, a[1])));
  const Scalar by_minus_one = s.compare(Compare::Eq, a[1], literal(s, a[1], -1));
  const Scalar quotient = s.div(a[0], s.select(s.logical_or(by_zero, by_minus_one), one, a[1]));
  return s.select(by_zero, zero, s.select(by_minus_one, s.neg(a[0]), quotient));
}

inline Scalar sign_body(ScalarBuilder& s, Scalars a, const Attributes&) {
  const Scalar zero = literal(s, a[0], 0);
  const Scalar negative = s.select(s.compare(Compare::Lt, a[0], zero), literal(s, a[0], -1), a[0]);
  return s.select(s.compare(Compare::Gt, a[0], zero), literal(s, a[0], 1), negative);
}

inline double max_reference(double a, double b) { return std::isnan(a) || std::isnan(b) ? NAN : std::max(a, b); }
inline double min_reference(double a, double b) { return std::isnan(a) || std::isnan(b) ? NAN : std::min(a, b); }

inline constexpr OpDef kNeg = {
    .name = "neg",
    .doc = "-x",
    .operands = {"x"},
    .infer = shape_rules::elementwise,
    .vjp = [](Vjp& v) { v.add(0, v.negated(v.ct())); },
    .reference = [](std::span<const double> a) { return -a[0]; },
    .body = [](ScalarBuilder& s, Scalars a, const Attributes&) { return s.neg(a[0]); },
};

inline constexpr OpDef kAbs = {
    .name = "abs",
    .doc = "|x|",
    .operands = {"x"},
    .infer = shape_rules::elementwise,
    .vjp = [](Vjp& v) { v.add(0, v.times(v.ct(), v.build().make(OpKind::Sign, {v.operand(0)}))); },
    .reference = [](std::span<const double> a) { return std::fabs(a[0]); },
    .body = [](ScalarBuilder& s, Scalars a, const Attributes&) { return s.abs(a[0]); },
    .applied = Applied::ByElement,
    .range = {0, kUnbounded},
    .samples = {.away_from_zero = 0.1},
};

inline constexpr OpDef kSign = {
    .name = "sign",
    .doc = "1 for x > 0, -1 for x < 0, else x",
    .operands = {"x"},
    .infer = shape_rules::elementwise,
    .vjp = vjp_rules::none,
    .reference = [](std::span<const double> a) { return a[0] > 0   ? 1.0
                                                        : a[0] < 0 ? -1.0
                                                                   : a[0]; },
    .body = sign_body,
    .applied = Applied::ByElement,
    .range = {-1, 1},
    .samples = {.away_from_zero = 0.1, .differentiable = false},
};

inline constexpr OpDef kFloor = {
    .name = "floor",
    .doc = "the largest integer not above x",
    .operands = {"x"},
    .traits = {.float_only = true},
    .infer = shape_rules::elementwise,
    .vjp = vjp_rules::none,
    .reference = [](std::span<const double> a) { return std::floor(a[0]); },
    .body = [](ScalarBuilder& s, Scalars a, const Attributes&) { return s.floor(a[0]); },
    .applied = Applied::ByElement,
    .samples = {.differentiable = false},
};

inline constexpr OpDef kExp = {
    .name = "exp",
    .doc = "e^x",
    .operands = {"x"},
    .traits = {.cheap = false, .float_only = true, .stays_f32 = true},
    .infer = shape_rules::elementwise,
    .vjp = [](Vjp& v) { v.add(0, v.times(v.ct(), v.result())); },
    .reference = [](std::span<const double> a) { return std::exp(a[0]); },
    .body = [](ScalarBuilder& s, Scalars a, const Attributes&) { return scalar_math::exp(s, a[0]); },
    .applied = Applied::ByElement,
    .range = {0, kUnbounded},
};

inline constexpr OpDef kExpm1 = {
    .name = "expm1",
    .doc = "e^x - 1, accurate near 0",
    .operands = {"x"},
    .traits = {.cheap = false, .float_only = true, .stays_f32 = true},
    .infer = shape_rules::elementwise,
    .vjp = [](Vjp& v) { v.add(0, v.times(v.ct(), v.build().exp(v.operand(0)))); },
    .reference = [](std::span<const double> a) { return std::expm1(a[0]); },
    .body = [](ScalarBuilder& s, Scalars a, const Attributes&) { return scalar_math::expm1(s, a[0]); },
    .applied = Applied::ByElement,
    .range = {-1, kUnbounded},
};

inline constexpr OpDef kLog = {
    .name = "log",
    .doc = "natural logarithm",
    .operands = {"x"},
    .traits = {.cheap = false, .float_only = true, .stays_f32 = true},
    .infer = shape_rules::elementwise,
    .vjp = [](Vjp& v) { v.add(0, v.over(v.ct(), v.operand(0))); },
    .reference = [](std::span<const double> a) { return std::log(a[0]); },
    .body = [](ScalarBuilder& s, Scalars a, const Attributes&) { return scalar_math::log(s, a[0]); },
    .applied = Applied::ByElement,
    .samples = {.low = 0.2, .high = 4.0},
};

inline constexpr OpDef kLog1p = {
    .name = "log1p",
    .doc = "log(1 + x), accurate near 0",
    .operands = {"x"},
    .traits = {.cheap = false, .float_only = true, .stays_f32 = true},
    .infer = shape_rules::elementwise,
    .vjp =
        [](Vjp& v) {
          Builder& b = v.build();
          v.add(0, v.over(v.ct(), b.add(b.like(v.operand(0), 1), v.operand(0))));
        },
    .reference = [](std::span<const double> a) { return std::log1p(a[0]); },
    .body = [](ScalarBuilder& s, Scalars a, const Attributes&) { return scalar_math::log1p(s, a[0]); },
    .applied = Applied::ByElement,
    .samples = {.low = -0.6, .high = 3.0},
};

inline constexpr OpDef kSqrt = {
    .name = "sqrt",
    .doc = "square root",
    .operands = {"x"},
    .traits = {.float_only = true},
    .infer = shape_rules::elementwise,
    .vjp = [](Vjp& v) { v.add(0, v.over(v.times(v.ct(), 0.5), v.result())); },
    .reference = [](std::span<const double> a) { return std::sqrt(a[0]); },
    .body = [](ScalarBuilder& s, Scalars a, const Attributes&) { return s.sqrt(a[0]); },
    .applied = Applied::ByElement,
    .range = {0, kUnbounded},
    .samples = {.low = 0.2, .high = 4.0},
};

inline constexpr OpDef kRsqrt = {
    .name = "rsqrt",
    .doc = "1 / sqrt(x)",
    .operands = {"x"},
    .traits = {.float_only = true, .stays_f32 = true},
    .infer = shape_rules::elementwise,
    .vjp =
        [](Vjp& v) {  // y' = -y^3 / 2
          Builder& b = v.build();
          const NodeId y = v.result();
          const NodeId cube = b.mul(y, b.mul(y, y));
          v.add(0, v.times(v.times(v.ct(), -0.5), cube));
        },
    .reference = [](std::span<const double> a) { return 1.0 / std::sqrt(a[0]); },
    .body = [](ScalarBuilder& s, Scalars a, const Attributes&) { return s.div(literal(s, a[0], 1), s.sqrt(a[0])); },
    .applied = Applied::ByElement,
    .range = {0, kUnbounded},
    .samples = {.low = 0.2, .high = 4.0},
};

inline constexpr OpDef kTanh = {
    .name = "tanh",
    .doc = "hyperbolic tangent",
    .operands = {"x"},
    .traits = {.cheap = false, .float_only = true},
    .infer = shape_rules::elementwise,
    .vjp =
        [](Vjp& v) {  // y' = 1 - y^2
          Builder& b = v.build();
          const NodeId y = v.result();
          const NodeId square = b.mul(y, y);
          v.add(0, v.times(v.ct(), b.sub(b.like(y, 1), square)));
        },
    .reference = [](std::span<const double> a) { return std::tanh(a[0]); },
    .body = [](ScalarBuilder& s, Scalars a, const Attributes&) { return scalar_math::tanh(s, a[0]); },
    .applied = Applied::ByElement,
    .range = {-1, 1},
};

/// factor e^(-scale x^2), the derivative of erf and of the normal distribution.
inline NodeId bell(Builder& b, NodeId x, double factor, double scale) {
  const NodeId minus_scale = b.like(x, -scale);
  const NodeId exponent = b.mul(b.mul(x, x), minus_scale), height = b.like(x, factor);
  return b.mul(b.exp(exponent), height);
}

inline constexpr OpDef kErf = {
    .name = "erf",
    .doc = "2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x",
    .operands = {"x"},
    .traits = {.cheap = false, .float_only = true},
    .infer = shape_rules::elementwise,
    .vjp =
        [](Vjp& v) {
          v.add(0, v.times(v.ct(), bell(v.build(), v.operand(0), 1.1283791670955126, 1)));
        },  // 2 / sqrt(pi)
    .reference = [](std::span<const double> a) { return std::erf(a[0]); },
    .body = [](ScalarBuilder& s, Scalars a, const Attributes&) { return scalar_math::erf(s, a[0]); },
    .applied = Applied::ByElement,
    .range = {-1, 1},
};

inline constexpr OpDef kNormalCdf = {
    .name = "normal_cdf",
    .doc = "the share of a standard normal distribution below x",
    .operands = {"x"},
    .traits = {.cheap = false, .float_only = true},
    .infer = shape_rules::elementwise,
    .vjp =
        [](Vjp& v) {
          v.add(0, v.times(v.ct(), bell(v.build(), v.operand(0), 0.3989422804014327, 0.5)));
        },  // 1 / sqrt(2 pi)
    .reference = [](std::span<const double> a) { return 0.5 * std::erfc(a[0] * -0.7071067811865476); },  // 1 / sqrt(2)
    .body = [](ScalarBuilder& s, Scalars a, const Attributes&) { return scalar_math::normal_cdf(s, a[0]); },
    .applied = Applied::ByElement,
    .range = {0, 1},
};

inline constexpr OpDef kSigmoid = {
    .name = "sigmoid",
    .doc = "1 / (1 + e^-x)",
    .operands = {"x"},
    .traits = {.cheap = false, .float_only = true},
    .infer = shape_rules::elementwise,
    .vjp =
        [](Vjp& v) {  // y(x) y(-x): y (1 - y) would lose all digits where y is almost 1
          Builder& b = v.build();
          const NodeId mirrored = b.make(OpKind::Sigmoid, {b.neg(v.operand(0))});
          v.add(0, v.times(v.ct(), b.mul(v.result(), mirrored)));
        },
    .reference = [](std::span<const double> a) { return 1.0 / (1.0 + std::exp(-a[0])); },
    .body = [](ScalarBuilder& s, Scalars a, const Attributes&) { return scalar_math::sigmoid(s, a[0]); },
    .applied = Applied::ByElement,
    .range = {0, 1},
};

inline constexpr OpDef kSoftplus = {
    .name = "softplus",
    .doc = "log(1 + e^x), for any x without overflow",
    .operands = {"x"},
    .traits = {.cheap = false, .float_only = true, .stays_f32 = true},
    .infer = shape_rules::elementwise,
    .vjp = [](Vjp& v) { v.add(0, v.times(v.ct(), v.build().make(OpKind::Sigmoid, {v.operand(0)}))); },
    .reference =
        [](std::span<const double> a) { return max_reference(a[0], 0) + std::log1p(std::exp(-std::fabs(a[0]))); },
    .body = [](ScalarBuilder& s, Scalars a, const Attributes&) { return scalar_math::softplus(s, a[0]); },
    .applied = Applied::ByElement,
    .range = {0, kUnbounded},
};

inline constexpr OpDef kSin = {
    .name = "sin",
    .doc = "sine",
    .operands = {"x"},
    .traits = {.cheap = false, .float_only = true},
    .infer = shape_rules::elementwise,
    .vjp = [](Vjp& v) { v.add(0, v.times(v.ct(), v.build().make(OpKind::Cos, {v.operand(0)}))); },
    .reference = [](std::span<const double> a) { return std::sin(a[0]); },
    .body = [](ScalarBuilder& s, Scalars a, const Attributes&) { return scalar_math::sin(s, a[0]); },
    .applied = Applied::ByElement,
    .range = {-1, 1},
};

inline constexpr OpDef kCos = {
    .name = "cos",
    .doc = "cosine",
    .operands = {"x"},
    .traits = {.cheap = false, .float_only = true},
    .infer = shape_rules::elementwise,
    .vjp = [](Vjp& v) { v.add(0, v.negated(v.times(v.ct(), v.build().make(OpKind::Sin, {v.operand(0)})))); },
    .reference = [](std::span<const double> a) { return std::cos(a[0]); },
    .body = [](ScalarBuilder& s, Scalars a, const Attributes&) { return scalar_math::cos(s, a[0]); },
    .applied = Applied::ByElement,
    .range = {-1, 1},
};

inline constexpr OpDef kAdd = {
    .name = "add",
    .doc = "a + b",
    .operands = {"a", "b"},
    .traits = {.commutative = true, .associative = true},
    .infer = shape_rules::elementwise,
    .vjp =
        [](Vjp& v) {
          if (v.needs(0)) v.add(0, v.ct());
          if (v.needs(1)) v.add(1, v.ct());
        },
    .reference = [](std::span<const double> a) { return a[0] + a[1]; },
    .body = [](ScalarBuilder& s, Scalars a, const Attributes&) { return s.add(a[0], a[1]); },
};

inline constexpr OpDef kSub = {
    .name = "sub",
    .doc = "a - b",
    .operands = {"a", "b"},
    .infer = shape_rules::elementwise,
    .vjp =
        [](Vjp& v) {
          if (v.needs(0)) v.add(0, v.ct());
          if (v.needs(1)) v.add(1, v.negated(v.ct()));
        },
    .reference = [](std::span<const double> a) { return a[0] - a[1]; },
    .body = [](ScalarBuilder& s, Scalars a, const Attributes&) { return s.sub(a[0], a[1]); },
};

inline constexpr OpDef kMul = {
    .name = "mul",
    .doc = "a * b",
    .operands = {"a", "b"},
    .traits = {.commutative = true, .associative = true},
    .infer = shape_rules::elementwise,
    .vjp =
        [](Vjp& v) {
          if (v.needs(0)) v.add(0, v.times(v.ct(), v.operand(1)));
          if (v.needs(1)) v.add(1, v.times(v.ct(), v.operand(0)));
        },
    .reference = [](std::span<const double> a) { return a[0] * a[1]; },
    .body = [](ScalarBuilder& s, Scalars a, const Attributes&) { return s.mul(a[0], a[1]); },
};

inline constexpr OpDef kDiv = {
    .name = "div",
    .doc = "a / b; integers truncate, and x / 0 is 0",
    .operands = {"a", "b"},
    .infer = shape_rules::elementwise,
    .vjp =
        [](Vjp& v) {
          const NodeId quotient = v.over(v.ct(), v.operand(1));
          if (v.needs(0)) v.add(0, quotient);
          if (v.needs(1)) v.add(1, v.negated(v.times(quotient, v.result())));
        },
    .reference = [](std::span<const double> a) { return a[0] / a[1]; },
    .body = div_body,
    .samples = {.away_from_zero = 0.3},
};

inline constexpr OpDef kPow = {
    .name = "pow",
    .doc = "a^b; a negative base needs an integer exponent",
    .operands = {"a", "b"},
    .traits = {.cheap = false, .float_only = true, .stays_f32 = true},
    .infer = shape_rules::elementwise,
    .vjp = vjp_rules::pow,
    .reference = [](std::span<const double> a) { return std::pow(a[0], a[1]); },
    .body = [](ScalarBuilder& s, Scalars a, const Attributes&) { return scalar_math::pow(s, a[0], a[1]); },
    .samples = {.low = 0.3, .high = 3.0},
};

inline constexpr OpDef kMax = {
    .name = "max",
    .doc = "the larger of a and b",
    .operands = {"a", "b"},
    .traits = {.commutative = true, .associative = true},
    .infer = shape_rules::elementwise,
    .vjp = vjp_rules::max,
    .reference = [](std::span<const double> a) { return max_reference(a[0], a[1]); },
    .body = [](ScalarBuilder& s, Scalars a, const Attributes&) { return s.max(a[0], a[1]); },
};

inline constexpr OpDef kMin = {
    .name = "min",
    .doc = "the smaller of a and b",
    .operands = {"a", "b"},
    .traits = {.commutative = true, .associative = true},
    .infer = shape_rules::elementwise,
    .vjp = vjp_rules::min,
    .reference = [](std::span<const double> a) { return min_reference(a[0], a[1]); },
    .body = [](ScalarBuilder& s, Scalars a, const Attributes&) { return s.min(a[0], a[1]); },
};

inline constexpr OpDef kEq = {
    .name = "eq",
    .doc = "a == b",
    .operands = {"a", "b"},
    .traits = {.commutative = true, .comparison = true},
    .infer = shape_rules::elementwise,
    .vjp = vjp_rules::none,
    .reference = [](std::span<const double> a) -> double { return a[0] == a[1]; },
    .body = compare_body<Compare::Eq>,
    .samples = {.differentiable = false},
};

inline constexpr OpDef kNe = {
    .name = "ne",
    .doc = "a != b",
    .operands = {"a", "b"},
    .traits = {.commutative = true, .comparison = true},
    .infer = shape_rules::elementwise,
    .vjp = vjp_rules::none,
    .reference = [](std::span<const double> a) -> double { return a[0] != a[1]; },
    .body = compare_body<Compare::Ne>,
    .samples = {.differentiable = false},
};

inline constexpr OpDef kLt = {
    .name = "lt",
    .doc = "a < b",
    .operands = {"a", "b"},
    .traits = {.comparison = true},
    .infer = shape_rules::elementwise,
    .vjp = vjp_rules::none,
    .reference = [](std::span<const double> a) -> double { return a[0] < a[1]; },
    .body = compare_body<Compare::Lt>,
    .samples = {.differentiable = false},
};

inline constexpr OpDef kLe = {
    .name = "le",
    .doc = "a <= b",
    .operands = {"a", "b"},
    .traits = {.comparison = true},
    .infer = shape_rules::elementwise,
    .vjp = vjp_rules::none,
    .reference = [](std::span<const double> a) -> double { return a[0] <= a[1]; },
    .body = compare_body<Compare::Le>,
    .samples = {.differentiable = false},
};

inline constexpr OpDef kGt = {
    .name = "gt",
    .doc = "a > b",
    .operands = {"a", "b"},
    .traits = {.comparison = true},
    .infer = shape_rules::elementwise,
    .vjp = vjp_rules::none,
    .reference = [](std::span<const double> a) -> double { return a[0] > a[1]; },
    .body = compare_body<Compare::Gt>,
    .samples = {.differentiable = false},
};

inline constexpr OpDef kGe = {
    .name = "ge",
    .doc = "a >= b",
    .operands = {"a", "b"},
    .traits = {.comparison = true},
    .infer = shape_rules::elementwise,
    .vjp = vjp_rules::none,
    .reference = [](std::span<const double> a) -> double { return a[0] >= a[1]; },
    .body = compare_body<Compare::Ge>,
    .samples = {.differentiable = false},
};

inline constexpr OpDef kAnd = {
    .name = "and",
    .doc = "both are true",
    .operands = {"a", "b"},
    .traits = {.commutative = true, .associative = true, .logical = true},
    .infer = shape_rules::elementwise,
    .vjp = vjp_rules::none,
    .reference = [](std::span<const double> a) -> double { return a[0] != 0 && a[1] != 0; },
    .body = [](ScalarBuilder& s, Scalars a, const Attributes&) { return s.logical_and(a[0], a[1]); },
    .samples = {.differentiable = false},
};

inline constexpr OpDef kOr = {
    .name = "or",
    .doc = "one or both are true",
    .operands = {"a", "b"},
    .traits = {.commutative = true, .associative = true, .logical = true},
    .infer = shape_rules::elementwise,
    .vjp = vjp_rules::none,
    .reference = [](std::span<const double> a) -> double { return a[0] != 0 || a[1] != 0; },
    .body = [](ScalarBuilder& s, Scalars a, const Attributes&) { return s.logical_or(a[0], a[1]); },
    .samples = {.differentiable = false},
};

inline constexpr OpDef kNot = {
    .name = "not",
    .doc = "x is false",
    .operands = {"x"},
    .traits = {.logical = true},
    .infer = shape_rules::elementwise,
    .vjp = vjp_rules::none,
    .reference = [](std::span<const double> a) -> double { return a[0] == 0; },
    .body = [](ScalarBuilder& s, Scalars a, const Attributes&) { return s.logical_not(a[0]); },
    .samples = {.differentiable = false},
};

inline constexpr OpDef kSelect = {
    .name = "select",
    .doc = "a where the condition is true, else b",
    .operands = {"condition", "a", "b"},
    .infer = shape_rules::select,
    .vjp = vjp_rules::select,
    .reference = [](std::span<const double> a) { return a[0] != 0 ? a[1] : a[2]; },
    .body = [](ScalarBuilder& s, Scalars a, const Attributes&) { return s.select(a[0], a[1], a[2]); },
};

inline constexpr OpDef kCast = {
    .name = "cast",
    .doc = "x in another dtype; float to integer truncates and saturates with NaN as 0, to bool is x != 0",
    .operands = {"x"},
    .attributes = {{"dtype", AttrType::String, "name of the dtype, such as f32"}},
    .infer = shape_rules::cast,
    .vjp = vjp_rules::cast,
    .reference = [](std::span<const double> a) { return a[0]; },
    .body =
        [](ScalarBuilder& s, Scalars a, const Attributes& attrs) {
          const DType dtype = *parse_dtype(attrs.text("dtype"));
          if (dtype == DType::Bool && a[0].dtype != DType::Bool) {
            const Scalar x = is_half(a[0].dtype) ? s.cast(DType::F32, a[0]) : a[0];
            return s.compare(Compare::Ne, x, literal(s, x, 0));
          }
          return s.cast(dtype, a[0]);
        },
};

inline constexpr OpDef kStop = {
    .name = "stop",
    .doc = "x, through which no gradient flows",
    .operands = {"x"},
    .infer = [](const InferArgs& args) -> Result<TensorType> { return args.operands[0]; },
    .vjp = vjp_rules::none,
    .reference = [](std::span<const double> a) { return a[0]; },
    .body = [](ScalarBuilder&, Scalars a, const Attributes&) { return a[0]; },
    .samples = {.differentiable = false},
};

}  // namespace smelt::ops
