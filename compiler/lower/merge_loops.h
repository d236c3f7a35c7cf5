// Neighbouring loops of a nest whose elements lie one behind the other become one loop: vectors run on from line to
// line, and a point costs no division for each axis. Pictures of one or three channels, and filters of 1x1 or 3x3 taps,
// have an innermost axis that no vector fills.
//
// Assumes:  what `build_loops` makes.
// Ensures:  no two neighbouring outer loops of a nest are one loop for all its accesses; nor, where a nest has one
// sweep
//           without folds, are its loops and the sweep's. No loop has a single turn, unless no other is left.
// Leaves:   every value its bits under any plan. Sums keep their loops of several turns, because which of them are one
//           depends on what else a kernel reads, and the tree of a sum may not.
#pragma once

#include "compiler/loops/loop_ir.h"

namespace smelt {

LoopFunction merge_loops(LoopFunction function);

}  // namespace smelt
