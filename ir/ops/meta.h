// Ops that stand for a rewrite or steer one. `differentiate` removes them; nothing after it sees one.
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

inline constexpr OpDef kJvp = {
    .name = "jvp",
    .doc = "the derivative of y along v, a change of x",
    .kind = Kind::Meta,
    .operands = {"y", "x", "v"},
    .infer = shape_rules::jvp,
    .samples = {.differentiable = false},
};

inline constexpr OpDef kVariable = {
    .name = "variable",
    .doc = "x, kept apart from what computes it: something is differentiated with respect to it",
    .kind = Kind::Meta,
    .operands = {"x"},
    .infer = [](const InferArgs& args) -> Result<TensorType> { return args.operands[0]; },
    .samples = {.differentiable = false},
};

inline constexpr OpDef kCotangent = {
    .name = "cotangent",
    .doc = "stands for the cotangent of y while g of an `adjoint` is written down",
    .kind = Kind::Meta,
    .attributes = {{"id", AttrType::Int, "which one; two are never the same"}, {"type", AttrType::Type, "its type"}},
    .infer = shape_rules::as_stated,
    .samples = {.differentiable = false},
};

inline constexpr OpDef kAdjoint = {
    .name = "adjoint",
    .doc = "y; in a gradient x gets g, computed from y's cotangent ct, besides what y's own graph says",
    .kind = Kind::Meta,
    .operands = {"y", "x", "ct", "g"},
    .infer = shape_rules::adjoint,
    .samples = {.differentiable = false},
};

}  // namespace smelt::ops
