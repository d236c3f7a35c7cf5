// Which rows of a source a split has.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/plan.h"
#include "ir/support/result.h"

namespace smelt {

/// The rows of a source of `count` rows that `split` has, ascending: a share of a permutation by the seed, or of a text
/// a stretch, so that the first split of one begins where the text begins. Errors: Input when there is none; Limit
/// beyond 2^31-1.
Result<std::vector<int32_t>> rows_of_split(const DataPlan& plan, const Split& split, int64_t count);

}  // namespace smelt
