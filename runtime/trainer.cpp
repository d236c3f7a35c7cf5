#include "runtime/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>

#include "ir/support/check.h"
#include "runtime/checkpoint.h"
#include "runtime/data/batches.h"
#include "runtime/metrics_log.h"
#include "runtime/train_actions.h"

namespace smelt {
namespace {

using Clock = std::chrono::steady_clock;

// One call of an iteration: its frame, the rows it reads, and the values it reports.
struct CallSlot {
  PlannedCall plan;
  CallFrame frame;
  std::vector<int32_t> rows;
};

class TrainingRun {
 public:
  TrainingRun(Session& session, std::span<const Dataset> data, const RunDirectory& run,
              const TrainOptions& options, MetricsLog log, Schedule schedule)
      : session_(session),
        program_(session.program()),
        plan_(program_.train),
        train_data_(training_split(data)),
        options_(options),
        schedule_(std::move(schedule)),
        log_(std::move(log)),
        observer_(options.observer != nullptr ? *options.observer : silent_),
        actions_(session, data, train_data_, run, log_, observer_) {}

  Result<void> prepare(const std::optional<TrainState>& resumed) {
    session_.header().horizon = schedule_.iterations;
    if (schedule_.batches_per_iteration > 0) {
      SMELT_TRY(Batches batches, Batches::create({train_data_->rows(), plan_.batch, plan_.batch_symbol < 0,
                                                  plan_.shuffle, plan_.seed},
                                                 train_data_->split()));
      batches_.emplace(std::move(batches));
    }
    for (const PlannedCall& call : schedule_.calls) SMELT_TRY_VOID(add_call(call));
    for (const CallSlot& slot : slots_) calls_.push_back(slot.frame.call());
    if (resumed) {
      if (batches_) batches_->seek(resumed->batches_taken);
      actions_.resume(*resumed);
    }
    return actions_.check_space();
  }

  Result<TrainSummary> run() {
    TrainSummary summary;
    summary.first_step = step();
    const int64_t horizon = schedule_.iterations;
    const int64_t target = options_.stop_after < 0 ? horizon : std::min(horizon, options_.stop_after);
    observer_.on_start(summary.first_step, target);
    summary.reason = target < horizon ? StopReason::StepLimit : StopReason::Finished;
    while (step() < target) {
      if (options_.stop_signal != nullptr && options_.stop_signal->load(std::memory_order_relaxed) != 0) {
        summary.reason = StopReason::Signal;
        break;
      }
      SMELT_TRY(const bool stop, iterate(target));
      if (!stop) continue;
      summary.reason = StopReason::StopWhen;
      break;
    }
    if (!partial_iteration_) SMELT_TRY_VOID(actions_.save_last(state()));
    SMELT_TRY_VOID(log_.sync());
    summary.step = step();
    summary.epoch = epochs_done();
    if (actions_.saved_step()) summary.checkpoint = checkpoint_name(*actions_.saved_step());
    return summary;
  }

 private:
  int64_t step() const { return session_.header().iteration; }
  int64_t epochs_done() const { return batches_ ? batches_->epochs_done() : 0; }

  TrainState state() const {
    TrainState state;
    state.step = step();
    state.seed = plan_.seed;
    state.horizon = schedule_.iterations;
    state.batch = plan_.batch;
    state.shuffle = plan_.shuffle;
    state.epoch = epochs_done();
    state.batches_taken = batches_ ? batches_->taken() : 0;
    state.model_sha256 = options_.model_sha256;
    state.config = options_.config;
    return state;
  }

