#include "api/smelt/dump.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "compiler/codegen/emit_program.h"
#include "compiler/codegen/make_target.h"
#include "compiler/run_passes.h"
#include "compiler/schedule/plan_memory.h"
#include "compiler/unit_text.h"
#include "frontend/parser.h"
#include "ir/support/printable.h"
#include "ir/text.h"

namespace smelt {
namespace {

struct DumpContext {
  const CheckedModel& model;
  const ModelOptions& options;
};

Result<std::string> dump_ast(const DumpContext& context) {
  Diagnostics diagnostics;
  return ast::print(parse(*context.model.sources, 0, diagnostics, nullptr, context.options.limits));
}

Result<std::string> dump_graph(const DumpContext& context) {
  std::string out;
  for (const Function& function : context.model.experiment->functions) out += print(function.graph) + "\n";
  return out;
}

Result<std::string> dump_grad(const DumpContext& context) {
  SMELT_TRY(const LoweredExperiment lowered, lower(context.model, context.options));
  std::string out;
  for (const Graph& graph : lowered.optimized) out += print(graph) + "\n";
  return out;
}

Result<std::string> dump_fused(const DumpContext& context) {
  SMELT_TRY(const LoweredExperiment lowered, lower(context.model, context.options));
  std::string out;
  for (size_t f = 0; f < lowered.optimized.size(); ++f)
    out += print(lowered.optimized[f]) + print(lowered.optimized[f], lowered.fusion[f]) + "\n";
  return out;
}

Result<std::string> dump_loops(const DumpContext& context) {
  SMELT_TRY(const LoweredExperiment lowered, lower(context.model, context.options));
  std::string out;
  for (const LoopFunction& function : lowered.loops.functions) out += print(function) + "\n";
  return out;
}

Result<std::string> dump_memory(const DumpContext& context) {
  SMELT_TRY(const LoweredExperiment lowered, lower(context.model, context.options));
  std::string out = fmt::format("arena {} bytes, of which variables {}\n", lowered.program.arena_bytes,
                                lowered.program.variables_end);
  for (const LoopFunction& function : lowered.loops.functions) out += print_memory(function);
  return out;
}

Result<std::string> dump_code(const DumpContext& context, CodeKind kind) {
  SMELT_TRY(const LoweredExperiment lowered, lower(context.model, context.options));
  SMELT_TRY(const Target target, make_target(context.options.cpu));
  const std::vector<char> text = emit_program(lowered.loops, target, kind, {.optimize = context.options.optimize});
  return std::string(text.begin(), text.end());
}
Result<std::string> dump_llvm(const DumpContext& context) { return dump_code(context, CodeKind::LlvmIr); }
Result<std::string> dump_asm(const DumpContext& context) { return dump_code(context, CodeKind::Assembly); }

struct StageRow {
  std::string_view name;
  Result<std::string> (*dump)(const DumpContext&);
  /// The stages of units at which there is one; none: it is made before or behind all passes of functions.
  std::optional<std::pair<Stage, Stage>> of_units = std::nullopt;
};
constexpr std::array kStages = {StageRow{"ast", dump_ast},
                                StageRow{"graph", dump_graph, std::pair(Stage::Any, Stage::Isolated)},
                                StageRow{"grad", dump_grad, std::pair(Stage::Differentiated, Stage::Isolated)},
                                StageRow{"fused", dump_fused, std::pair(Stage::Stored, Stage::Planned)},
                                StageRow{"loops", dump_loops, std::pair(Stage::Lowered, Stage::Placed)},
                                StageRow{"memory", dump_memory, std::pair(Stage::Placed, Stage::Placed)},
                                StageRow{"llvm", dump_llvm},
                                StageRow{"asm", dump_asm}};

bool is_there(const StageRow& row, Stage stage) {
  return row.of_units && row.of_units->first <= stage && stage <= row.of_units->second;
}

/// Errors (Usage): there is no such stage at `at`, where pass `stop` left off.
Result<void> check_stage(const StageRow& row, Stage at, std::string_view stop) {
  if (is_there(row, at)) return {};
  std::vector<std::string> others;
  for (const StageRow& other : kStages) {
    if (is_there(other, at)) others.push_back(fmt::format("`--stage {}`", other.name));
  }
  return fail(ErrorKind::Usage,
              fmt::format("there is no stage `{}` after pass `{}`, which leaves {}", row.name, stop,
                          level_of(at) == Level::Loops  ? "loops"
                          : level_of(at) == Level::Plan ? "a fusion plan"
                                                        : "a graph"),
              fmt::format("{} can be had there; leave out --stage for what the pass leaves", fmt::join(others, ", ")));
}

/// Runs the passes of each function. Notes the text after those of `dump_after`, and, when `last` says so, what is
/// there in the end.
class PassDump {
 public:
  explicit PassDump(const DumpContext& context) : context_(context) {}

