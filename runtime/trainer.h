// The training loop: batches, iterations, logs, actions, and going on from a checkpoint as if nothing had
// happened.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>

#include "ir/support/result.h"
#include "runtime/checkpoint.h"
#include "runtime/data/dataset.h"
#include "runtime/data/subword_models.h"
#include "runtime/failed_call.h"
#include "runtime/run_directory.h"
#include "runtime/session.h"
#include "runtime/train_observer.h"
#include "runtime/train_schedule.h"

namespace smelt {

struct TrainOptions {
  std::string model_sha256 = {};     // of the model text
  std::string training_sha256 = {};  // of what decides the bits (api/smelt/training_identity.h)
  std::string config = {};           // the `--set` values and the flags that change bits, as JSON text
  int64_t stop_after = -1;           // `--steps`: stop when this many iterations are done, earlier ones included
  bool resume = false;               // go on from the run's last checkpoint, or from the start when it has none
  /// A model without `checkpoint` lines is saved this often anyway; 0: at the end only.
  std::chrono::milliseconds autosave{0};
  std::map<std::string, SplitMark> data = {};  // of the splits (mark_data)
  const SubwordModels* subwords = nullptr;     // what texts of subwords are read and written by; null: there are none
  const std::atomic<int>* stop_signal = nullptr;  // stop after the iteration in which this is not 0
  TrainObserver* observer = nullptr;
  /// `--check-nan`: a step that fails changes nothing at all, and the run saves the step before it.
  bool check_nan = false;
  /// Called when a run goes on, after its checkpoint agreed and before anything else is written: what the run directory
  /// keeps of the model and the flags may be others now.
  std::function<Result<void>()> accepted = {};
  /// Called once for the call that failed because of a NaN or an infinity, before `train` returns NonFinite.
  TraceCall trace = {};
  /// Sets the variables as they were when the run began; `initialise` when there is none. For `trace`, of a run without
  /// a checkpoint.
  std::function<Result<void>(Session&)> restart = {};
};

enum class StopReason : uint8_t { Finished, StepLimit, StopWhen, Signal };

struct TrainSummary {
  StopReason reason = StopReason::Finished;
  int64_t first_step = 0;  // iterations that were done before
  int64_t step = 0;        // iterations done
  int64_t epoch = 0;       // epochs done
  std::string checkpoint;  // the last one
};

/// Trains `session` as its program's TrainPlan says. The plan's seed, batch and shuffle must be those the
/// session was made with. Without options.resume the session's variables must be set, by initialise or a
/// load; with it they come from the checkpoint. `data` holds the loaded splits; `train`, or else the first,
/// is trained on. Always saves a checkpoint at the end. Errors: Input, Usage, Output, Limit from the parts;
/// NonFinite naming objective and step, when the last checkpoint still is the one before; RunTime. A loss that is not
/// finite changes nothing by its call. After a parameter that is not finite the variables are of no use, unless
/// `check_nan` or `trace` is set, which take the session back to the start of the failed step or call.
Result<TrainSummary> train(Session& session, std::span<const Dataset> data, const RunDirectory& run,
                           const TrainOptions& options);

/// What checkpoints keep of the data, so that a resumed run notices when it changed.
std::map<std::string, SplitMark> mark_data(std::span<const Dataset> data);

/// The splits that `train` trains on, one a data section: `train`, or else the section's first.
SplitSets training_sets(std::span<const Dataset> data);
/// Of the data section that counts the epochs; 0 without data.
int64_t training_rows(std::span<const Dataset> data);

}  // namespace smelt
