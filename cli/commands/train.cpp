#include <fmt/format.h>

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <map>
#include <nlohmann/json.hpp>

#include "api/smelt/pretrained.h"
#include "api/smelt/training_identity.h"

#include "cli/commands.h"
#include "cli/console.h"
#include "cli/machine_level.h"
#include "cli/nonfinite_reporter.h"
#include "cli/progress.h"
#include "cli/run_source.h"
#include "cli/start_content.h"
#include "ir/support/printable.h"
#include "runtime/checkpoint.h"
#include "runtime/files/sha256.h"
#include "runtime/run_directory.h"
#include "runtime/trainer.h"

namespace smelt::cli {
namespace {

std::atomic<int> g_signal{0};  // a handler may touch nothing else

// Of a terminal that closes, and of a limit on processor time, a run is saved as of the others.
void catch_signals() {
  std::signal(SIGPIPE, SIG_IGN);  // whoever read the progress left: the run goes on
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGXCPU}) {
    struct sigaction before{};
    if (signal == SIGHUP && ::sigaction(signal, nullptr, &before) == 0 && before.sa_handler == SIG_IGN)
      continue;  // nohup
    std::signal(signal, [](int number) {
      g_signal = number;
      // A second one ends the run at once. The system repeats SIGXCPU each second of the time that is left.
      if (number != SIGXCPU) std::signal(number, SIG_DFL);
    });
  }
}

struct TrainFlags {
  ModelFlags model;
  std::optional<int64_t> steps;
  std::string output, init;
  bool resume = false, no_shuffle = false, partial = false, force = false, check_nan = false, interp = false;
  int64_t autosave = 180;  // seconds
};

const char* reason_text(StopReason reason) {
  switch (reason) {
    case StopReason::Finished: return "finished";
    case StopReason::StepLimit: return "stopped at --steps";
    case StopReason::StopWhen: return "stopped by `stop when`";
    case StopReason::Signal: return "stopped by a signal";
  }
  return "";
}

/// What a run must be resumed with. A key of the command line cannot be a name of `--set`.
std::string config_json(const ModelOptions& options, const std::string& cpu, std::vector<std::string> disabled) {
  nlohmann::json config = nlohmann::json::object();
  for (const auto& [name, value] : options.config) config[name] = value;
  if (options.precision == DType::BF16) config["--precision"] = to_string(DType::BF16);
  if (!cpu.empty() && cpu != "native") config["--cpu"] = cpu;
  std::ranges::sort(disabled);
  disabled.erase(std::ranges::unique(disabled).begin(), disabled.end());
  if (!disabled.empty()) config["--disable-pass"] = std::move(disabled);
  return dump_json(config);
}

/// Flags that contradict each other. Errors: Usage.
Result<void> check_agreement(const TrainFlags& flags) {
  if (flags.resume && flags.output.empty())
    return fail(ErrorKind::Usage, "--resume needs the run to go on with", "give it as -o RUNDIR");
  if (flags.resume && flags.force)
    return fail(ErrorKind::Usage, "--resume goes on with a run, --force replaces it", "leave one of them out");
  if (flags.resume && !flags.init.empty()) {
    return fail(ErrorKind::Usage, "--resume takes the parameters of the run's checkpoint, --init those of a file",
                "leave one of them out");
  }
  if (flags.partial && flags.init.empty())
    return fail(ErrorKind::Usage, "--partial says how --init loads", "give --init FILE, or leave --partial out");
  return {};
}

enum class Say : uint8_t { Differences, Nothing };
/// What files of the model and --init put over the initial values.
Result<void> load_start(const TrainFlags& flags, const CheckedModel& model, const ModelOptions& options,
                        Session& session, Say say) {
  SMELT_TRY_VOID(load_pretrained(model, options, session));
  if (flags.init.empty()) return {};
  const Match match = flags.partial ? Match::Partial : Match::Strict;
  if (say == Say::Differences) return load_and_tell(flags.init, session, match);
  SMELT_TRY([[maybe_unused]] const WeightsReport loaded, load_weights(flags.init, session, match));
  return {};
}

Result<RunDirectory> open_run(const TrainFlags& flags, const CheckedModel& model, const RunRecord& record) {
  if (flags.resume) return RunDirectory::open(flags.output);
  const std::string path = flags.output.empty() ? next_run_directory("runs", model.experiment->name) : flags.output;
  return RunDirectory::create(path, model.text, flags.force ? Existing::Replace : Existing::Refuse, record);
}

/// Of a run that goes on, flags that are not given are those that it began with.
Result<RunRecord> recall_run(TrainFlags& flags) {
  if (!flags.resume) return RunRecord{};
  SMELT_TRY(RunRecord record, read_run_record(flags.output));
  recall(record, flags.model);
  flags.no_shuffle |= record.no_shuffle;
  return record;
}

