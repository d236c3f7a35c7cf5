// Random layers of pictures [N, C, H, W]: convolutions, pools, concatenated branches and what stands between them, with
// strides, dilations, margins and groups.
#pragma once

#include <optional>

#include "fuzz/node_pool.h"

namespace smelt::fuzz {

/// A layer over a live picture, or over a new argument. Nothing when no size fits.
std::optional<NodeId> draw_picture(NodePool& pool);

}  // namespace smelt::fuzz
