// What the kernel of a stored node reads: leaves, which are stored nodes and arguments, and the element of each.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "compiler/plan/index_walk.h"
#include "ir/graph.h"

namespace smelt {

/// Loop variables of the kernel of a node: outer loops first, then those of the reduction.
IndexVector loop_indices(const Graph& graph, NodeId id);

/// `element`: by loop variables, in row-major order; nullopt: not one that they say.
using LeafVisitor = std::function<void(NodeId leaf, const std::optional<Affine>& element)>;

/// `stored`: by node.
void for_each_leaf(const Graph& graph, const std::vector<bool>& stored, NodeId id, const LeafVisitor& visit);

}  // namespace smelt
