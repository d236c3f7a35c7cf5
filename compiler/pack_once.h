// Panels of what is the same in all calls of a step are packed by the function that begins it.
#pragma once

#include <cstdint>

#include "compiler/loops/loop_ir.h"

namespace smelt {

/// Moves the packing of variables that `step` does not write to the end of `reset`. The panels lie from `end` on, which
/// no temporary of any function reaches; gives their end.
int64_t pack_once(LoopFunction& step, LoopFunction& reset, int64_t end);

}  // namespace smelt
