// Contractions: sums of products by an index formula. Matrix products in every layout, batched or not, outer
// products and their adjoints are instances of the one op.
#pragma once

#include "ir/op.h"
#include "ir/ops/references.h"
#include "ir/ops/shape_rules.h"
#include "ir/ops/vjp_rules.h"

namespace smelt::ops {

inline constexpr OpDef kContract = {
    .name = "contract",
    .doc = "y[out] = sum of a[lhs] * b[rhs] over the indices that `out` lacks",
    .kind = Kind::Contract,
    .operands = {"a", "b"},
    .attributes = {{"formula", AttrType::String, "`[b,k] [k,o] -> [b,o]`"}},
    .traits = {.cheap = false},
    .infer = shape_rules::contract,
    .vjp = vjp_rules::contract,
    .tensor_reference = references::contract,
};

}  // namespace smelt::ops
