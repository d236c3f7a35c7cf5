// Gives each product a register tile, and the form in which the tile is computed (choose_tile.h).
//
// Assumes:  the function has lanes.
// Ensures:  each product has a schedule, with both operands in place.
// Leaves:   columns that are not side by side to `pack_operands`.
#pragma once

#include "compiler/loops/loop_ir.h"
#include "compiler/schedule/target.h"

namespace smelt {

LoopFunction tile_products(LoopFunction function, const Target& target);

}  // namespace smelt
