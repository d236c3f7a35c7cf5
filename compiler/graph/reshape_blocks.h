// Which axes of a reshape's operand and of its result hold the same elements.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "ir/type.h"

namespace smelt {

/// Neighbours before and neighbours after that hold the same elements in the same order. Axes of one element are in
/// none.
struct ReshapeBlock {
  std::vector<int64_t> before, after;
};

/// The smallest blocks, from the first axis on; nothing when a run-time axis is joined or split.
std::optional<std::vector<ReshapeBlock>> reshape_blocks(const Shape& from, const Shape& to);

}  // namespace smelt
