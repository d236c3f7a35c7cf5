// Which elements a value reads of what it is made of: affine indices on their way from a node to stored ones.
#pragma once

#include <vector>

#include "ir/affine.h"
#include "ir/graph.h"

namespace smelt {

using IndexVector = std::vector<Affine>;

/// Row-major element number of `index` in `shape`, by bounds.
Affine linear_offset(const IndexVector& index, const Shape& shape);

/// The node whose buffer `node` names: itself, or through reshapes the stored node or argument below.
NodeId alias_root(const Graph& graph, const std::vector<bool>& stored, NodeId node);

/// A transposition, or a reshape that only adds or drops axes of size 1.
bool is_reordering(const Graph& graph, NodeId node);

/// Where a gather finds its table: the node whose buffer it reads, and by axis of the table the stride there. Through
/// reorderings that are not stored.
struct GatherTable {
  NodeId root;
  std::vector<int64_t> strides;
};
GatherTable gather_table(const Graph& graph, const std::vector<bool>& stored, NodeId table);

/// A cast from a half to f32, which loses nothing: where it is read from memory, the half can be.
bool is_widening(const Graph& graph, NodeId node);

/// The node whose buffer a product reads for `node`, and a reshape that does not keep the index: as `alias_root`, and
/// through widening casts, so that the buffer's dtype may be a half where the node's is f32.
NodeId operand_root(const Graph& graph, const std::vector<bool>& stored, NodeId node);

/// A reshape that only adds or drops axes of size 1.
bool keeps_index(const Graph& graph, const Node& reshape);

/// Index of operand `operand` when `node` is evaluated at `index`. Not for gather's table, nor for reshapes that do
/// not keep the index.
IndexVector operand_index(const Graph& graph, const Node& node, size_t operand, const IndexVector& index);

}  // namespace smelt
