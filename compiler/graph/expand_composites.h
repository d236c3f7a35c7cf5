// Replaces composites by primitives, and drops `stop`, which has no meaning once nothing is left to differentiate.
//
// Assumes:  no `grad` (differentiate ran).
// Ensures:  every node is a primitive other than `stop`. An expansion's nodes have the span of the composite.
#pragma once

#include "ir/graph.h"

namespace smelt {

Graph expand_composites(Graph graph);

/// Without its composites, which no sweep goes through, and with each `stop`, which ends one.
Graph expand_for_sweep(Graph graph);

}  // namespace smelt