  Result<void> add_call(const PlannedCall& call) {
    const StepInfo& info = program_.steps.at(static_cast<size_t>(call.step));
    const Entry& entry = program_.entries.at(static_cast<size_t>(info.step_entry));
    CallSlot slot{call, session_.frame(entry), {}};
    SMELT_TRY_VOID(slot.frame.own_outputs());
    slot.frame.set_batch(plan_.batch);
    if (train_data_ != nullptr) slot.frame.set_dataset(*train_data_);
    if (call.takes_data) slot.rows.reserve(static_cast<size_t>(plan_.batch));
    slots_.push_back(std::move(slot));

    ObjectiveValues values;
    for (const Binding& binding : entry.outputs) {
      if (binding.kind == BindingKind::Loss) values.loss = {info.objective, 0, binding.type.dtype};
      if (binding.kind == BindingKind::Report)
        values.reports.push_back({binding.name, 0, binding.type.dtype});
    }
    values_.push_back(std::move(values));
    return {};
  }

  // Copies the rows of each call to memory of its own: an iteration may cross the end of an epoch.
  int64_t take_batches() {
    int64_t total = 0;
    const CallSlot* taken = nullptr;
    for (CallSlot& slot : slots_) {
      if (!slot.plan.takes_data) continue;
      if (slot.plan.shares_batch && taken != nullptr) {
        slot.rows.assign(taken->rows.begin(), taken->rows.end());
      } else {
        const std::span<const int32_t> rows = batches_->next();
        slot.rows.assign(rows.begin(), rows.end());
        total += static_cast<int64_t>(rows.size());
        taken = &slot;
      }
      slot.frame.set_rows(slot.rows);
    }
    return total;
  }

  // Executes one pass of the loop and everything that follows it; true when `stop when` holds.
  Result<bool> iterate(int64_t target) {
    const int64_t before = step(), epochs_before = epochs_done(),
                  taken_before = batches_ ? batches_->taken() : 0;
    const int64_t rows = take_batches();
    const Clock::time_point start = Clock::now();
    const int32_t status = session_.call_iteration(calls_);
    const double ms = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
    read_values();
    if (status != SMELT_CALL_OK) return handle_failure(status, before, taken_before);
    SMELT_CHECK(step() == before + 1, "an iteration counted from {} to {}", before, step());

    const double ms_per_call = ms / static_cast<double>(slots_.size());
    for (size_t i = 0; i < slots_.size(); ++i) {
      SMELT_TRY_VOID(log_.log_step(step(), values_[i].loss, values_[i].reports, ms_per_call));
      session_.set_last_loss(slots_[i].plan.step, values_[i].loss.value);
    }
    observer_.on_step({step(), target, schedule_.iterations, epochs_done(), ms, rows, values_});
    // Nothing is allocated in a step without actions, so the state is not put together for nothing.
    if (actions_.any_due(step(), epochs_before, epochs_done()))
      SMELT_TRY_VOID(actions_.fire(state(), epochs_before));
    return wants_stop();
  }

  void read_values() {
    for (size_t i = 0; i < slots_.size(); ++i) {
      const CallFrame& frame = slots_[i].frame;
      size_t report = 0;
      for (size_t k = 0; k < frame.entry().outputs.size(); ++k) {
        const BindingKind kind = frame.entry().outputs[k].kind;
        if (kind == BindingKind::Loss) values_[i].loss.value = frame.scalar(k);
        if (kind == BindingKind::Report) values_[i].reports[report++].value = frame.scalar(k);
      }
    }
  }

  Result<bool> wants_stop() {
    if (plan_.stop_function < 0) return false;
    const Entry& entry = program_.entries.at(static_cast<size_t>(plan_.stop_function));
    if (!stop_frame_) {
      stop_frame_.emplace(session_.frame(entry));
      SMELT_TRY_VOID(stop_frame_->own_outputs());
    }
    SMELT_TRY_VOID(check_status(session_.call(*stop_frame_), entry));
    return stop_frame_->scalar(0) != 0;
  }

  // The call that failed is the first whose loss is not finite: outputs of later ones are from the iteration
  // before.
  size_t failed_call() const {
    for (size_t i = 0; i < values_.size(); ++i) {
      if (!std::isfinite(values_[i].loss.value)) return i;
    }
    return 0;
  }

