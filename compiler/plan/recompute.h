// Gives the late readers of a stored value a copy of its computation, so that the value need not be kept for them.
//
// Assumes:  a graph of primitives after `isolate_results`, and the plan that was made of it.
// Ensures:  every result has the value it had, to the bit: a copy is computed from the same operands by the same
//           operations, random draws included, and a copied sum adds in the order of the original.
// Leaves:   the choice of values to `fit_budget`, which also finds out whether the new graph can be ordered.
#pragma once

#include <cstdint>
#include <map>

#include "compiler/plan/fusion_plan.h"

namespace smelt {

/// What is computed again, and for whom.
struct Recomputation {
  std::map<NodeId, int32_t> from;  // by stored value: from which kernel of the plan on readers read the copy
};

/// A value that nobody is left to read is dropped: then the copy is no second computation but a later one.
ScheduledGraph recompute(const ScheduledGraph& from, const FusionPlan& plan, const Recomputation& what);

}  // namespace smelt
