// A stored value whose every reader found it in a register needs no memory: its stores go, and so do sweeps without
// statements.
//
// Assumes:  what `build_loops` makes.
// Ensures:  each temporary that is written is read.
#pragma once

#include "compiler/loops/loop_ir.h"

namespace smelt {

LoopFunction drop_unread_stores(LoopFunction function);

}  // namespace smelt
