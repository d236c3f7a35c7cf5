// Metamorphic checks: a graph written in another way gives the same.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "fuzz/differential.h"

namespace smelt::fuzz {

/// `count` different rewrites of each case, of those that apply: through the graph passes and the reference evaluator,
/// and where the optimised graph is another one, through compiled code in full. `done` counts them.
std::vector<Failure> check_rewrites(std::span<const Case> cases, int count, int64_t& done);

/// Values are the same bits however they are fused: graphs without sums, whose order of terms may differ, are compiled
/// with everything stored, with nothing stored that can be recomputed, and as users get them. `done` counts graphs.
std::vector<Failure> check_fusion(std::span<const Case> cases, int64_t& done);

}  // namespace smelt::fuzz
