// Contractions: sums of products by an index formula. Matrix products in every layout, batched or not, outer
// products and their adjoints are instances of the one op. More pairs of operands are more products of the same kind,
// added up: the gradient of a weight that a net uses twice.
#pragma once

#include "ir/op.h"
#include "ir/ops/references.h"
#include "ir/ops/shape_rules.h"
#include "ir/ops/vjp_rules.h"

namespace smelt::ops {

inline constexpr OpDef kContract = {
    .name = "contract",
    .doc = "y[i..] = sum of a[..] * b[..] over the indices that the result lacks, and over the pairs a, b",
    .kind = Kind::Contract,
    .operands = {"a", "b"},
    .attributes = {{"formula", AttrType::Formula, "`[i,k] [k,j] -> [i,j]`, see index_formula.h"}},
    .traits = {.cheap = false, .repeats = true},
    .infer = shape_rules::contract,
    .vjp = vjp_rules::contract,
    .tensor_reference = references::contract,
};

}  // namespace smelt::ops
