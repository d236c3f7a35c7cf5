// What a training run tells its host while it runs. The library itself prints nothing.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/metrics_log.h"

namespace smelt {

/// One execution of an objective.
struct ObjectiveValues {
  NamedValue loss;  // named as the objective
  std::vector<NamedValue> reports;
};

struct StepReport {
  int64_t step = 0;                        // iterations done, this one included
  int64_t target = 0;                      // where the run stops
  int64_t horizon = 0;                     // of schedules; `target` may be smaller
  int64_t epoch = 0;                       // epochs done
  double ms = 0;                           // of this iteration
  int64_t rows = 0;                        // read by this iteration
  std::span<const ObjectiveValues> calls;  // in order; valid during the call only
};

/// Called on the training thread, between iterations.
class TrainObserver {
 public:
  virtual ~TrainObserver() = default;
  virtual void on_start(int64_t /*first_step*/, int64_t /*target*/) {}
  virtual void on_step(const StepReport& /*report*/) {}
  virtual void on_evaluation(int64_t /*step*/, std::string_view /*split*/, std::span<const NamedValue> /*values*/) {}
  /// `what` is a picture, text or sound.
  virtual void on_output(int64_t /*step*/, std::string_view /*what*/, const std::string& /*path*/) {}
  virtual void on_checkpoint(int64_t /*step*/, const std::string& /*path*/, bool /*best*/) {}
  virtual void on_note(const std::string& /*text*/) {}
};

}  // namespace smelt
