#include "runtime/train_actions.h"

#include <sys/statvfs.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>

#include <fmt/format.h>

#include "runtime/bounds_layout.h"
#include "runtime/evaluate.h"
#include "runtime/files/file.h"
#include "runtime/files/message.h"
#include "runtime/files/png.h"
#include "runtime/files/wav.h"
#include "runtime/grid.h"
#include "runtime/sequence_rows.h"

namespace smelt {
namespace {

constexpr int64_t kKeepAll = -1;

bool is_due(const Every& every, int64_t step, int64_t epochs_before, int64_t epochs_after) {
  switch (every.unit) {
    case Unit::Step: return step % every.count == 0;
    case Unit::Epoch: return epochs_after / every.count != epochs_before / every.count;
  }
  return false;
}

// How many of the newest checkpoints stay, besides the last and the best. Without a `checkpoint` action a run
// saves at its ends only, and those all stay.
int64_t newest_to_keep(const TrainPlan& plan) {
  bool any = false;
  int64_t keep = 0;
  for (const Every& every : plan.every) {
    for (const Action& action : every.actions) {
      if (action.kind != ActionKind::Checkpoint) continue;
      any = true;
      if (!action.best_metric.empty() || keep == kKeepAll) continue;
      keep = action.keep < 0 ? kKeepAll : std::max<int64_t>(keep, action.keep);
    }
  }
  return any ? keep : kKeepAll;
}

// Checkpoints that are there at once: those that stay, the best, and the one being written.
uint64_t checkpoints_at_once(const TrainPlan& plan) {
  const int64_t keep = newest_to_keep(plan);
  bool best = false;
  for (const Every& every : plan.every) {
    for (const Action& action : every.actions) best |= !action.best_metric.empty();
  }
  return static_cast<uint64_t>(std::max<int64_t>(keep, 1)) + (best ? 2 : 1);
}

// Names the metric of the best checkpoint: `max acc`.
std::string best_metric_of(const TrainPlan& plan) {
  for (const Every& every : plan.every) {
    for (const Action& action : every.actions) {
      if (action.kind == ActionKind::Checkpoint && !action.best_metric.empty())
        return fmt::format("{} {}", action.best_is_max ? "max" : "min", action.best_metric);
    }
  }
  return {};
}

}  // namespace

bool saves_by_itself(const TrainPlan& plan) {
  return std::ranges::any_of(plan.every, [](const Every& every) {
    return std::ranges::any_of(every.actions, [](const Action& a) { return a.kind == ActionKind::Checkpoint; });
  });
}

TrainActions::TrainActions(Session& session, std::span<const Dataset> data, const SplitSets& train_data,
                           const RunDirectory& run, MetricsLog& log, TrainObserver& observer,
                           const SubwordModels& subwords)
    : session_(session),
      plan_(session.program().train),
      data_(data),
      train_data_(train_data),
      run_(run),
      log_(log),
      observer_(observer),
      subwords_(subwords),
      progress_(plan_.patience),
      slowings_(plan_.slow.begin(), plan_.slow.end()) {}

Result<void> TrainActions::resume(const TrainState& state) {
  saved_step_ = state.step;
  autosaves_ = run_.autosaves();
  SMELT_TRY_VOID(progress_.take_up(run_.metrics_path()));
  for (Slowing& slowing : slowings_) SMELT_TRY_VOID(slowing.take_up(run_.metrics_path()));
  SMELT_TRY_VOID(set_rates(state.step));
  if (run_.pointed_step("last") != state.step) SMELT_TRY_VOID(run_.point("last", state.step));
  SMELT_TRY_VOID(take_up_metrics());
  // The metric may be another one now. Older files do not name it.
  if (!state.best_metric.empty() && state.best_metric != best_metric_of(plan_)) return {};
  best_ = state.best;
  best_step_ = run_.pointed_step("best");
  return {};
}

/// `keep best` may come at other steps than the evaluation that it compares.
Result<void> TrainActions::take_up_metrics() {
  if (best_metric_of(plan_).empty()) return {};
  SMELT_TRY(const auto metrics, logged_metrics(run_.metrics_path()));
  for (const auto& [name, value] : metrics) latest_.push_back({name, value, DType::F64});
  return {};
}

Result<void> TrainActions::check_space() const {
  struct statvfs space{};
  if (statvfs(run_.path().c_str(), &space) != 0) return {};
  uint64_t bytes = 1 << 16;
  for (const StoredVariable& variable : session_.program().variables) bytes += session_.bytes(variable).size();
  const uint64_t free = uint64_t{space.f_bavail} * space.f_frsize;
  const uint64_t count = checkpoints_at_once(plan_);
  if (free / count >= bytes) return {};
  return fail(ErrorKind::Output, fmt::format("`{}` has {} free; the {} checkpoints that are there at once take {} each",
                                             printable(run_.path()), human_bytes(free), count, human_bytes(bytes)));
}

bool TrainActions::any_due(int64_t step, int64_t epochs_before, int64_t epochs_after) const {
  return std::any_of(plan_.every.begin(), plan_.every.end(),
                     [&](const Every& every) { return is_due(every, step, epochs_before, epochs_after); });
}

Result<void> TrainActions::fire(const TrainState& state, int64_t epochs_before) {
  bool saves = false;
  for (const Every& every : plan_.every) {
    if (!is_due(every, state.step, epochs_before, state.epoch)) continue;
    for (const Action& action : every.actions) {
      switch (action.kind) {
        case ActionKind::Eval: SMELT_TRY_VOID(run_eval(action, state.step)); break;
        case ActionKind::Image:
        case ActionKind::Text:
        case ActionKind::Audio: SMELT_TRY_VOID(write_output(action, state)); break;
        case ActionKind::Checkpoint: saves = true; break;
      }
    }
    SMELT_TRY_VOID(log_.flush());
  }
  if (!saves) return {};
  SMELT_TRY_VOID(log_.sync());
  for (const Every& every : plan_.every) {
    if (!is_due(every, state.step, epochs_before, state.epoch)) continue;
    for (const Action& action : every.actions) {
      if (action.kind == ActionKind::Checkpoint) SMELT_TRY_VOID(run_checkpoint(action, state));
    }
  }
  return {};
}

Result<void> TrainActions::run_eval(const Action& action, int64_t step) {
  const SplitSets split = sets_of(data_, action.split);
  if (split.empty()) {
    return fail(ErrorKind::Usage, fmt::format("split `{}` is not loaded", action.split), {}, action.span);
  }
  SMELT_TRY(const std::vector<NamedValue> values, evaluate(session_, split, plan_.batch, action.names));
  SMELT_TRY_VOID(log_.log_evaluation(step, action.split, values));
  for (const NamedValue& value : values) {
    progress_.add(action.split, value.name, value.value);
    const auto it =
        std::find_if(latest_.begin(), latest_.end(), [&](const auto& old) { return old.name == value.name; });
    if (it == latest_.end()) {
      latest_.push_back(value);
    } else {
      *it = value;
    }
  }
  observer_.on_evaluation(step, action.split, values);
  for (const NamedValue& value : values) SMELT_TRY_VOID(slow_down(step, action.split, value));
  return {};
}

Result<void> TrainActions::slow_down(int64_t step, const std::string& split, const NamedValue& value) {
  for (Slowing& slowing : slowings_) {
    if (!slowing.add(step, split, value.name, value.value)) continue;
    const SlowRule& rule = slowing.rule();
    observer_.on_note(fmt::format("step {}: `{}` was no better in {} evaluations; `{}` is {:.4g}", step,
                                  rule.patience.metric, rule.patience.evaluations, rule.scalar, slowing.factor(step)));
  }
  return set_rates(step);
}

Result<void> TrainActions::set_rates(int64_t step) {
  for (const Slowing& slowing : slowings_)
    SMELT_TRY_VOID(session_.set_scalar(slowing.rule().scalar, slowing.factor(step)));
  return {};
}

/// The one result of a function that an action shows.
Result<HostTensor> TrainActions::run_output(const Entry& entry, const TrainState& state) {
  CallFrame frame = session_.frame(entry);
  SMELT_TRY_VOID(frame.own_outputs());
  frame.set_batch(plan_.batch);
  // What shows data shows the first rows of the training split.
  std::vector<int32_t> rows;
  if (frame.takes_rows()) {
    frame.set_datasets(train_data_);
    rows.resize(static_cast<size_t>(std::min(plan_.batch, frame.rows_of(train_data_))));
    std::iota(rows.begin(), rows.end(), 0);
    frame.set_rows(rows);
  }
  session_.set_runs(entry, state.step);
  SMELT_TRY_VOID(frame.check_sizes());
  SMELT_TRY_VOID(check_status(session_.call(frame), entry));
  return dense_output(frame, 0);
}

/// The file of an action, and what it is.
static Result<std::string> encode_output(const Action& action, const HostTensor& value, const PngTexts& notes,
                                         const DecodeLabels& decode, const Limits& limits) {
  const int32_t rows = value.shape.size() == 2 ? 0 : -1;  // the compiler has put them first
  if (action.kind == ActionKind::Text) return text_of(value, rows, decode);
  if (action.kind == ActionKind::Audio) {
    SMELT_TRY(const std::vector<float> sound, sound_of(value, rows, action.rate));
    return encode_wav(sound, action.rate);
  }
  SMELT_TRY(const Picture sheet, make_grid(value, {action.grid_columns, action.range_low, action.range_high, limits}));
  return encode_png(sheet, notes);
}

Result<void> TrainActions::write_output(const Action& action, const TrainState& state) {
  const Entry& entry = session_.program().entries.at(static_cast<size_t>(action.function));
  SMELT_TRY(const HostTensor value, run_output(entry, state));
  SMELT_TRY(const std::string bytes,
            encode_output(
                action, value,
                {{"smelt:model", session_.program().name},
                 {"smelt:seed", fmt::format("{}", state.seed)},
                 {"smelt:step", fmt::format("{}", state.step)}},
                [&](std::span<const int32_t> labels) { return subwords_.decode(entry.outputs[0].limit.dim, labels); },
                session_.limits()));
  SMELT_TRY(const std::string path, run_.output_path(action.path, state.step, state.epoch));
  SMELT_TRY_VOID(write_file_atomic(path, bytes));
  const std::string_view what = action.kind == ActionKind::Text    ? "text"
                                : action.kind == ActionKind::Audio ? "sound"
                                                                   : "picture";
  observer_.on_output(state.step, what, path);
  return {};
}

Result<void> TrainActions::run_checkpoint(const Action& action, const TrainState& state) {
  if (action.best_metric.empty()) return save(state, false);
  const NamedValue* metric = find_value(latest_, action.best_metric);
  if (metric == nullptr) {
    observer_.on_note(
        fmt::format("step {}: no checkpoint, because `{}` was not evaluated", state.step, action.best_metric));
    return {};
  }
  const double value = metric->value;
  // As of `no better`: the log has no number for an infinity, so that a run that goes on would not know of it.
  const bool better = std::isfinite(value) && (!best_ || (action.best_is_max ? value > *best_ : value < *best_));
  if (!better) return {};
  best_ = value;
  best_step_ = state.step;
  SMELT_TRY_VOID(save(state, true));
  return {};
}

Result<void> TrainActions::save_last(const TrainState& state) {
  if (std::erase(autosaves_, state.step) > 0) SMELT_TRY_VOID(run_.note_autosaves(autosaves_));  // it stays
  if (saved_step_ == state.step) return {};
  SMELT_TRY_VOID(log_.sync());
  return save(state, false);
}

Result<void> TrainActions::autosave(const TrainState& state) {
  SMELT_TRY_VOID(save_last(state));
  autosaves_.push_back(state.step);
  constexpr size_t kStay = 2;  // should the newest be damaged, the one before is good
  while (autosaves_.size() > kStay) {
    std::error_code ignored;  // a file that stays costs room, not the run
    std::filesystem::remove(run_.checkpoint_path(autosaves_.front()), ignored);
    autosaves_.erase(autosaves_.begin());
  }
  return run_.note_autosaves(autosaves_);
}

Result<void> TrainActions::save(TrainState state, bool best) {
  if (saved_step_ == state.step && !best) return {};
  state.best = best_;
  state.best_metric = best_metric_of(plan_);
  const std::string path = run_.checkpoint_path(state.step);
  SMELT_TRY_VOID(save_checkpoint(path, session_, state));
  // `last` comes last: a run that is killed before it goes on from an older checkpoint and comes by here again.
  if (best) SMELT_TRY_VOID(run_.point("best", state.step));
  SMELT_TRY_VOID(run_.point("last", state.step));
  saved_step_ = state.step;
  observer_.on_checkpoint(state.step, path, best);
  return prune();
}

Result<void> TrainActions::prune() const {
  const int64_t keep = newest_to_keep(plan_);
  if (keep == kKeepAll) return {};
  std::vector<int64_t> steps;
  for (const std::string& name : list_files(run_.checkpoint_directory())) {
    if (const std::optional<int64_t> step = checkpoint_step(name)) steps.push_back(*step);
  }
  std::sort(steps.rbegin(), steps.rend());
  for (size_t i = static_cast<size_t>(keep); i < steps.size(); ++i) {
    if (steps[i] == saved_step_ || steps[i] == best_step_) continue;
    std::error_code error;
    std::filesystem::remove(run_.checkpoint_path(steps[i]), error);
    if (error) {
      return fail(ErrorKind::Output,
                  fmt::format("cannot remove `{}`: {}", printable(run_.checkpoint_path(steps[i])), error.message()));
    }
  }
  return {};
}

}  // namespace smelt
