// Decides which kernels threads share. One thread runs the others: for little work it is faster than waking another
// thread and waiting for it.
//
// Assumes:  what `build_loops` makes, with stores that nobody reads, which count as work.
// Ensures:  `serial` of each kernel. It is decided at the bounds, so that the code does not depend on what runs usually
//           have.
#pragma once

#include "compiler/loops/loop_ir.h"
#include "compiler/schedule/target.h"

namespace smelt {

LoopFunction share_kernels(LoopFunction function, const Target& target);

}  // namespace smelt
