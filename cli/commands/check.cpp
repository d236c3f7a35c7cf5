// check: proves shapes and names, and says what a model needs and who owns its parameters.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/console.h"
#include "cli/look_at_data.h"
#include "cli/ownership.h"
#include "cli/watch.h"
#include "ir/support/printable.h"
#include "runtime/files/output_file.h"

namespace smelt::cli {
namespace {

/// What a budget saves and costs, a line for each function that it changed.
void print_budget(const Experiment& experiment, const LoweredExperiment& lowered) {
  for (size_t f = 0; f < experiment.functions.size(); ++f) {
    const FunctionMemory& memory = lowered.memory[f];
    if (memory.bytes == memory.bytes_without) continue;
    fmt::print(
        "{} {}: {} bytes, {} without the budget ({:.0f}%); {} values are computed again, {:.4g} MFLOP instead of "
        "{:.4g} (+{:.1f}%)\n",
        to_string(experiment.functions[f].kind), experiment.functions[f].name, memory.bytes, memory.bytes_without,
        100.0 * static_cast<double>(memory.bytes) / static_cast<double>(memory.bytes_without), memory.num_again,
        memory.flops * 1e-6, memory.flops_without * 1e-6,
        memory.flops_without > 0 ? 100 * (memory.flops / memory.flops_without - 1) : 0.0);
  }
}

struct CheckFlags {
  ModelFlags model;
  std::vector<std::string> more;  // further files
  std::string output;
  bool force = false;
  bool ownership = false;
  bool watch = false;
  bool with_data = false;
};

/// Reads the data, when they were asked for. False after a report: `code` is set then.
bool look_at_data(const CheckFlags& flags, const OpenedModel& model, std::vector<SplitLook>& looks, int& code) {
  const std::optional<DataPlan>& plan = model.checked.experiment->data;
  if (!plan) {
    code = report_usage("`--data` asks for the data, and the file has no `data` section");
    return false;
  }
  if (!flags.output.empty() && !flags.force && is_there(flags.output)) {
    code = report(
        {ErrorKind::Output, fmt::format("{} exists", printable(flags.output)), "give another name, or --force", {}});
    return false;
  }
  const Result<std::vector<Dataset>> sets = open_data(plan, model.options, flags.model.file, flags.model.threads);
  if (!sets) {
    code = report(sets.error());
    return false;
  }
  for (const Dataset& set : *sets) {
    Result<SplitLook> look = look_at(*model.checked.experiment, set);
    if (!look) {
      code = report(look.error());
      return false;
    }
    looks.push_back(std::move(*look));
  }
  if (flags.output.empty()) return true;
  const Result<void> drawn = draw_first_batch(*model.checked.experiment, *sets, flags.output, model.options.limits);
  if (!drawn) code = report(drawn.error());
  return drawn.has_value();
}

int64_t count_parameters(const Experiment& experiment) {
  int64_t parameters = 0;
  for (const Variable& variable : experiment.variables) {
    if (variable.kind == VariableKind::Param) parameters += num_elements(variable.type.shape).value_or(0);
  }
  return parameters;
}

nlohmann::json ownership_json(const Experiment& experiment) {
  nlohmann::json rows = nlohmann::json::array();
  for (const OwnershipRow& row : ownership(experiment)) {
    nlohmann::json uses = nlohmann::json::object();
    for (size_t i = 0; i < row.uses.size(); ++i) uses[experiment.objectives[i].name] = to_string(row.uses[i]);
    rows.push_back({{"name", row.name}, {"parameters", row.parameters}, {"objectives", std::move(uses)}});
  }
  return rows;
}

void print_json(const Experiment& experiment, const LoweredExperiment& lowered, const std::vector<SplitLook>& looks) {
  nlohmann::json variables = nlohmann::json::array(), functions = nlohmann::json::array();
  for (const Variable& variable : experiment.variables) {
    variables.push_back(
        {{"path", variable.path}, {"kind", to_string(variable.kind)}, {"type", to_string(variable.type)}});
  }
  for (size_t f = 0; f < experiment.functions.size(); ++f) {
    const FunctionMemory& memory = lowered.memory[f];
    functions.push_back({{"name", experiment.functions[f].name},
                         {"kind", to_string(experiment.functions[f].kind)},
                         {"bytes", memory.bytes},
                         {"bytes_without_budget", memory.bytes_without},
                         {"flops", memory.flops},
                         {"flops_without_budget", memory.flops_without},
                         {"computed_again", memory.num_again}});
  }
  nlohmann::json data = nlohmann::json::array();
  for (const SplitLook& look : looks) data.push_back(as_json(look));
  fmt::print("{}\n", dump_json({{"ok", true},
                                {"data", std::move(data)},
                                {"parameters", count_parameters(experiment)},
                                {"arena_bytes", lowered.program.arena_bytes},
                                {"variables", variables},
                                {"ownership", ownership_json(experiment)},
                                {"functions", functions}}));
}

void print_variables(const Experiment& experiment) {
  for (const Variable& variable : experiment.variables) {
    if (variable.kind != VariableKind::Slot) {
      fmt::print("{:6} {:32} {}\n", to_string(variable.kind), variable.path, to_string(variable.type));
    }
  }
  for (const Objective& objective : experiment.objectives) {
    std::string updates;
    for (const int32_t v : objective.updates) {
      const std::string& path = experiment.variables[static_cast<size_t>(v)].path;
      const std::string net = path.substr(0, path.find('.'));
      if (updates.find(net) == std::string::npos) updates += (updates.empty() ? "" : ", ") + net;
    }
    fmt::print("objective {} updates {}\n", objective.name, updates);
  }
}

/// Memory that a batch never needs, because the dim's bound is far above it.
void tell_of_loose_bound(const Experiment& experiment, uint64_t bytes) {
  constexpr uint64_t kMuch = uint64_t{64} << 20;
  const TrainPlan& train = experiment.train;
  if (!train.present || train.batch_symbol < 0 || bytes < kMuch) return;
  const DimSymbol& dim = experiment.symbols[static_cast<size_t>(train.batch_symbol)];
  if (dim.bound / 4 < train.batch) return;
  say("note: memory is planned for the bound, `{} <= {}`, and the batch is {}: `dim {} <= {}` takes less", dim.name,
      dim.bound, train.batch, dim.name, train.batch);
}

/// Of several files only what is wrong and the last line are of interest.
int check_one(const CheckFlags& flags, const ModelFlags& model_flags, bool alone) {
  int code = kOk;
  const std::optional<OpenedModel> model = open_model(
      model_flags, code, {.needs_data = flags.with_data, .tells_of_missing_data = alone, .takes_stdin = true});
  if (!model) return code;
  std::vector<SplitLook> looks;
  if (flags.with_data && !look_at_data(flags, *model, looks, code)) return code;
  const Result<LoweredExperiment> lowered = lower(model->checked, model->options);
  if (!lowered) return report(lowered.error());
  const Experiment& experiment = *model->checked.experiment;
  if (alone && experiment.data && experiment.train.present) tell_of_training_split(*experiment.data);
  if (model_flags.json) {
    print_json(experiment, *lowered, looks);
    return kOk;
  }
  if (flags.ownership) {
    print_ownership(experiment);
  } else if (alone) {
    print_variables(experiment);
  }
  for (const SplitLook& look : looks) print(look);
  print_budget(experiment, *lowered);
  fmt::print("{}: {} parameters; {} bytes of memory in all, data excluded\n", printable_lines(model->checked.path),
             count_parameters(experiment), lowered->program.arena_bytes);
  if (alone) tell_of_loose_bound(experiment, lowered->program.arena_bytes);
  return kOk;
}

/// All of them, whatever is wrong with one. The exit code is the first that is not 0.
int check_all(const CheckFlags& flags, const std::vector<std::string>& files) {
  int code = kOk;
  for (const std::string& file : files) {
    ModelFlags model = flags.model;
    model.file = file;
    if (const int one = check_one(flags, model, files.size() == 1); code == kOk) code = one;
  }
  return code;
}

int run_check(CheckFlags flags) {
  flags.with_data = std::erase(flags.model.data, "") != 0;
  if (!flags.with_data && !flags.output.empty()) return report_usage("-o draws data: it goes with `--data`");
  if (!flags.output.empty() && !is_stream(flags.output) && std::filesystem::path(flags.output).extension() != ".png")
    return report_usage(fmt::format("-o `{}`: the pictures are written as .png", printable(flags.output)),
                        "give a name that ends in .png");
  if (flags.force && flags.output.empty()) return report_usage("--force replaces a file: it goes with `-o`");
  if (flags.ownership && flags.model.json)
    return report_usage("--ownership prints a table, and --json has it as `ownership`", "leave --ownership out");
  std::vector<std::string> files = {flags.model.file};
  files.insert(files.end(), flags.more.begin(), flags.more.end());
  if (files.size() > 1 && !flags.output.empty()) return report_usage("-o draws the data of one file");
  const auto num_streams = std::ranges::count(files, "-");
  if (num_streams > 1) return report_usage("`-` is the standard input, which is read once");
  if (!flags.watch) return check_all(flags, files);
  if (num_streams > 0) return report_usage("--watch waits for files to change, and `-` is the standard input");
  watch(files, [&] {
    check_all(flags, files);
    say("note: waiting for a change; Ctrl-C ends it");
  });
}

}  // namespace

Runner add_check(Options options) {
  auto flags = std::make_shared<CheckFlags>();
  add_model_flags(options, flags->model, kTraining | kJson, {"FILE", "model file, or - for the standard input"});
  options.add("MORE", flags->more, "further model files: of several, mistakes and one line each are printed");
  // With a value it is where the data are, as everywhere; alone it asks for a look at them.
  options.declared("--data").with_or_without_value().may_be_empty().described(
      "read the data and say what they hold; NAME=DIR: a data section's directory (may be repeated)");
  options.add("-o,--output", flags->output, "with --data: a .png of the pictures of the first batch");
  options.flag("--force", flags->force, "with -o: replace the file");
  options.flag("--ownership", flags->ownership, "print which objective updates and which reads which parameters");
  options.flag("--watch", flags->watch, "check again at each change of a file");
  return [flags] { return run_check(*flags); };
}

}  // namespace smelt::cli
