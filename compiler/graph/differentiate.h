// Differentiation as a rewrite: each `grad(y, x)` becomes the nodes that compute dy/dx, each `jvp(y, x, v)` those of
// the derivative of y along v.
//
// Assumes:  a verified graph; `grad` and `jvp` may be nested and may stand anywhere.
// Ensures:  no meta op is left. The innermost derivatives come first; before the next order looks through them they are
//           simplified, equal nodes merged and dead ones dropped, so that an order multiplies only what is needed. All
//           gradients of one y share one reverse sweep. A cotangent exists only for a value on a path from some x to y,
//           so what leads to no x costs nothing. A new node has the span of the node that was differentiated.
//           Composites that a derivative looks through are expanded.
// Kinks:    see the ops' records (relu'(0) = 0; equal maxima share; max and min favour the first operand).
// x is not part of y: the derivative is zero.
#pragma once

#include "ir/graph.h"

namespace smelt {

Graph differentiate(Graph graph);

/// Wraps each x of a `grad` or `jvp` in a `variable`, which rewrites cannot look through: else a rule such as
/// contract(transpose(a), b) -> contract(a, b) could lead around the very value that is asked for.
Graph isolate_variables(Graph graph);

}  // namespace smelt
