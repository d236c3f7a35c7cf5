// A node of one step as a node of all steps: its operands and its result get an axis in front.
#pragma once

#include <vector>

#include "ir/builder.h"

namespace smelt {

/// Whether `batch_node` knows the node when the operands in `batched` have the axis and the others have not.
bool can_batch(const Node& node, const std::vector<bool>& batched);

/// `node` on `operands`, of which those in `batched` have an axis of `steps` in front; at least one has. The result has
/// it too.
NodeId batch_node(Builder& build, const Node& node, Operands operands, const std::vector<bool>& batched,
                  const Extent& steps);

/// The sum over all steps of a contraction or of a reduce_sum, of operands that all have the axis.
NodeId sum_over_steps(Builder& build, const Node& node, const std::vector<NodeId>& operands);

}  // namespace smelt
