// The `every` actions of a training run: evaluations, pictures, texts, sounds, checkpoints.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "ir/support/result.h"
#include "runtime/checkpoint.h"
#include "runtime/data/dataset.h"
#include "runtime/data/subword_models.h"
#include "runtime/metrics_log.h"
#include "runtime/progress.h"
#include "runtime/run_directory.h"
#include "runtime/session.h"
#include "runtime/train_observer.h"

namespace smelt {

class TrainActions {
 public:
  /// All references must outlive this. `train_data` may be empty.
  TrainActions(Session& session, std::span<const Dataset> data, const SplitSets& train_data, const RunDirectory& run,
               MetricsLog& log, TrainObserver& observer, const SubwordModels& subwords);

  /// Takes up a resumed run: the state of its checkpoint. A kill between a checkpoint and the pointer to it is mended.
  /// Errors: Output.
  Result<void> resume(const TrainState& state);

  /// Errors: Output when the file system has no room for the checkpoints that are there at once.
  Result<void> check_space() const;

  /// True when `fire` has something to do; asking costs nothing.
  bool any_due(int64_t step, int64_t epochs_before, int64_t epochs_after) const;

  /// Runs what is due after step `state.step`. Evaluations and pictures come first and the log is on disk
  /// before a checkpoint is, so that a checkpoint never is ahead of the log. Errors: those of evaluate,
  /// Session::run, and Output.
  Result<void> fire(const TrainState& state, int64_t epochs_before);

  /// Saves unless that step is saved already. Errors: Output.
  Result<void> save_last(const TrainState& state);
  /// The same, between the steps of a model that has no `checkpoint` line: the newest two of these stay,
  /// also when the run goes on in another process.
  Result<void> autosave(const TrainState& state);

  std::optional<int64_t> saved_step() const { return saved_step_; }
  /// `stop when no better(..)` holds.
  bool without_progress() const { return progress_.has_ended(); }
  /// Gives the scalars of `slow` lines what they are in the steps behind `step`. Errors: Usage when there is none.
  Result<void> set_rates(int64_t step);

 private:
  Result<void> take_up_metrics();
  Result<void> run_eval(const Action& action, int64_t step);
  Result<void> slow_down(int64_t step, const std::string& split, const NamedValue& value);
  Result<HostTensor> run_output(const Entry& entry, const TrainState& state);
  Result<void> write_output(const Action& action, const TrainState& state);
  Result<void> run_checkpoint(const Action& action, const TrainState& state);
  Result<void> save(TrainState state, bool best);
  Result<void> prune() const;

  Session& session_;
  const TrainPlan& plan_;
  std::span<const Dataset> data_;
  const SplitSets& train_data_;
  const RunDirectory& run_;
  MetricsLog& log_;
  TrainObserver& observer_;
  const SubwordModels& subwords_;
  std::vector<NamedValue> latest_;  // of evaluations, by name
  std::optional<double> best_;
  std::optional<int64_t> best_step_;
  std::optional<int64_t> saved_step_;
  std::vector<int64_t> autosaves_;
  Progress progress_;
  std::vector<Slowing> slowings_;
};

/// Whether a `checkpoint` line says when a run is saved.
bool saves_by_itself(const TrainPlan& plan);

}  // namespace smelt
