#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <future>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/nonfinite_reporter.h"
#include "cli/progress.h"
#include "runtime/checkpoint.h"
#include "runtime/files/sha256.h"
#include "runtime/run_directory.h"
#include "runtime/trainer.h"

namespace smelt::cli {
namespace {

std::atomic<int> g_signal{0};  // a handler may touch nothing else

void catch_signals() {
  for (const int signal : {SIGINT, SIGTERM}) {
    std::signal(signal, [](int number) {
      g_signal = number;
      std::signal(number, SIG_DFL);
    });
  }
}

struct TrainFlags {
  ModelFlags model;
  std::optional<int64_t> steps;
  std::string output, init;
  bool resume = false, no_shuffle = false, partial = false, force = false, check_nan = false, interp = false;
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
std::string config_json(const ModelOptions& options, std::vector<std::string> disabled) {
  nlohmann::json config = nlohmann::json::object();
  for (const auto& [name, value] : options.config) config[name] = value;
  if (options.precision == DType::BF16) config["--precision"] = to_string(DType::BF16);
  std::ranges::sort(disabled);
  disabled.erase(std::ranges::unique(disabled).begin(), disabled.end());
  if (!disabled.empty()) config["--disable-pass"] = std::move(disabled);
  return config.dump();
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

enum class Say : uint8_t { Missing, Nothing };
/// What --init puts over the initial values.
Result<void> load_start(const TrainFlags& flags, Session& session, Say say) {
  if (flags.init.empty()) return {};
  SMELT_TRY(const WeightsReport loaded,
            load_weights(flags.init, session, flags.partial ? Match::Partial : Match::Strict));
  if (say == Say::Nothing) return {};
  for (const std::string& name : loaded.missing) fmt::print(stderr, "note: `{}` keeps its initial value\n", name);
  return {};
}

Result<RunDirectory> open_run(const TrainFlags& flags, const CheckedModel& model) {
  if (flags.resume) return RunDirectory::open(flags.output);
  const std::string path = flags.output.empty() ? next_run_directory("runs", model.experiment->name) : flags.output;
  return RunDirectory::create(path, model.text, flags.force ? Existing::Replace : Existing::Refuse);
}

int run_training(const TrainFlags& flags) {
  if (flags.interp) return report({ErrorKind::Unsupported, "--interp is not supported yet", "leave it out", {}});
  if (const Result<void> agree = check_agreement(flags); !agree) return report(agree.error());
  int code = kOk;
  std::optional<OpenedModel> model = open_model(flags.model, code, {.needs_data = true, .to_train = "to run"});
  if (!model) return code;
  const ModelOptions& options = model->options;
  Experiment& experiment = *model->checked.experiment;
  if (flags.no_shuffle) experiment.train.shuffle = false;

  const std::string config = config_json(options, flags.model.disabled);
  // The data is unpacked while the model is compiled.
  auto opening = std::async(std::launch::async, [&options, &flags, plan = experiment.data] {
    return open_data(plan, options, flags.model.file);
  });
  Result<RunningModel> running = start_model(std::move(model->checked), options, flags.model.threads, 0);
  Result<std::vector<Dataset>> data = opening.get();
  if (!running) return report(running.error());
  const CompiledProgram& program = running->compiled->program;
  if (!data) return report(data.error());
  const Dataset* training = training_split(*data);
  Result<Schedule> schedule = plan_schedule(program, training == nullptr ? 0 : training->rows());
  if (!schedule) return report(schedule.error());
  running->session->header().horizon = schedule->iterations;
  if (const Result<void> start = load_start(flags, *running->session, Say::Missing); !start)
    return report(start.error());
  // From here on there is a run to save: a signal ends it after the iteration, a second one at once.
  catch_signals();
  Result<RunDirectory> run = open_run(flags, running->checked);
  if (!run) return report(run.error());

  Progress progress;
  TrainOptions train_options;
  train_options.model_sha256 = sha256_hex(running->checked.text);
  train_options.config = config;
  train_options.stop_after = flags.steps.value_or(-1);
  train_options.resume = flags.resume;
  train_options.stop_signal = &g_signal;
  train_options.observer = &progress;
  train_options.check_nan = flags.check_nan;
  train_options.restart = [&flags](Session& session) -> Result<void> {
    SMELT_TRY_VOID(session.initialise());
    return load_start(flags, session, Say::Nothing);
  };
  NonFiniteReporter reporter(running->checked, options);
  train_options.trace = reporter.hook();
  const Result<TrainSummary> summary = train(*running->session, *data, *run, train_options);
  if (!summary) return reporter.report(summary.error(), flags.model.json);
  if (flags.model.json) {
    const nlohmann::json line = {{"run", run->path()},
                                 {"step", summary->step},
                                 {"epoch", summary->epoch},
                                 {"checkpoint", summary->checkpoint},
                                 {"compile_ms", running->compiled->compile_ms},
                                 {"first_step_ms", progress.first_step_ms()}};
    fmt::print("{}\n", line.dump());
  } else {
    fmt::print("{} at step {}; run {}; checkpoint {}\n", reason_text(summary->reason), summary->step, run->path(),
               summary->checkpoint);
  }
  if (summary->reason == StopReason::Signal) {
    fmt::print(stderr, "saved; go on with: smelt train {} --resume -o {}\n", flags.model.file, run->path());
    return 128 + g_signal;
  }
  return kOk;
}

}  // namespace

Runner add_train(CLI::App& app) {
  auto flags = std::make_shared<TrainFlags>();
  add_model_flags(app, flags->model, kTraining | kRunning);
  app.add_option("--steps", flags->steps, "stop at this many iterations; schedules keep their horizon")
      ->check(whole_number(1, uint64_t{1} << 50));
  app.add_option("-o,--output", flags->output, "run directory (default: runs/<file>-<k>)");
  app.add_option("--init", flags->init, "start from these parameters (safetensors)");
  app.add_flag("--partial", flags->partial, "--init: load what fits");
  app.add_flag("--resume", flags->resume, "go on with the run in -o");
  app.add_flag("--no-shuffle", flags->no_shuffle, "rows in file order");
  app.add_flag("--force", flags->force, "replace an existing run");
  app.add_flag("--check-nan", flags->check_nan,
               "a step with a NaN or infinity changes nothing, and the step before it is saved");
  app.add_flag("--interp", flags->interp, "not supported yet");
  return [flags] { return run_training(*flags); };
}

}  // namespace smelt::cli
