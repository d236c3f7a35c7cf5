// Has products of bf16 multiply two steps of the depth at once, where the machine has an instruction for it and the
// function may round operands.
//
// Assumes:  tiled products; blocks are cut.
// Ensures:  `multiply` of each product; `left` is PairPanel where pairs do not lie along the depth.
// Leaves:   the panels to `pack_operands`.
#pragma once

#include "compiler/loops/loop_ir.h"
#include "compiler/schedule/target.h"

namespace smelt {

LoopFunction pair_products(LoopFunction function, const Target& target);

}  // namespace smelt
