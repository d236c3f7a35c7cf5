#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cli/commands.h"
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

int run_check(const ModelFlags& flags) {
  int code = kOk;
  const std::optional<OpenedModel> model = open_model(flags, code, {.tells_of_missing_data = true});
  if (!model) return code;
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
    fmt::print("{}\n", nlohmann::json{{"ok", true},
                                      {"parameters", parameters},
                                      {"arena_bytes", lowered->program.arena_bytes},
                                      {"variables", variables},
                                      {"functions", functions}}
                           .dump());
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
  print_budget(experiment, *lowered);
  fmt::print("{}: {} parameters; {} bytes of memory in all, data excluded\n", printable_lines(flags.file), parameters,
             lowered->program.arena_bytes);
  return kOk;
}

}  // namespace

Runner add_check(CLI::App& app) {
  auto flags = std::make_shared<ModelFlags>();
  add_model_flags(app, *flags, kTraining);
  return [flags] { return run_check(*flags); };
}

}  // namespace smelt::cli
