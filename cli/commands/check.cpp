#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/look_at_data.h"
#include "ir/support/printable.h"

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
  std::string output;
  bool force = false;
};

/// Reads the data, when they were asked for. False after a report: `code` is set then.
bool look_at_data(const CheckFlags& flags, const OpenedModel& model, std::vector<SplitLook>& looks, int& code) {
  const std::optional<DataPlan>& plan = model.checked.experiment->data;
  if (!plan) {
    code = report_usage("`--data` asks for the data, and the file has no `data` section");
    return false;
  }
  if (!flags.output.empty() && !flags.force && std::filesystem::exists(flags.output)) {
    code = report(
        {ErrorKind::Output, fmt::format("{} exists", printable(flags.output)), "give another name, or --force", {}});
    return false;
  }
  const Result<std::vector<Dataset>> sets = open_data(plan, model.options, flags.model.file, flags.model.threads);
  if (!sets) {
    code = report(sets.error());
    return false;
  }
  for (const Dataset& set : *sets) looks.push_back(look_at(*plan, set));
  if (flags.output.empty()) return true;
  const Result<void> drawn = draw_first_batch(*model.checked.experiment, *sets, flags.output);
  if (!drawn) code = report(drawn.error());
  return drawn.has_value();
}

int run_check(CheckFlags flags_given) {
  const bool with_data = std::erase(flags_given.model.data, "") != 0;
  const ModelFlags& flags = flags_given.model;
  int code = kOk;
  if (!with_data && !flags_given.output.empty()) return report_usage("-o draws data: it goes with `--data`");
  const std::optional<OpenedModel> model =
      open_model(flags, code, {.needs_data = with_data, .tells_of_missing_data = true});
  if (!model) return code;
  std::vector<SplitLook> looks;
  if (with_data && !look_at_data(flags_given, *model, looks, code)) return code;
  const Result<LoweredExperiment> lowered = lower(model->checked, model->options);
  if (!lowered) return report(lowered.error());
  const Experiment& experiment = *model->checked.experiment;
  int64_t parameters = 0;
  for (const Variable& variable : experiment.variables) {
    if (variable.kind == VariableKind::Param) parameters += num_elements(variable.type.shape).value_or(0);
  }
  if (flags.json) {
    nlohmann::json variables = nlohmann::json::array(), functions = nlohmann::json::array();
    for (const Variable& variable : experiment.variables) {
      variables.push_back(
          {{"path", variable.path}, {"kind", to_string(variable.kind)}, {"type", to_string(variable.type)}});
    }
    for (size_t f = 0; f < experiment.functions.size(); ++f) {
      const FunctionMemory& memory = lowered->memory[f];
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
                                  {"parameters", parameters},
                                  {"arena_bytes", lowered->program.arena_bytes},
                                  {"variables", variables},
                                  {"functions", functions}}));
    return kOk;
  }
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
  for (const SplitLook& look : looks) print(look);
  print_budget(experiment, *lowered);
  fmt::print("{}: {} parameters; {} bytes of memory in all, data excluded\n", printable_lines(flags.file), parameters,
             lowered->program.arena_bytes);
  return kOk;
}

}  // namespace

Runner add_check(Options options) {
  auto flags = std::make_shared<CheckFlags>();
  add_model_flags(options, flags->model, kTraining);
  // With a value it is where the data are, as everywhere; alone it asks for a look at them.
  options.declared("--data").with_or_without_value().described(
      "read the data and say what they hold; NAME=DIR: a data section's directory (may be repeated)");
  options.add("-o,--output", flags->output, "with --data: a .png of the pictures of the first batch");
  options.flag("--force", flags->force, "with -o: replace the file");
  return [flags] { return run_check(*flags); };
}

}  // namespace smelt::cli
