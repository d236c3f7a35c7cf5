// One reverse sweep over a graph: cotangents from results to operands (reverse mode).
#pragma once

#include <vector>

#include "ir/builder.h"

namespace smelt {

/// A value and its cotangent.
struct Seed {
  NodeId value, cotangent;
};

/// The gradients with respect to each of xs of the sum over seeds of <value, cotangent>, appended to the builder's
/// graph. Looks at the nodes up to `last`. No composite is among those that depend on xs.
std::vector<NodeId> reverse_sweep(Builder& build, NodeId last, const std::vector<Seed>& seeds,
                                  const std::vector<NodeId>& xs);

}  // namespace smelt
