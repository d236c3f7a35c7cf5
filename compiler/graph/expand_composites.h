// Replaces composites by primitives, and drops `stop`, which has no meaning once nothing is left to differentiate.
//
// Assumes:  no `grad` (differentiate ran).
// Ensures:  every node is a primitive other than `stop`. An expansion's nodes have the span of the composite.
#pragma once

#include "ir/graph.h"

namespace smelt {

Graph expand_composites(Graph graph);

}  // namespace smelt
