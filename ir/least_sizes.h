// How large run-time dimensions have to be for a graph: `x[0 .. 4]` of T rows needs four of them, and `T-1` is a size
// from T = 2 on. Who calls compiled code checks it first, because code reads the memory of a tensor by its bounds.
#pragma once

#include <vector>

#include "ir/graph.h"

namespace smelt {

struct LeastSize {
  int32_t symbol = -1;
  int64_t size = 1;
  Span span;  // of an operation that needs it
};

/// At most one a dimension, those above 1, in the order of the table.
///
/// Assumes:  the graph is what the frontend made, so that every part that is taken is in it.
std::vector<LeastSize> least_sizes(const Graph& graph);

}  // namespace smelt