/// A run that goes on is computed with the instructions that it began with, also where this machine has more.
Result<void> keep_level(const TrainFlags& flags, const RunRecord& before, DType precision, ModelOptions& options) {
  if (before.level.empty() || !flags.model.cpu.empty()) return {};
  SMELT_TRY(options.cpu, cpu_of_level(before.level, precision));
  return {};
}

struct LoadedData {
  std::vector<Dataset> sets;
  std::map<std::string, SplitMark> marks;
};
Result<LoadedData> load_data(const std::optional<DataPlan>& plan, const ModelOptions& options, const std::string& file,
                             int threads) {
  SMELT_TRY(std::vector<Dataset> sets, open_data(plan, options, file, threads));
  std::map<std::string, SplitMark> marks = mark_data(sets);
  return LoadedData{std::move(sets), std::move(marks)};
}

/// A run that goes on numbers words as its checkpoint does.
std::optional<DataPlan> plan_of_run(const TrainFlags& flags, std::optional<DataPlan> plan, const Limits& limits) {
  if (!plan || !flags.resume) return plan;
  if (const Result<std::string> last = find_checkpoint(flags.output, "last"))
    plan->known_words = known_words(*plan, *last, limits);
  return plan;
}

void tell_of_early_end(const TrainFlags& flags, const TrainPlan& plan, int64_t horizon) {
  if (!flags.steps || *flags.steps <= horizon) return;
  say("note: --steps {} is beyond the end of training at step {}, which `{}` of the model file says; {}", *flags.steps,
      horizon, plan.epochs < 0 ? "steps" : "epochs",
      plan.epochs < 0 ? "raise it there to train longer" : "`--epochs N` trains longer");
}

/// Where steps count the run, the file has been warned of already.
void tell_of_missing_updates(const CheckedModel& checked, const TrainPlan& plan, int64_t horizon) {
  const std::vector<Objective>& objectives = checked.experiment->objectives;
  for (size_t k = 0; k < objectives.size() && plan.epochs >= 0; ++k) {
    const int64_t runs = horizon * runs_an_iteration(plan.loop, static_cast<int32_t>(k));
    if (runs == 0 || objectives[k].accumulates <= runs) continue;
    say("{}: warning: nothing is ever updated: gradients of {} runs of `{}` make an update, and {} epoch{} of these "
        "data "
        "are {}; accumulate fewer, or train for more epochs",
        checked.sources->describe(objectives[k].accumulates_at), objectives[k].accumulates, objectives[k].name,
        plan.epochs, plan.epochs == 1 ? "" : "s", runs);
  }
}

/// The run in its directory, and in `record` what it has to remember. A run that is resumed before its first checkpoint
/// begins again, from what it began with.
Result<RunDirectory> begin(TrainFlags& flags, const ModelOptions& options, RunningModel& running,
                           const RunRecord& before, const std::map<std::string, SplitMark>& data,
                           const SubwordModels& subwords, RunRecord& record) {
  const auto content = [&] { return start_content(flags.init, running.checked, options, data, subwords); };
  record.no_shuffle = flags.no_shuffle;
  if (!flags.resume) {
    if (!flags.init.empty()) record.init = absolute(flags.init);
    record.partial = flags.partial;
    SMELT_TRY_VOID(load_start(flags, running.checked, options, *running.session, Say::Differences));
    SMELT_TRY(record.content, content());
    return open_run(flags, running.checked, record);
  }
  SMELT_TRY(RunDirectory run, open_run(flags, running.checked, record));
  record.init = before.init;
  record.partial = before.partial;
  record.content = before.content;
  if (run.has_checkpoint()) return run;
  flags.init = before.init;
  flags.partial = before.partial;
  SMELT_TRY(record.content, content());
  SMELT_TRY_VOID(check_unchanged(before.content, record.content, run.path()));
  SMELT_TRY_VOID(load_start(flags, running.checked, options, *running.session, Say::Differences));
  return run;
}

void print_json(const TrainSummary& summary, const std::string& run, double compile_ms, double first_step_ms) {
  const nlohmann::json line = {{"run", run},
                               {"step", summary.step},
                               {"epoch", summary.epoch},
                               {"checkpoint", summary.checkpoint},
                               {"compile_ms", compile_ms},
                               {"first_step_ms", first_step_ms}};
  fmt::print("{}\n", dump_json(line));
}

void print_end(const TrainSummary& summary, const std::string& run) {
  const bool stayed = summary.reason == StopReason::StepLimit && summary.step == summary.first_step;
  fmt::print("{} at step {}; run {}; checkpoint {}\n", stayed ? "still" : reason_text(summary.reason), summary.step,
             printable_lines(run), summary.checkpoint);
}

