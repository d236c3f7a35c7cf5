// Ops that stand for a rewrite. `differentiate` removes them; nothing after it sees one.
#pragma once

#include "ir/op.h"
#include "ir/ops/shape_rules.h"

namespace smelt::ops {

inline constexpr OpDef kGrad = {
    .name = "grad",
    .doc = "dy/dx of a scalar y; x is any value that y was computed from",
    .kind = Kind::Meta,
    .operands = {"y", "x"},
    .infer = shape_rules::grad,
    .samples = {.differentiable = false},
};

}  // namespace smelt::ops
