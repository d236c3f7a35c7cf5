// Panels of what is the same in all calls of a step are packed by the function that begins it.
#pragma once

#include <cstdint>
#include <functional>

#include "compiler/loops/loop_ir.h"

namespace smelt {

/// Moves the packing of variables that `step` does not write, and that are not `written_elsewhere`, to the end of
/// `reset`. The panels lie from `end` on, which no temporary of any function reaches; gives their end.
int64_t pack_once(LoopFunction& step, LoopFunction& reset, int64_t end,
                  const std::function<bool(int32_t ref)>& written_elsewhere);

}  // namespace smelt
