// A repetition of one small nest becomes a loop of that nest, with its carries in registers: a call, and a store and a
// load of each carry, cost several times what a discounted sum or a recurrence of a few operations computes. Element by
// element, because the points of the nest must not need each other: what one stores, no other loads.
//
// Assumes:  what `build_loops` makes.
// Ensures:  no repetition of one nest whose points have no loops of their own, draw nothing, and load of what the nest
//           stores only carries, each at the place where it is stored.
// Leaves:   every value its bits.
#pragma once

#include "compiler/loops/loop_ir.h"

namespace smelt {

LoopFunction step_in_kernels(LoopFunction function);

}  // namespace smelt
