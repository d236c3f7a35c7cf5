#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cli/commands.h"

namespace smelt::cli {
namespace {

int run_check(const ModelFlags& flags) {
  int code = kOk;
  const std::optional<OpenedModel> model = open_model(flags, code);
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
      variables.push_back({{"path", variable.path}, {"kind", to_string(variable.kind)}, {"type", to_string(variable.type)}});
    }
    for (const Function& function : experiment.functions) functions.push_back({{"name", function.name}, {"kind", to_string(function.kind)}});
    fmt::print("{}\n", nlohmann::json{{"ok", true}, {"parameters", parameters}, {"arena_bytes", lowered->program.arena_bytes},
                                      {"variables", variables}, {"functions", functions}}.dump());
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
  fmt::print("{}: {} parameters; {} bytes of memory in all, data excluded\n", flags.file, parameters, lowered->program.arena_bytes);
  return kOk;
}

}  // namespace

Runner add_check(CLI::App& app) {
  auto flags = std::make_shared<ModelFlags>();
  add_model_flags(app, *flags, kTraining);
  return [flags] { return run_check(*flags); };
}

}  // namespace smelt::cli
