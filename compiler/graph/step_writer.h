// The body of a loop over a sequence that computes the position of its step alone.
#pragma once

#include <expected>

#include "compiler/graph/sequence_loop.h"
#include "ir/builder.h"

namespace smelt {

/// A value that the new loop carries from step to step, and starts as.
struct NewCarry {
  TensorType type;
  NodeId start;  // a node of the old body that is the same in all steps; not valid: zeros
};

struct StepBody {
  Graph body;  // the old arguments and results, in their order, then those of the new carries
  std::vector<NewCarry> carries;
};

/// Error: what stands in the way.
std::expected<StepBody, Refusal> write_step(const SequenceLoop& loop, const Demands& demands);

}  // namespace smelt
