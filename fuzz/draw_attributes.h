// Random attributes of an op, by the names in its record.
#pragma once

#include <optional>
#include <span>

#include "fuzz/node_pool.h"
#include "ir/op.h"

namespace smelt::fuzz {

bool knows_attributes(const OpDef& def);
/// Nothing when the operands leave no choice, such as an axis of a scalar.
std::optional<Attributes> draw_attributes(NodePool& pool, const OpDef& def, std::span<const NodeId> operands);

}  // namespace smelt::fuzz
