// Common subexpression elimination: equal ops on equal operands are computed once, across forward and backward.
//
// Assumes:  a verified graph.
// Ensures:  no two nodes have the same op, operands and attributes. Operands of a commutative op are compared without
//           regard to order. Random draws merge when site, loop, seed and run agree: those are attributes and operands.
// Leaves:   the nodes that lost a reader; `remove_dead_nodes` drops them.
#pragma once

#include "ir/graph.h"

namespace smelt {

Graph merge_equal_nodes(Graph graph);

}  // namespace smelt
