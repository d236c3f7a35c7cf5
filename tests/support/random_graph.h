// Random well-typed graphs: ops and live values picked by a seed, so that a failure is one number.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/evaluator.h"
#include "ir/graph.h"

namespace smelt::testing {

struct RandomGraph {
  Graph graph;  // verified, composites included; `grad` in about half of them
  std::vector<RefTensor> arguments;
  std::vector<int64_t> extents;
};

/// About `num_nodes` nodes on floats of `dtype`, bools and i32, with a run-time batch. Values stay moderate:
/// what grows goes through tanh, and divisors, logarithms and roots are bounded away from their poles.
RandomGraph random_graph(uint64_t seed, int num_nodes, DType dtype);

}  // namespace smelt::testing
