// Decides which values are stored in memory; all others are computed in registers wherever they are read.
//
// Assumes:  a graph of primitives after `isolate_results`.
// Ensures:  results, sums, operands of products and loops are stored; of the rest what several readers, or a broadcast,
//           would compute again at a price. `why_stored` says why.
// Leaves:   order and kernels.
#pragma once

#include "compiler/plan/fusion_plan.h"
#include "ir/op.h"

namespace smelt {

FusionPlan choose_stored(const Graph& graph, const NodeSchedule& schedule, Fusion fusion);

/// What the operation of a kernel always leaves in memory: sums and loops.
bool is_always_stored(Kind kind);
bool is_loop(Kind kind);

}  // namespace smelt
