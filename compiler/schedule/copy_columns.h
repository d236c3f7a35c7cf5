// Copies columns a stretch of the depth at a time, where rows of the right operand meet in few sets of a cache.
//
// Assumes:  panels are packed.
// Ensures:  `right` of products in place is CopiedColumns where the copy pays.
#pragma once

#include "compiler/loops/loop_ir.h"
#include "compiler/schedule/target.h"

namespace smelt {

LoopFunction copy_columns(LoopFunction function, const Target& target);

}  // namespace smelt
