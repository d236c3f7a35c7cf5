// Of a carry, or a variable, of which a step changes one position that position alone is written:
// `where(index(T) == t, new, carry)` stores what is there everywhere else.
//
//   for i < T: c[i] = select(i == t, new[i], c[i])      ->   for i = t, if it is one of T: c[i] = new[i]
//
// Assumes:  what `build_loops` and `step_in_kernels` make.
// Ensures:  such a store has a kernel of its own, in which the loop has one turn. What else its kernel computed reads
//           the new values afterwards.
#pragma once

#include "compiler/loops/loop_ir.h"

namespace smelt {

LoopFunction write_rows(LoopFunction function);

}  // namespace smelt
