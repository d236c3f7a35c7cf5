// One training iteration on made-up data: what `bench` and `profile` run.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/call_frame.h"
#include "runtime/host_tensor.h"
#include "runtime/session.h"

namespace smelt::cli {

/// The calls of one iteration, bound to random columns of twice a batch of rows. Keep it where it is once prepared.
struct SyntheticRun {
  std::vector<HostTensor> columns;
  std::vector<int32_t> rows;
  std::vector<CallFrame> frames;  // one a call, in order
  std::vector<smelt_call> calls;

  Result<void> prepare(Session& session);
};

}  // namespace smelt::cli