  Result<std::string> run(const StageRow* row, bool last) {
    const Experiment& experiment = *context_.model.experiment;
    const CompileOptions& options = context_.options.passes;
    SMELT_TRY(const Target target, make_target(context_.options.cpu));
    const PassContext passes = context_of(experiment, target, options);
    for (const Function& function : experiment.functions) {
      SMELT_TRY(const PassRun run,
                run_passes(function.graph, passes, options, [&](int number, auto pass, const FunctionUnit& unit) {
                  out_ += fmt::format("// {} `{}` after {}, pass {}\n{}\n", to_string(function.kind), function.name,
                                      pass, number, print(unit));
                }));
      if (!last) continue;
      if (row != nullptr) SMELT_TRY_VOID(check_stage(*row, run.unit.stage, options.stop_after));
      const bool memory = row != nullptr && row->name == "memory";
      out_ += memory ? print_memory(run.unit.loops) : print(run.unit) + "\n";
    }
    return std::move(out_);
  }

 private:
  const DumpContext& context_;
  std::string out_;
};

}  // namespace

std::vector<std::string_view> dump_stages() {
  std::vector<std::string_view> names;
  for (const StageRow& row : kStages) names.push_back(row.name);
  return names;
}

Result<std::string> dump(const CheckedModel& model, std::string_view stage, const ModelOptions& options) {
  const DumpContext context{model, options};
  const CompileOptions& passes = options.passes;
  const auto row = std::ranges::find(kStages, stage, &StageRow::name);
  if (row == kStages.end() && !stage.empty()) {
    return fail(ErrorKind::Usage, fmt::format("unknown stage `{}`", printable(stage)),
                fmt::format("one of {}", fmt::join(dump_stages(), ", ")));
  }
  const StageRow* wanted = stage.empty() ? nullptr : &*row;
  if (wanted != nullptr && !passes.stop_after.empty()) {
    SMELT_TRY_VOID(pass_named(passes.stop_after));
    if (!wanted->of_units) {
      return fail(ErrorKind::Usage,
                  fmt::format("stage `{}` is made {} passes: stopped after `{}` there is none", stage,
                              stage == "ast" ? "before all" : "behind all", printable(passes.stop_after)),
                  "leave out --stage for what the pass leaves");
    }
  }
  std::string out;
  if (!passes.dump_after.empty() || !passes.stop_after.empty()) {
    SMELT_TRY(out, PassDump(context).run(wanted, !passes.stop_after.empty()));
  }
  if (!passes.stop_after.empty() || (wanted == nullptr && !passes.dump_after.empty())) return out;
  CompileOptions quiet = passes;
  quiet.dump_after.clear();
  ModelOptions rest = options;
  rest.passes = std::move(quiet);
  SMELT_TRY(const std::string text, (wanted == nullptr ? dump_graph : wanted->dump)({model, rest}));
  return out + text;
}

}  // namespace smelt
