// Random loops over steps: a body of a few ops, sometimes with another loop in it.
#pragma once

#include <optional>

#include "fuzz/node_pool.h"

namespace smelt::fuzz {

/// A scan over live values. Its parts are live; the result is the last of them. Carries are damped, so that what a
/// rounding does to a step fades instead of growing.
std::optional<NodeId> draw_scan(NodePool& pool);

}  // namespace smelt::fuzz
