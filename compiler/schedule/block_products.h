// Cuts long depths into blocks whose operands stay in a cache while all tiles pass over them: those of a convolution's
// weight gradient, which are all pixels of all images.
//
// Assumes:  tiled products.
// Ensures:  products whose operands overflow the cache have `blocks`, with a temporary for the sums between blocks.
#pragma once

#include "compiler/loops/loop_ir.h"
#include "compiler/schedule/target.h"

namespace smelt {

LoopFunction block_products(LoopFunction function, const Target& target);

}  // namespace smelt
