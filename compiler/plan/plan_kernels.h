// Decides which kernel computes each stored value: fusion.
//
// Assumes:  a graph of primitives after `isolate_results`; what is stored, and an order of the nodes.
// Ensures:  kernels are in an order in which each reads only what earlier kernels, or its own earlier sweeps, stored;
//           a variable is overwritten only after its last reader and after the loss was computed.
// Leaves:   loops and accesses to `build_loops`.
#pragma once

#include "compiler/plan/fusion_plan.h"

namespace smelt {

FusionPlan plan_kernels(const Graph& graph, const NodeSchedule& schedule, FusionPlan plan);

/// All three passes of a plan, in order.
FusionPlan make_plan(const Graph& graph, Fusion fusion = Fusion::Full, const NodeSchedule& schedule = {});

}  // namespace smelt
