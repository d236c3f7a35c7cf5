// Sums of products become one product that adds to its sums in registers: contract(a, b) + contract(c, d) ->
// contract(a, b, c, d). The gradient of a weight that a step uses twice, on real and on generated data, is such a sum,
// and its update can then be the epilogue of one product.
//
// Assumes:  primitives.
// Ensures:  no add whose operands are products of one formula and like operands, each read by nothing else, unless
//           keeping the operands of both would take more memory than one result.
// Leaves:   the products that were joined; `remove_dead_nodes` drops them.
#pragma once

#include "ir/graph.h"

namespace smelt {

Graph join_products(Graph graph);

}  // namespace smelt
