// Copies operands into panels where the inner kernel could not read them as they lie, or would read them slowly.
//
// Assumes:  tiled products; which of them multiply pairs is decided.
// Ensures:  before each product that needs it there is a Pack kernel for each of its operands; the product reads the
//           panels, and its strides are those of the panels. What a repetition around the product does not change, the
//           weights of a recurrent net, is packed once before it.
// Leaves:   products that read in place to `copy_columns`.
#pragma once

#include "compiler/loops/loop_ir.h"
#include "compiler/schedule/target.h"

namespace smelt {

LoopFunction pack_operands(LoopFunction function, const Target& target);

}  // namespace smelt
