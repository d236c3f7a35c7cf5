// Graphs under a memory budget: values that are computed again are the same bits.
#pragma once

#include <span>
#include <vector>

#include "fuzz/differential.h"

namespace smelt::fuzz {

/// The leg `budget`, also without fusion, where more values are kept: results are right and have the bits of the leg
/// `planned`. `again` counts the values that were computed again, `done` the plans that have such.
std::vector<Failure> check_budgets(std::span<const Case> cases, int64_t& done, int64_t& again);

}  // namespace smelt::fuzz
