// Takes a training run back to where a step began. Bits depend on nothing but seed and data, so a copy of the variables
// from some steps ago and the steps since then give the variables of any step, without a copy in each.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>

#include "ir/support/result.h"
#include "runtime/buffer.h"
#include "runtime/iteration.h"
#include "runtime/session.h"

namespace smelt {

class Rewind {
 public:
  /// Puts a session to an earlier step than asked for, and says how many batches that one had taken.
  using GoBack = std::function<Result<int64_t>(Session&)>;

  /// Gives the session what else a step depends on, once the steps up to this one are done.
  using Restore = std::function<Result<void>(int64_t step)>;

  Rewind(Session& session, Iteration& iteration, Restore restore)
      : session_(session), iteration_(iteration), restore_(std::move(restore)) {}

  /// Called before each step: copies header, counters, scalars and variables now and then. Errors: Limit.
  Result<void> keep();

  /// Puts the session to the start of step `step` + 1: from the copy, or where there is none by `go_back`. Errors:
  /// those of `go_back`; RunTime when the steps do not run as they did.
  Result<void> go_to(int64_t step, const GoBack& go_back);

  /// At the start of a step: runs its calls up to the first that fails, takes that one back, and returns its position.
  /// Errors: Limit; RunTime when all succeed.
  Result<size_t> run_to_failure(int32_t& status);

 private:
  Session& session_;
  Iteration& iteration_;
  Restore restore_;
  Buffer kept_;
  int64_t kept_step_ = -1;
  int64_t kept_batches_ = 0;
};

}  // namespace smelt
