// Reductions: y[kept] = fold of x[kept, reduced] with `body(accumulator, element)`, starting at `identity`.
//
// Numerics     the order of the fold is code generation's, fixed by shapes alone; max and min pass a NaN on
// Empty        an extent of 0 gives `identity`; for integers the nearest representable number
#pragma once

#include <limits>

#include "ir/ops/elementwise.h"

namespace smelt::ops {

inline constexpr OpDef kReduceSum = {
    .name = "reduce_sum",
    .doc = "sum over axes",
    .kind = Kind::Reduce,
    .operands = {"x"},
    .attributes = {{"axes", AttrType::Ints, "increasing; they are removed"}},
    .infer = shape_rules::reduce,
    .vjp = vjp_rules::reduce_sum,
    .reference = [](std::span<const double> a) { return a[0] + a[1]; },
    .body = [](ScalarBuilder& s, Scalars a, const Attributes&) { return s.add(a[0], a[1]); },
};

inline constexpr OpDef kReduceMax = {
    .name = "reduce_max",
    .doc = "maximum over axes; equal maxima share the gradient",
    .kind = Kind::Reduce,
    .operands = {"x"},
    .attributes = {{"axes", AttrType::Ints, "increasing; they are removed"}},
    .infer = shape_rules::reduce,
    .vjp = vjp_rules::reduce_extremum,
    .reference = [](std::span<const double> a) { return max_reference(a[0], a[1]); },
    .body = [](ScalarBuilder& s, Scalars a, const Attributes&) { return s.max(a[0], a[1]); },
    .identity = -std::numeric_limits<double>::infinity(),
};

inline constexpr OpDef kReduceMin = {
    .name = "reduce_min",
    .doc = "minimum over axes; equal minima share the gradient",
    .kind = Kind::Reduce,
    .operands = {"x"},
    .attributes = {{"axes", AttrType::Ints, "increasing; they are removed"}},
    .infer = shape_rules::reduce,
    .vjp = vjp_rules::reduce_extremum,
    .reference = [](std::span<const double> a) { return min_reference(a[0], a[1]); },
    .body = [](ScalarBuilder& s, Scalars a, const Attributes&) { return s.min(a[0], a[1]); },
    .identity = std::numeric_limits<double>::infinity(),
};

}  // namespace smelt::ops
