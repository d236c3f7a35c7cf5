// One training iteration, or one call of an export, on made-up data: what `bench` and `profile` run.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/call_frame.h"
#include "runtime/host_tensor.h"
#include "runtime/session.h"

namespace smelt::cli {

/// The calls of one iteration, bound to random columns of twice a batch of rows, or the call of an export, with random
/// inputs of a batch of rows and other run-time dims at their bounds. Keep it where it is once prepared.
struct SyntheticRun {
  std::vector<HostTensor> columns;  // or the export's inputs
  std::vector<int32_t> rows;
  std::vector<CallFrame> frames;  // one a call, in order
  std::vector<smelt_call> calls;

  /// `name` of an export, or empty: the iteration. Errors: Usage when there is no such export; Limit.
  Result<void> prepare(Session& session, const std::string& name);

 private:
  Result<void> prepare_iteration(Session& session);
  Result<void> prepare_export(Session& session, const Entry& entry);
};

}  // namespace smelt::cli
