// Ops without operands: arguments, constants, positions and run-time sizes.
#pragma once

#include "ir/op.h"
#include "ir/ops/shape_rules.h"

namespace smelt::ops {

inline constexpr OpDef kArgument = {
    .name = "argument",
    .doc = "argument number `index` of the function",
    .kind = Kind::Argument,
    .attributes = {{"index", AttrType::Int, "position in the function's arguments"},
                   {"type", AttrType::Type, "its type"}},
    .infer = shape_rules::as_stated,
    .samples = {.differentiable = false},
};

inline constexpr OpDef kConstant = {
    .name = "constant",
    .doc = "`value` everywhere",
    .kind = Kind::Constant,
    .attributes = {{"value", AttrType::Float, "rounded to the dtype where it is used"},
                   {"type", AttrType::Type, "type of the result"}},
    .infer = shape_rules::as_stated,
    .samples = {.differentiable = false},
};

inline constexpr OpDef kIndex = {
    .name = "index",
    .doc = "the position along one axis: y[..i..] = i",
    .kind = Kind::Index,
    .attributes = {{"axis", AttrType::Int, "the axis that is counted"},
                   {"type", AttrType::Type, "type of the result, i32 or i64"}},
    .infer = shape_rules::index,
    .samples = {.differentiable = false},
};

inline constexpr OpDef kExtent = {
    .name = "extent",
    .doc = "the actual size of a run-time dimension, a scalar",
    .kind = Kind::Extent,
    .attributes = {{"symbol", AttrType::Int, "number in the table of run-time dimensions"},
                   {"bound", AttrType::Int, "its static bound"},
                   {"type", AttrType::Type, "a scalar number"}},
    .infer = shape_rules::extent,
    .samples = {.differentiable = false},
};

}  // namespace smelt::ops
