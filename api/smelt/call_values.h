// What one call read, as tensors for the reference evaluator.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/evaluator.h"
#include "ir/experiment.h"
#include "runtime/failed_call.h"

namespace smelt {

struct CallValues {
  std::vector<RefTensor> arguments;  // in the graph's order
  std::vector<int64_t> extents;      // by symbol
  /// Of the batch, as each data section counts them; empty where the call reads none of it.
  std::vector<std::vector<int32_t>> rows;
};

/// `graph` is the function that call.frame runs, of `experiment`. Columns hold the rows of the batch alone, and `rows`
/// of the graph counts those: a whole column of a data set would be large in double.
CallValues read_call(const Experiment& experiment, const Graph& graph, const FailedCall& call);

}  // namespace smelt
