// Decides which loops run in vectors, and in vectors of what.
//
// Assumes:  lowered loops.
// Ensures:  `lanes` of the function; each nest has vectors over neighbouring points, or over the innermost loop of each
//           sweep whose turns are independent.
#pragma once

#include "compiler/loops/loop_ir.h"
#include "compiler/schedule/target.h"

namespace smelt {

LoopFunction vectorize(LoopFunction function, const Target& target);

}  // namespace smelt
