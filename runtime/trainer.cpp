#include "runtime/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "ir/support/check.h"
#include "runtime/checkpoint.h"
#include "runtime/iteration.h"
#include "runtime/metrics_log.h"
#include "runtime/progress.h"
#include "runtime/rewind.h"
#include "runtime/train_actions.h"

namespace smelt {
namespace {

using Clock = std::chrono::steady_clock;

class TrainingRun {
 public:
  TrainingRun(Session& session, std::span<const Dataset> data, const RunDirectory& run, const TrainOptions& options,
              MetricsLog log, Schedule schedule)
      : session_(session),
        program_(session.program()),
        plan_(program_.train),
        train_data_(training_sets(data)),
        options_(options),
        schedule_(std::move(schedule)),
        log_(std::move(log)),
        observer_(options.observer != nullptr ? *options.observer : silent_),
        run_(run),
        actions_(session, data, train_data_, run, log_, observer_,
                 options.subwords != nullptr ? *options.subwords : no_subwords_),
        iteration_(session, train_data_, schedule_),
        rewind_(session, iteration_, [this](int64_t step) { return actions_.set_rates(step); }) {}

  Result<void> prepare(const std::optional<TrainState>& resumed) {
    session_.header().horizon = schedule_.iterations;
    SMELT_TRY_VOID(iteration_.prepare());
    if (resumed) {
      iteration_.seek(resumed->batches_taken);
      SMELT_TRY_VOID(actions_.resume(*resumed));
      SMELT_TRY_VOID(take_up_losses());
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
    bool stop = false;
    if (step() < target && knows_losses_) {
      SMELT_TRY(stop, wants_stop());
    }
    while (step() < target) {
      if (options_.stop_signal != nullptr && options_.stop_signal->load(std::memory_order_relaxed) != 0) {
        summary.reason = StopReason::Signal;
        break;
      }
      stop = stop || actions_.without_progress();  // of a run that goes on
      if (!stop) {
        SMELT_TRY(stop, iterate(target));
      }
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
  int64_t epochs_done() const { return iteration_.epochs_done(); }

  TrainState state() const {
    TrainState state;
    state.step = step();
    state.seed = plan_.seed;
    state.horizon = schedule_.iterations;
    state.batch = plan_.batch;
    state.shuffle = plan_.shuffle;
    state.epoch = epochs_done();
    state.batches_taken = iteration_.batches_taken();
    state.model_sha256 = options_.model_sha256;
    state.training_sha256 = options_.training_sha256;
    state.config = options_.config;
    state.data = options_.data;
    if (options_.subwords != nullptr) state.subwords = options_.subwords->hashes();
    for (const Dataset* set : train_data_) state.words.insert(set->words().begin(), set->words().end());
    return state;
  }

  /// A run that goes on asks first whether it has ended: it may have been stopped at the step at which it ended by
  /// itself.
  Result<void> take_up_losses() {
    if (plan_.stop_function < 0) return {};
    SMELT_TRY(const auto losses, logged_losses(run_.metrics_path(), step()));
    knows_losses_ = iteration_.take_up_losses(losses);
    return {};
  }

  // Executes one pass of the loop and everything that follows it; true when `stop when` holds.
  Result<bool> iterate(int64_t target) {
    const int64_t before = step(), epochs_before = epochs_done(), taken_before = iteration_.batches_taken();
    if (options_.check_nan) SMELT_TRY_VOID(rewind_.keep());
    const int64_t rows = iteration_.take_batches();
    SMELT_TRY_VOID(iteration_.check_sizes());
    const Clock::time_point start = Clock::now();
    const int32_t status = iteration_.run();
    const double ms = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
    iteration_.read_values();
    if (status != SMELT_CALL_OK) return handle_failure(status, before, taken_before);
    SMELT_CHECK(step() == before + 1, "an iteration counted from {} to {}", before, step());

    const std::span<const ObjectiveValues> values = iteration_.values();
    const double ms_per_call = ms / static_cast<double>(values.size());
    for (const ObjectiveValues& call : values)
      SMELT_TRY_VOID(log_.log_step(step(), call.loss, call.reports, ms_per_call));
    iteration_.keep_losses();
    observer_.on_step({step(), target, schedule_.iterations, epochs_done(), ms, rows, values});
    // Nothing is allocated in a step without actions, so the state is not put together for nothing.
    if (actions_.any_due(step(), epochs_before, epochs_done())) SMELT_TRY_VOID(actions_.fire(state(), epochs_before));
    if (autosaves_ && Clock::now() - last_save_ >= options_.autosave) {
      SMELT_TRY_VOID(actions_.autosave(state()));
      last_save_ = Clock::now();
    }
    return wants_stop();
  }

  Result<bool> wants_stop() {
    if (actions_.without_progress()) return true;
    if (plan_.stop_function < 0) return false;
    const Entry& entry = program_.entries.at(static_cast<size_t>(plan_.stop_function));
    if (!stop_frame_) {
      stop_frame_.emplace(session_.frame(entry));
      SMELT_TRY_VOID(stop_frame_->own_outputs());
    }
    SMELT_TRY_VOID(check_status(session_.call(*stop_frame_), entry));
    return stop_frame_->scalar(0) != 0;
  }

  // The first whose guard is not finite: outputs of later ones are from the iteration before.
  size_t failed_call() const {
    for (size_t call = 0; call < iteration_.num_calls(); ++call) {
      if (iteration_.guard_that_stopped(call) != nullptr) return call;
    }
    return 0;
  }

  std::string guard_text(size_t call) const {
    const NamedValue* guard = iteration_.guard_that_stopped(call);
    const NamedValue& loss = iteration_.values()[call].loss;
    if (guard == nullptr || guard == &loss)
      return fmt::format("the loss of objective `{}` is {}", loss.name, nonfinite_text(loss.value));
    std::string_view name = guard->name;  // `grad_norm.2` beside a report of that name
    const size_t last = name.find_last_not_of("0123456789");
    if (last != std::string_view::npos && name[last] == '.') name = name.substr(0, last);
    if (!name.ends_with("grad_norm"))  // of an objective that runs together with this one
      return fmt::format("the loss of objective `{}` is {}", guard->name, nonfinite_text(guard->value));
    return fmt::format("the norm of the gradients of objective `{}` is {}", loss.name, nonfinite_text(guard->value));
  }

  Result<bool> handle_failure(int32_t status, int64_t before, int64_t taken_before) {
    if (status != SMELT_CALL_NONFINITE && status != SMELT_CALL_NONFINITE_UPDATE) {
      return fail(ErrorKind::RunTime, fmt::format("step {}: status {}", before + 1, status));
    }
    const size_t failed = failed_call();
    const ObjectiveValues values = iteration_.values()[failed];
    SMELT_TRY_VOID(log_.log_step(before + 1, values.loss, values.reports, 0));
    SMELT_TRY_VOID(log_.flush());
    if (status == SMELT_CALL_NONFINITE_UPDATE) return fail_update(before);
    const std::string why = guard_text(failed);
    session_.set_last_loss(iteration_.objective(failed), values.loss.value);
    SMELT_TRY(const bool stop, wants_stop());
    if (!stop) trace(failed, status, before);
    // Nothing of the failed call was committed. When it was the first one, the step before is whole and is saved.
    partial_iteration_ = failed != 0;
    iteration_.seek(taken_before);
    if (options_.check_nan) SMELT_TRY_VOID(go_to_start(before));
    if (stop) return true;
    return fail(ErrorKind::NonFinite, fmt::format("step {}: {}", before + 1, why), help());
  }

  // Other than the loss, a parameter is known to be bad only when it has been written.
  Result<bool> fail_update(int64_t before) {
    std::string objective = iteration_.num_calls() == 1 ? iteration_.values()[0].loss.name : "";
    if (options_.trace || options_.check_nan) {
      const Result<std::string> traced = trace_update(before);
      if (!traced) observer_.on_note(fmt::format("the line cannot be named: {}", traced.error().message));
      if (traced) objective = *traced;
      if (options_.check_nan) SMELT_TRY_VOID(go_to_start(before));
    }
    return fail(ErrorKind::NonFinite,
                fmt::format("step {}: a new parameter is not finite{}", before + 1,
                            objective.empty() ? "" : fmt::format(" (objective `{}`)", objective)),
                help());
  }

  /// The objective whose call fails when the step runs again.
  Result<std::string> trace_update(int64_t before) {
    SMELT_TRY_VOID(rewind_.go_to(before, [this](Session& session) { return go_back(session); }));
    int32_t status = SMELT_CALL_OK;
    SMELT_TRY(const size_t failed, rewind_.run_to_failure(status));
    trace(failed, status, before);
    return iteration_.values()[failed].loss.name;
  }

  void trace(size_t call, int32_t status, int64_t before) const {
    if (!options_.trace) return;
    options_.trace({session_, iteration_.frame(call), status, train_data_, before + 1});
  }

  /// With --check-nan a stop leaves the step before as it was, and saves it.
  Result<void> go_to_start(int64_t before) {
    SMELT_TRY_VOID(rewind_.go_to(before, [this](Session& session) { return go_back(session); }));
    partial_iteration_ = false;
    return actions_.save_last(state());
  }

  /// To the last checkpoint, or to the start of the run; the batches that were taken there.
  Result<int64_t> go_back(Session& session) {
    if (const std::optional<int64_t> saved = actions_.saved_step()) {
      observer_.on_note(fmt::format("a new parameter is not finite; the steps after {} run again to name the line",
                                    checkpoint_name(*saved)));
      SMELT_TRY(const TrainState there, resume_checkpoint(run_.checkpoint_path(*saved), session, state(), schedule_));
      return there.batches_taken;
    }
    observer_.on_note("a new parameter is not finite; the steps run again to name the line");
    if (options_.restart) {
      SMELT_TRY_VOID(options_.restart(session));
    } else {
      SMELT_TRY_VOID(session.initialise());
    }
    return 0;
  }

  std::string help() const {
    const std::optional<int64_t> saved = actions_.saved_step();
    return saved ? fmt::format("the last checkpoint is {}", checkpoint_name(*saved)) : "no checkpoint was saved yet";
  }

  Session& session_;
  const CompiledProgram& program_;
  const TrainPlan& plan_;
  const SplitSets train_data_;
  const TrainOptions& options_;
  const Schedule schedule_;
  MetricsLog log_;
  TrainObserver silent_;
  SubwordModels no_subwords_;
  TrainObserver& observer_;
  const RunDirectory& run_;
  TrainActions actions_;
  Iteration iteration_;
  Rewind rewind_;
  std::optional<CallFrame> stop_frame_;
  bool partial_iteration_ = false;
  bool knows_losses_ = false;  // of the iteration before the first one
  const bool autosaves_ = options_.autosave.count() > 0 && !saves_by_itself(plan_);
  Clock::time_point last_save_ = Clock::now();
};

Result<std::optional<TrainState>> resume_run(Session& session, const RunDirectory& run, const TrainOptions& options,
                                             const Schedule& schedule) {
  if (!options.resume) return std::optional<TrainState>();
  const TrainPlan& plan = session.program().train;
  TrainState expected;
  expected.seed = plan.seed;
  expected.batch = plan.batch;
  expected.shuffle = plan.shuffle;
  expected.horizon = schedule.iterations;
  expected.model_sha256 = options.model_sha256;
  expected.training_sha256 = options.training_sha256;
  expected.config = options.config;
  expected.data = options.data;
  const auto note = [&](const std::string& text) {
    if (options.observer != nullptr) options.observer->on_note(text);
  };
  if (!run.has_checkpoint()) {
    note("the run has no checkpoint yet: it begins again");
    return std::optional<TrainState>();
  }
  SMELT_TRY(const std::string path, run.last_checkpoint());
  if (options.subwords != nullptr && !options.subwords->hashes().empty()) {
    SMELT_TRY(const TrainState before, read_checkpoint_state(path, session.limits()));
    SMELT_TRY_VOID(options.subwords->check(before.subwords, path));
  }
  SMELT_TRY(const TrainState state, resume_checkpoint(path, session, expected, schedule));
  for (const auto& [split, mark] : options.data) {
    const auto then = state.data.find(split);
    if (then != state.data.end() && then->second.hash != mark.hash)
      note(fmt::format("the data of split `{}` changed since: {}", split, mark.files));
  }
  if (state.horizon != schedule.iterations) {
    note(
        fmt::format("training ended at step {} and ends at step {} now; what depends on the end, such as a cosine "
                    "schedule, follows the new one",
                    state.horizon, schedule.iterations));
  }
  return std::optional(state);
}

}  // namespace

std::map<std::string, SplitMark> mark_data(std::span<const Dataset> data) {
  std::map<std::string, SplitMark> marks;
  const SplitSets training = training_sets(data);
  for (const Dataset& set : data) {
    std::string files;
    for (const std::string& place : set.places()) files += fmt::format("{}`{}`", files.empty() ? "" : ", ", place);
    marks[set.name()] = {set.fingerprint(), std::move(files), std::ranges::find(training, &set) != training.end()};
  }
  return marks;
}

SplitSets training_sets(std::span<const Dataset> data) {
  SplitSets sets;
  for (const Dataset& set : data) {
    const auto section = static_cast<size_t>(set.section());
    if (section >= sets.size()) sets.resize(section + 1);
    if (sets[section] == nullptr || (set.split() == "train" && sets[section]->split() != "train")) sets[section] = &set;
  }
  return sets;
}

int64_t training_rows(std::span<const Dataset> data) {
  const SplitSets sets = training_sets(data);
  return sets.empty() ? 0 : sets.front()->rows();
}

Result<TrainSummary> train(Session& session, std::span<const Dataset> data, const RunDirectory& run,
                           const TrainOptions& options) {
  SMELT_TRY(Schedule schedule, plan_schedule(session.program(), training_rows(data)));
  SMELT_TRY(const std::optional<TrainState> resumed, resume_run(session, run, options, schedule));
  if (options.resume && options.accepted) SMELT_TRY_VOID(options.accepted());
  SMELT_TRY(MetricsLog log, MetricsLog::open(run.metrics_path(), resumed ? resumed->step : 0));
  TrainingRun training(session, data, run, options, std::move(log), std::move(schedule));
  SMELT_TRY_VOID(training.prepare(resumed));
  return training.run();
}

}  // namespace smelt
