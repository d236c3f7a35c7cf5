// One pass of the training loop: its calls, the rows that each reads, and the values that each reports.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "ir/support/result.h"
#include "runtime/data/batches.h"
#include "runtime/data/dataset.h"
#include "runtime/session.h"
#include "runtime/train_observer.h"
#include "runtime/train_schedule.h"

namespace smelt {

class Iteration {
 public:
  /// All must outlive this. `train_data` may be empty.
  Iteration(Session& session, const SplitSets& train_data, const Schedule& schedule)
      : session_(session), train_data_(train_data), schedule_(schedule) {}

  /// Errors: Input, Limit from the batches and the memory of outputs.
  Result<void> prepare();

  size_t num_calls() const { return slots_.size(); }
  const CallFrame& frame(size_t call) const { return slots_[call].frame; }
  int32_t objective(size_t call) const { return slots_[call].plan.step; }  // index into CompiledProgram::steps
  std::span<const ObjectiveValues> values() const { return values_; }

  /// The place in the data; 0 without any. Sections are read side by side, so that one number is the place in all.
  int64_t batches_taken() const { return batches_.empty() ? 0 : batches_.front().taken(); }
  /// Of the first section.
  int64_t epochs_done() const { return batches_.empty() ? 0 : batches_.front().epochs_done(); }
  void seek(int64_t batches_taken) {
    for (Batches& batches : batches_) batches.seek(batches_taken);
  }

  /// Binds the next batches; the number of rows of the first section. Allocates nothing.
  int64_t take_batches();
  /// Of the batches that are bound. Errors: Input when a run-time dim is smaller than a call needs.
  Result<void> check_sizes() const;
  /// Runs all calls, up to the first that fails, or one; the status is that of abi.h.
  int32_t run() const { return session_.call_iteration(calls_); }
  int32_t run_call(size_t call) const { return session_.call(slots_[call].frame); }
  /// Reads losses and reports of the last run.
  void read_values();
  /// What made call `call` stop before it committed, by the values that were read: its loss, or the norm of its
  /// gradients; null when both are finite.
  const NamedValue* guard_that_stopped(size_t call) const;
  /// Tells the session the losses, for `stop when`.
  void keep_losses();
  /// Those of the last iteration of a run that goes on, by objective; false when some are not known.
  bool take_up_losses(const std::map<std::string, double>& losses);

 private:
  struct CallSlot {
    PlannedCall plan;
    CallFrame frame;
    std::vector<std::vector<int32_t>> rows;  // one a data section
    std::vector<size_t> guards;              // reports that have to be finite
  };
  Result<void> add_call(const PlannedCall& call);

  Session& session_;
  const SplitSets& train_data_;
  const Schedule& schedule_;
  std::vector<Batches> batches_;  // one a data section
  std::vector<CallSlot> slots_;
  std::vector<smelt_call> calls_;
  std::vector<ObjectiveValues> values_;
};

}  // namespace smelt
