// Counter-based draws: a pure function of (seed, run, site, loop, element), see philox.h.
//
// Element e is the row-major number over static bounds, so the noise of a row does not depend on the batch's
// actual size. It belongs to word e % 4 of philox(seed, {e / 4, loop, run, site}); words 2p and 2p + 1 are a
// pair. A word makes u = ((word >> 9) + 1/2) 2^-23: exact in f32 as in f64, and never 0 or 1.
#pragma once

#include "ir/op.h"
#include "ir/ops/references.h"
#include "ir/ops/shape_rules.h"
#include "ir/ops/vjp_rules.h"
#include "ir/scalar_math.h"

namespace smelt::ops {

inline Scalar unit_interval(ScalarBuilder& s, Scalar word, DType dtype) {
  const Scalar high_bits = s.cast(dtype, s.shift_right_logical(word, 9));
  return s.mul(s.add(high_bits, s.constant(dtype, 0.5)), s.constant(dtype, 0x1p-23));
}

/// a = {even word of the pair (I32), odd word (I32), whether this element is the odd one (Bool)}
inline Scalar uniform_body(ScalarBuilder& s, Scalars a, const Attributes& attrs) {
  return unit_interval(s, s.select(a[2], a[1], a[0]), attrs.type("type").dtype);
}

/// Box-Muller: sqrt(-2 log u_even) times cos(2 pi u_odd) for the even element, sin for the odd one. Both come
/// from one cosine, since sin(2 pi t) = cos(2 pi (t - 1/4)) and t - 1/4 is exact.
inline Scalar normal_body(ScalarBuilder& s, Scalars a, const Attributes& attrs) {
  const DType dtype = attrs.type("type").dtype;
  const Scalar log = scalar_math::log(s, unit_interval(s, a[0], dtype));
  const Scalar radius = s.sqrt(s.mul(s.constant(dtype, -2), log));
  const Scalar shift = s.select(a[2], s.constant(dtype, 0.25), s.constant(dtype, 0));
  return s.mul(radius, scalar_math::cos_turns(s, s.sub(unit_interval(s, a[1], dtype), shift)));
}

inline constexpr OpDef kRandomUniform = {
    .name = "random_uniform",
    .doc = "uniform between 0 and 1, both excluded",
    .kind = Kind::Random,
    .operands = {"seed", "run"},
    .attributes = {{"site", AttrType::Int, "32-bit number of the draw's place in the model"},
                   {"loop", AttrType::Int, "flattened indices of the loops around it"},
                   {"type", AttrType::Type, "type of the result, f32 or f64"}},
    .infer = shape_rules::random,
    .vjp = vjp_rules::none,
    .tensor_reference = references::random_uniform,
    .body = uniform_body,
    .samples = {.differentiable = false},
    .source = "Salmon, Moraes, Dror, Shaw 2011, Parallel random numbers: as easy as 1, 2, 3",
};

inline constexpr OpDef kRandomNormal = {
    .name = "random_normal",
    .doc = "normal with mean 0 and variance 1",
    .kind = Kind::Random,
    .operands = {"seed", "run"},
    .attributes = {{"site", AttrType::Int, "32-bit number of the draw's place in the model"},
                   {"loop", AttrType::Int, "flattened indices of the loops around it"},
                   {"type", AttrType::Type, "type of the result, f32 or f64"}},
    .traits = {.cheap = false},
    .infer = shape_rules::random,
    .vjp = vjp_rules::none,
    .tensor_reference = references::random_normal,
    .body = normal_body,
    .samples = {.differentiable = false},
    .source = "Box, Muller 1958, A note on the generation of random normal deviates",
};

}  // namespace smelt::ops
