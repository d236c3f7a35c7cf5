// Results that are written where an operand lay that nobody reads any more.
//
// Assumes:  all kernels are there.
// Ensures:  `over` of each buffer is the temporary whose bytes it may take over, or -1. Element i of the one is
//           element i of the other.
//
// Kernel k may write X over Y when X is first touched in k and Y last, both at the same elements at each point of k's
// outer loops, no two points share an element, and every load of Y comes before the stores of X. No buffer is taken
// over twice.
#pragma once

#include "compiler/loops/loop_ir.h"
#include "compiler/schedule/target.h"

namespace smelt {

LoopFunction write_in_place(LoopFunction function, const Target& target);

}  // namespace smelt
