// Orders a step's nodes so that each value is computed as late as possible: a parameter is updated right after its
// gradient, and after everything that reads the old value. Scalars made of scalars come first.
#pragma once

#include <optional>
#include <vector>

#include "ir/graph.h"

namespace smelt {

/// A topological order of all nodes in which, besides operands, the loss and all readers of a variable's old value -
/// directly, or through values that are recomputed where they are read - come before the variable's new value.
std::vector<NodeId> order_nodes(const Graph& graph);

/// A new value that `isolate_results` made a copy of another one: that one, which has memory of its own, so that the copy
/// reads nothing else.
std::optional<NodeId> copied_by(const Graph& graph, const Output& result);

}  // namespace smelt
