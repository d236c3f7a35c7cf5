// A loop over steps that owns the graph of one step, and its results. What they mean: ir/scan.h.
#pragma once

#include "ir/op.h"
#include "ir/ops/shape_rules.h"

namespace smelt::ops {

inline constexpr OpDef kScan = {
    .name = "scan",
    .doc = "runs its body once a step: carries go from step to step, slices are read and results stacked by step",
    .kind = Kind::Scan,
    .operands = {"x"},
    .attributes = {{"reverse", AttrType::Int, "1: the last step comes first"},
                   {"by_position", AttrType::Int, "1: a step has to compute one position of a sequence"},
                   {"until", AttrType::Int, "the carry that ends the loop once it is not 0; -1: none"},
                   {"type", AttrType::Type, "i32[T], the type of the steps"}},
    .traits = {.cheap = false, .repeats = true},
    .infer = shape_rules::scan,
    .samples = {.differentiable = false},
};

inline constexpr OpDef kPart = {
    .name = "part",
    .doc = "one result of a scan: a carry after the last step, or what the steps gave, stacked",
    .kind = Kind::Part,
    .operands = {"scan"},
    .attributes = {{"result", AttrType::Int, "of the body"}, {"type", AttrType::Type, "its type"}},
    .traits = {.cheap = false},
    .infer = shape_rules::as_stated,
    .samples = {.differentiable = false},
};

}  // namespace smelt::ops
