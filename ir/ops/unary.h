// Elementwise functions of one operand: y[i] = body(a[i]). Derivatives at kinks are in elementwise.h.
#pragma once

#include <cmath>

#include "ir/half_bits.h"
#include "ir/op.h"
#include "ir/ops/elementwise.h"
#include "ir/ops/shape_rules.h"
#include "ir/ops/vjp_rules.h"
#include "ir/scalar_math.h"

namespace smelt::ops {

inline Scalar sign_body(ScalarBuilder& s, Scalars a, const Attributes&) {
  const Scalar zero = literal(s, a[0], 0);
  const Scalar negative = s.select(s.compare(Compare::Lt, a[0], zero), literal(s, a[0], -1), a[0]);
  return s.select(s.compare(Compare::Gt, a[0], zero), literal(s, a[0], 1), negative);
}

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

}  // namespace smelt::ops
