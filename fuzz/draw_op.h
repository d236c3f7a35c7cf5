// One random op on live values of a pool: operands, attributes and, where its record asks for it, a guard of its
// domain.
#pragma once

#include <optional>

#include "fuzz/node_pool.h"
#include "ir/op.h"

namespace smelt::fuzz {

/// Adds `def` to the pool; nothing when no live values fit, or when the result was refused.
std::optional<NodeId> draw_op(NodePool& pool, const OpDef& def);

/// Whether `draw_op` knows how to draw the op's attributes; false for ops that stand for something else (`argument`,
/// `grad`).
bool can_draw(const OpDef& def);

}  // namespace smelt::fuzz
