#include "runtime/rewind.h"

#include <fmt/format.h>

#include <algorithm>

namespace smelt {
namespace {

// A copy costs about as much as an optimiser's update of the same bytes: one in 32 steps stays below 3 % of a step's
// time, and 32 steps again are a moment.
constexpr int64_t kStepsPerCopy = 32;

}  // namespace

Result<void> Rewind::keep() {
  const int64_t step = session_.header().iteration;
  if (kept_step_ >= 0 && step < kept_step_ + kStepsPerCopy) return {};
  const std::span<const std::byte> state = session_.state();
  if (kept_.empty()) {
    SMELT_TRY(kept_, Buffer::allocate(state.size(), "the copy that --check-nan keeps"));
  }
  std::ranges::copy(state, kept_.data());
  kept_step_ = step;
  kept_batches_ = iteration_.batches_taken();
  return {};
}

Result<void> Rewind::go_to(int64_t step, const GoBack& go_back) {
  if (kept_step_ >= 0) {
    std::ranges::copy(kept_.bytes(), session_.state().begin());
    iteration_.seek(kept_batches_);
  } else {
    SMELT_TRY(const int64_t batches, go_back(session_));
    iteration_.seek(batches);
  }
  SMELT_TRY_VOID(restore_(session_.header().iteration));
  while (session_.header().iteration < step) {
    iteration_.take_batches();
    const int32_t status = iteration_.run();
    if (status != SMELT_CALL_OK) {
      return fail(ErrorKind::RunTime,
                  fmt::format("step {} succeeded, and fails when it runs again", session_.header().iteration + 1));
    }
    iteration_.read_values();
    iteration_.keep_losses();
    SMELT_TRY_VOID(restore_(session_.header().iteration));
  }
  return {};
}

Result<size_t> Rewind::run_to_failure(int32_t& status) {
  iteration_.take_batches();
  Buffer before;
  for (size_t call = 0; call < iteration_.num_calls(); ++call) {
    SMELT_TRY(before, Buffer::copy_of(session_.state(), "a copy of the variables"));
    status = iteration_.run_call(call);
    if (status == SMELT_CALL_OK) continue;
    iteration_.read_values();
    std::ranges::copy(before.bytes(), session_.state().begin());
    return call;
  }
  return fail(ErrorKind::RunTime,
              fmt::format("step {} failed, and succeeds when it runs again", session_.header().iteration + 1));
}

}  // namespace smelt
