// Stores what flows between kernels in half precision: v -> cast(cast(v, bf16), f32) for each f32 value v that a kernel
// leaves in memory for another one. Arithmetic stays in f32; a load widens and a store rounds, once.
//
// In the body of a loop a step is short, and what it leaves for the next one is added to: what products by weights read
// is rounded there, nothing else. The weights are packed once, before the loop (`pair_products`).
//
// Assumes:  a graph of primitives after `isolate_results`.
// Ensures:  the same arguments and results. f32 stay
//             results, scalars, vectors, sums, and what a broadcast repeats
//             what exp, log and the like give, but for operands of products
//             the values of an optimiser's update, the gradients of parameters among them; tables of gathers
// Leaves:   the casts to `plan_kernels`, which stores the narrow side, and to products, which read it.
#pragma once

#include "ir/graph.h"

namespace smelt {

/// Does nothing where the precision is no half, or for Rounds::Nothing.
Graph lower_precision(Graph graph, DType precision, Rounds rounds = Rounds::Stores);

}  // namespace smelt
