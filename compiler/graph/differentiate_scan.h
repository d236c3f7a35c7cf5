// The derivative of a loop is a loop: the same steps in the other direction.
#pragma once

#include <span>
#include <vector>

#include "ir/builder.h"

namespace smelt {

/// Cotangents of the operands of `scan`, by operand, from those of its results, by result; not valid stands for zero.
///
/// A step of the new scan sees the carries that its forward step found, which are stacked (`save_carries` must have
/// run), the forward step's slices and wholes, and the cotangents of what the step gave. It carries the cotangents of
/// the carries, and for each whole operand the sum of what the steps add to its cotangent.
std::vector<NodeId> scan_cotangents(Builder& build, NodeId scan, std::span<const NodeId> cotangents,
                                    const std::vector<bool>& needed);

}  // namespace smelt
