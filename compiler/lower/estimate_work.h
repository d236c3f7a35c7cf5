// Notes the FLOPs and bytes of each kernel in one call, at the sizes that runs usually have: what `profile` and `bench`
// report, and what a memory budget weighs.
//
// Assumes:  what `build_loops` makes, with stores that nobody reads.
// Ensures:  `flops` and `bytes` of each kernel, for all steps of the repetitions around it.
#pragma once

#include "compiler/loops/loop_ir.h"

namespace smelt {

LoopFunction estimate_work(LoopFunction function);

}  // namespace smelt
