// What a training run will do, counted before it starts: calls of an iteration, batches of an epoch,
// iterations.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/support/result.h"
#include "runtime/program.h"

namespace smelt {

/// One call of an iteration.
struct PlannedCall {
  int32_t step = 0;  // index into CompiledProgram::steps
  bool takes_data = false;
  bool shares_batch = false;  // with the call before it that took data: members of one `together`
};

struct Schedule {
  std::vector<PlannedCall> calls;
  int64_t batches_per_iteration = 0;
  int64_t batches_per_epoch = 0;  // 0 without data
  int64_t iterations = 0;         // the horizon
};

/// `train_rows`: rows of the training split, 0 without data; of several data sections the first one's, which counts the
/// epochs. With `epochs`, the last iteration is the one
/// that takes the last batch of the last epoch. Errors: Usage when the file does not train, or counts epochs
/// without data; Input when there is no full batch; Limit when the number of iterations leaves 63 bits.
Result<Schedule> plan_schedule(const CompiledProgram& program, int64_t train_rows);

}  // namespace smelt