int run_training(TrainFlags flags) {
  if (flags.interp) return report({ErrorKind::Unsupported, "--interp is not supported yet", "leave it out", {}});
  if (const Result<void> agree = check_agreement(flags); !agree) return report(agree.error());
  const Result<RunRecord> before = recall_run(flags);
  if (!before) return report(before.error());
  int code = kOk;
  const OpenHow how{.needs_data = true, .record = &*before, .to_train = "to run"};
  std::optional<OpenedModel> model = open_model(flags.model, code, how);
  if (!model) return code;
  const ModelOptions& options = model->options;
  Experiment& experiment = *model->checked.experiment;
  if (flags.no_shuffle) experiment.train.shuffle = false;

  if (const Result<void> kept = keep_level(flags, *before, experiment.precision, model->options); !kept)
    return report(kept.error());
  const std::string config = config_json(options, flags.model.cpu, flags.model.disabled);
  Result<RunRecord> record = make_record(flags.model, options, experiment.data);
  if (!record) return report(record.error());
  if (flags.model.cpu.empty())
    record->level = before->level.empty() ? machine_level(experiment.precision) : before->level;
  // The data is unpacked while the model is compiled.
  auto opening = start_work([&options, &flags, plan = plan_of_run(flags, experiment.data, options.limits)] {
    return load_data(plan, options, flags.model.file, flags.model.threads);
  });
  const Result<SubwordModels> subwords = open_subwords(options, model->checked);
  if (!subwords) {
    (void)opening.get();
    return report(subwords.error());
  }
  const std::string identity = training_identity(experiment);
  Result<RunningModel> running = start_model(std::move(model->checked), options, flags.model.threads, 0);
  Result<LoadedData> data = opening.get();
  if (!running) return report(running.error());
  const CompiledProgram& program = running->compiled->program;
  if (!data) return report(data.error());
  if (program.data) tell_of_training_split(*program.data);
  Result<Schedule> schedule = plan_schedule(program, training_rows(data->sets));
  if (!schedule) return report(schedule.error());
  tell_of_early_end(flags, program.train, schedule->iterations);
  tell_of_missing_updates(running->checked, program.train, schedule->iterations);
  running->session->header().horizon = schedule->iterations;
  // From here on there is a run to save: a signal ends it after the iteration, a second one at once.
  catch_signals();
  Result<RunDirectory> run = begin(flags, options, *running, *before, data->marks, *subwords, *record);
  if (!run) return report(run.error());

  Progress progress;
  TrainOptions train_options;
  train_options.model_sha256 = sha256_hex(running->checked.text);
  train_options.training_sha256 = identity;
  train_options.config = config;
  train_options.data = data->marks;
  train_options.subwords = &*subwords;
  train_options.autosave = std::chrono::seconds(flags.autosave);
  train_options.stop_after = flags.steps.value_or(-1);
  train_options.resume = flags.resume;
  train_options.accepted = [&]() -> Result<void> {
    SMELT_TRY_VOID(run->write_record(*record));
    return run->write_model(running->checked.text);
  };
  train_options.stop_signal = &g_signal;
  train_options.observer = &progress;
  train_options.check_nan = flags.check_nan;
  train_options.restart = [&](Session& session) -> Result<void> {
    SMELT_TRY_VOID(session.initialise());
    return load_start(flags, running->checked, options, session, Say::Nothing);
  };
  NonFiniteReporter reporter(running->checked, options);
  train_options.trace = reporter.hook();
  const Result<TrainSummary> summary = train(*running->session, data->sets, *run, train_options);
  if (!summary) return reporter.report(summary.error(), flags.model.json);
  if (flags.model.json) {
    print_json(*summary, run->path(), running->compiled->compile_ms, progress.first_step_ms());
  } else {
    print_end(*summary, run->path());
  }
  if (summary->reason == StopReason::Signal) {
    say("saved; go on with: smelt train {} --resume -o {}", shell_word(flags.model.file), shell_word(run->path()));
    return 128 + g_signal;
  }
  return kOk;
}

}  // namespace

Runner add_train(Options options) {
  auto flags = std::make_shared<TrainFlags>();
  add_model_flags(options, flags->model, kTraining | kRunning | kJson);
  options.add("--steps", flags->steps, "stop at this many iterations; schedules keep their horizon")
      .between(1, uint64_t{1} << 50);
  options.add("-o,--output", flags->output, "run directory (default: runs/<file>-<k>)");
  options.add("--init", flags->init, "start from the parameters of a run, a checkpoint or a safetensors file")
      .checkpoint();
  options.flag("--partial", flags->partial, "--init: load what fits");
  options.flag("--resume", flags->resume, "go on with the run in -o");
  options
      .add("--autosave", flags->autosave,
           "seconds between checkpoints of a model without `checkpoint` lines (default 180; 0: none)")
      .between(0, uint64_t{1} << 30);
  options.flag("--no-shuffle", flags->no_shuffle, "rows in file order");
  options.flag("--force", flags->force, "replace an existing run");
  options.flag("--check-nan", flags->check_nan,
               "a step with a NaN or infinity changes nothing, and the step before it is saved");
  options.flag("--interp", flags->interp, "not supported yet");
  return [flags] { return run_training(*flags); };
}

}  // namespace smelt::cli
