// Results that are written where an operand lay that nobody reads any more.
#pragma once

#include <cstdint>
#include <vector>

#include "compiler/loops/loop_ir.h"

namespace smelt {

/// For each buffer, the temporary whose bytes it may take over, or -1. Element i of the one is element i of the other.
///
/// Kernel k may write X over Y when X is first touched in k and Y last, both at the same elements at each point of k's
/// outer loops, no two points share an element, and every load of Y comes before the stores of X. No buffer is taken
/// over twice.
std::vector<int32_t> find_in_place(const LoopFunction& function);

}  // namespace smelt