  Result<bool> handle_failure(int32_t status, int64_t before, int64_t taken_before) {
    const size_t failed = failed_call();
    const ObjectiveValues& values = values_[failed];
    if (status != SMELT_CALL_NONFINITE && status != SMELT_CALL_NONFINITE_UPDATE) {
      return fail(ErrorKind::RunTime, fmt::format("step {}: status {}", before + 1, status));
    }
    SMELT_TRY_VOID(log_.log_step(before + 1, values.loss, values.reports, 0));
    SMELT_TRY_VOID(log_.flush());
    if (status == SMELT_CALL_NONFINITE_UPDATE) {
      return fail(ErrorKind::NonFinite,
                  fmt::format("step {}: a new parameter is not finite{}", before + 1,
                              slots_.size() == 1 ? fmt::format(" (objective `{}`)", values.loss.name) : ""),
                  last_checkpoint_help());
    }
    session_.set_last_loss(slots_[failed].plan.step, values.loss.value);
    SMELT_TRY(const bool stop, wants_stop());
    if (stop) {
      // Nothing of the failed call was committed. When it was the first one, the step before is whole and is
      // saved.
      partial_iteration_ = failed != 0;
      if (batches_) batches_->seek(taken_before);
      return true;
    }
    return fail(ErrorKind::NonFinite,
                fmt::format("step {}: the loss of objective `{}` is {}", before + 1, values.loss.name,
                            values.loss.value),
                last_checkpoint_help());
  }

  std::string last_checkpoint_help() const {
    const std::optional<int64_t> saved = actions_.saved_step();
    return saved ? fmt::format("the last checkpoint is {}; `--check-nan` names the line",
                               checkpoint_name(*saved))
                 : "no checkpoint was saved yet; `--check-nan` names the line";
  }

  Session& session_;
  const CompiledProgram& program_;
  const TrainPlan& plan_;
  const Dataset* train_data_;
  const TrainOptions& options_;
  const Schedule schedule_;
  MetricsLog log_;
  TrainObserver silent_;
  TrainObserver& observer_;
  TrainActions actions_;
  std::optional<Batches> batches_;
  std::vector<CallSlot> slots_;
  std::vector<smelt_call> calls_;
  std::vector<ObjectiveValues> values_;
  std::optional<CallFrame> stop_frame_;
  bool partial_iteration_ = false;
};

Result<std::optional<TrainState>> resume_run(Session& session, const RunDirectory& run,
                                             const TrainOptions& options, int64_t horizon) {
  if (!options.resume) return std::optional<TrainState>();
  const TrainPlan& plan = session.program().train;
  TrainState expected;
  expected.seed = plan.seed;
  expected.batch = plan.batch;
  expected.shuffle = plan.shuffle;
  expected.horizon = horizon;
  expected.model_sha256 = options.model_sha256;
  expected.config = options.config;
  SMELT_TRY(const std::string path, run.last_checkpoint());
  SMELT_TRY(const TrainState state, resume_checkpoint(path, session, expected));
  return std::optional(state);
}

}  // namespace

const Dataset* training_split(std::span<const Dataset> data) {
  const auto it =
      std::find_if(data.begin(), data.end(), [](const Dataset& set) { return set.split() == "train"; });
  if (it != data.end()) return &*it;
  return data.empty() ? nullptr : &data.front();
}

Result<TrainSummary> train(Session& session, std::span<const Dataset> data, const RunDirectory& run,
                           const TrainOptions& options) {
  const Dataset* train_data = training_split(data);
  SMELT_TRY(Schedule schedule,
            plan_schedule(session.program(), train_data == nullptr ? 0 : train_data->rows()));
  SMELT_TRY(const std::optional<TrainState> resumed, resume_run(session, run, options, schedule.iterations));
  SMELT_TRY(MetricsLog log, MetricsLog::open(run.metrics_path(), resumed ? resumed->step : 0));
  TrainingRun training(session, data, run, options, std::move(log), std::move(schedule));
  SMELT_TRY_VOID(training.prepare(resumed));
  return training.run();
}

}  // namespace smelt
