// Depthwise convolutions and their gradients become sums over windows.
//
// Assumes:  primitives.
// Ensures:  no contraction is left of which one operand is read at all indices, in windows: each is a padded read, a
// product of
//           elements and a sum.
// Leaves:   sums of halves, which are rounded once.
// Numerics  the order of additions is that of the sum: fixed by shapes.
#pragma once

#include "ir/graph.h"

namespace smelt {

Graph sum_windows(Graph graph);

}  // namespace smelt
