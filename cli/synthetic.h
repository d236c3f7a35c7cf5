// Data of the right types and shapes for commands that look at a step and not at what it learns.
#pragma once

#include <vector>

#include "ir/plan.h"
#include "ir/support/result.h"
#include "runtime/host_tensor.h"

namespace smelt::cli {

/// Numbers of philox's stream `number`: floats in 0..1, whole numbers below `below`. Errors: Limit.
Result<HostTensor> synthetic_tensor(DType dtype, const std::vector<int64_t>& shape, int64_t below, uint32_t number);

/// A tensor for each column of `data`, `rows` long: bytes, labels below their limits, floats in 0..1; always the same.
/// Errors: Limit.
Result<std::vector<HostTensor>> synthetic_columns(const DataPlan& data, int64_t rows);

}  // namespace smelt::cli
