// Reverse-mode differentiation as a rewrite: each `grad(y, x)` becomes the nodes that compute dy/dx.
//
// Assumes:  a verified graph; `grad` may be nested and may stand anywhere.
// Ensures:  no `grad` is left. All gradients of one y share one reverse sweep. A cotangent exists only for a value on a
//           path from some x to y, so what leads to no x costs nothing. A new node has the span of the node that was
//           differentiated. Composites that a `grad` looks through are expanded.
// Kinks:    see the ops' records (relu'(0) = 0; equal maxima share; max and min favour the first operand).
// x is not part of y: the gradient is zero.
#pragma once

#include "ir/graph.h"

namespace smelt {

Graph differentiate(Graph graph);

}  // namespace smelt
