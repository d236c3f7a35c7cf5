// Contractions that read outside of their operands read padded ones instead: products have no tests of bounds.
//
// Assumes:  primitives.
// Ensures:  no contraction has a bounded map; each operand is padded on the sides that its map leaves, and no further.
// Leaves:   `read`, which loops test element by element.
#pragma once

#include "ir/builder.h"
#include "ir/graph.h"

namespace smelt {

Graph pad_outside_reads(Graph graph);

/// A contraction that is `node`, of padded operands where it reads outside.
NodeId without_outside_reads(Builder& build, const Node& node);

}  // namespace smelt
