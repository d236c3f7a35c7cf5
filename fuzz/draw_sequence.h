// Random loops that write a sequence position by position, with a small model of whole sequences in each step: what
// compiler/graph/derive_steps computes one position of. Some look ahead, which it has to notice.
#pragma once

#include <optional>

#include "fuzz/node_pool.h"

namespace smelt::fuzz {

/// As draw_scan.
std::optional<NodeId> draw_sequence(NodePool& pool);

}  // namespace smelt::fuzz
