// What the op table does not say about f16 and bf16: floats that are rounded to them, and products of such.
#pragma once

#include <optional>

#include "fuzz/node_pool.h"

namespace smelt::fuzz {

/// A float that was rounded to a half, or a product whose operands were; one of bf16 often has the layout that pairs
/// want (decision 8), and is sometimes added to another one. The halves are live as well, and the result is.
std::optional<NodeId> draw_through_half(NodePool& pool);

}  // namespace smelt::fuzz
