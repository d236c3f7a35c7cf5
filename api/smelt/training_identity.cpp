#include "api/smelt/training_identity.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "ir/text.h"
#include "runtime/files/sha256.h"

namespace smelt {
namespace {

// Numbers of variables, columns and scalars depend on everything in the file, names and content do not.
std::string name_of(const Experiment& experiment, ArgRole role, int32_t ref) {
  const auto index = static_cast<size_t>(ref);
  switch (role) {
    case ArgRole::Variable: return experiment.variables[index].path;
    case ArgRole::Column: {
      const Column& column = experiment.data->columns[index];
      return fmt::format("field {} {}[{}]{}", column.field, to_string(column.dtype), fmt::join(column.row_shape, ", "),
                         column.section == 0 ? "" : " of " + experiment.data->section_name(column.section));
    }
    case ArgRole::Scalar: {
      const ScalarInput& scalar = experiment.scalars[index];
      const bool of_objective = scalar.kind == ScalarKind::Update || scalar.kind == ScalarKind::Loss;
      return fmt::format("{} {} {} {}", scalar.name, static_cast<int>(scalar.kind), scalar.initial,
                         of_objective ? experiment.objectives[static_cast<size_t>(scalar.ref)].name : "");
    }
    case ArgRole::Rows: return "rows of " + experiment.data->section_name(ref);  // after the first
    case ArgRole::Feed:
    case ArgRole::Seed:
    case ArgRole::Run:
    case ArgRole::Carry:
    case ArgRole::Slice:
    case ArgRole::Whole: break;
  }
  return {};
}

std::string identify(const Experiment& experiment, Graph graph) {
  std::map<std::string, int64_t> bounds;  // of the dims that occur
  for (const Node& node : graph.nodes) {
    for (const Extent& extent : node.type.shape) {
      if (!extent.is_static()) bounds[graph.symbols[static_cast<size_t>(extent.symbol)].name] = extent.bound;
    }
  }
  for (Argument& argument : graph.arguments) {
    if (argument.ref >= 0) argument.name = name_of(experiment, argument.role, argument.ref);
    argument.ref = -1;
  }
  for (Output& output : graph.results) {
    if (output.role == ResultRole::Variable) output.name = name_of(experiment, ArgRole::Variable, output.ref);
    output.ref = -1;
  }
  std::string text = print(graph);
  if (text.starts_with("dims ")) text.erase(0, text.find('\n') + 1);  // all dims of the file
  for (const auto& [name, bound] : bounds) text += fmt::format("{} <= {}\n", name, bound);
  return text;
}

bool reads_constant(const Experiment& experiment, const Graph& graph) {
  return std::ranges::any_of(graph.arguments, [&](const Argument& argument) {
    return argument.role == ArgRole::Variable &&
           experiment.variables[static_cast<size_t>(argument.ref)].kind == VariableKind::Const;
  });
}

/// What batches have behind their longest strings. Empty where no string has any.
std::string ends_of(const DataPlan& data) {
  std::string text;
  for (const Split& split : data.splits) {
    const SourceCall& source = split.source;
    for (size_t k = 0; k < source.ends.size(); ++k) {
      if (source.ends[k] > 0 && source.length_symbols[k] >= 0)
        text +=
            fmt::format("{}.{} string {} ends {}\n", data.section_name(split.section), split.name, k, source.ends[k]);
    }
  }
  return text;
}

}  // namespace

std::string training_identity(const Experiment& experiment) {
  std::string text = fmt::format("{}\n", to_string(experiment.precision));
  bool reads_constants = false;
  for (const Variable& variable : experiment.variables) {
    if (variable.kind != VariableKind::Const)
      text += fmt::format("{} {} {}\n", to_string(variable.kind), variable.path, to_string(variable.type));
  }
  for (const Function& function : experiment.functions) {
    if (function.kind != FunctionKind::Step) continue;
    text += identify(experiment, function.graph);
    reads_constants |= reads_constant(experiment, function.graph);
  }
  // Constants are in no checkpoint: the initialisers make them again. What else those draw comes from the checkpoint.
  if (reads_constants)
    text += identify(experiment, experiment.functions[static_cast<size_t>(experiment.init_function())].graph);
  for (const LoopItem& item : experiment.train.loop) {
    text += fmt::format("{} *", item.times);
    for (const int32_t objective : item.objectives)
      text += " " + experiment.objectives[static_cast<size_t>(objective)].name;
    text += "\n";
  }
  if (experiment.train.bucket > 0) text += fmt::format("bucket {}\n", experiment.train.bucket);
  if (experiment.data) text += ends_of(*experiment.data);
  return sha256_hex(text);
}

}  // namespace smelt
