// Elementwise ops of two operands: y[i] = body(a[i], b[i]), both of one type. unary.h has those of one operand,
// choice.h comparisons, logic and what chooses or converts.
//
// Integers wrap around in compiled code; x / 0 is 0. Floats follow IEEE 754; max and min pass a NaN on.
// Derivatives at kinks: relu'(0) = abs'(0) = sign'(x) = floor'(x) = 0; on a tie max and min give their
// cotangent to the first operand.
#pragma once

#include <algorithm>
#include <cmath>

#include "ir/op.h"
#include "ir/ops/shape_rules.h"
#include "ir/ops/vjp_rules.h"
#include "ir/scalar_math.h"

namespace smelt::ops {

/// `value` in the dtype of `like`.
inline Scalar literal(ScalarBuilder& s, Scalar like, int64_t value) {
  return is_float(like.dtype) ? s.constant(like.dtype, static_cast<double>(value)) : s.integer(like.dtype, value);
}

inline double max_reference(double a, double b) { return std::isnan(a) || std::isnan(b) ? NAN : std::max(a, b); }
inline double min_reference(double a, double b) { return std::isnan(a) || std::isnan(b) ? NAN : std::min(a, b); }

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

}  // namespace smelt::ops
