#include "compiler/run_passes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "ir/scan.h"
#include "ir/support/check.h"

namespace smelt {
namespace {

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

void check(const FunctionUnit& unit, std::string_view when) {
  const std::vector<std::string> violations = verify(unit);
  SMELT_CHECK(violations.empty(), "{} `{}` {} breaks {} invariants: {}", to_string(level_of(unit.stage)),
              unit.source.graph.name, when, violations.size(), fmt::join(violations, "; "));
}

Result<void> check_options(const CompileOptions& options) {
  for (const std::string& name : options.dump_after) {
    if (name != "all") SMELT_TRY_VOID(pass_named(name));
  }
  if (!options.stop_after.empty()) SMELT_TRY_VOID(pass_named(options.stop_after));
  for (const std::string& name : options.skip) {
    SMELT_TRY(const Pass* pass, pass_named(name));
    if (!pass->needed.empty())
      return fail(ErrorKind::Usage, fmt::format("pass `{}` cannot be left out: {}", name, pass->needed));
  }
  return {};
}

uint32_t size_of(const FunctionUnit& unit) {
  return level_of(unit.stage) == Level::Loops ? static_cast<uint32_t>(unit.loops.kernels.size())
                                              : unit.source.graph.size();
}

}  // namespace

void run_pass(const Pass& pass, FunctionUnit& unit, const PassContext& context) {
  if (pass.rewrite != nullptr) unit.source.graph = change_bodies(std::move(unit.source.graph), pass.rewrite);
  pass.run(unit, context);
  if (pass.changes_stage()) unit.stage = pass.after;
}

Result<PassRun> run_passes(Graph graph, const PassContext& context, const CompileOptions& options, const DumpUnit& dump,
                           Stage last) {
  using Clock = std::chrono::steady_clock;
  SMELT_TRY_VOID(check_options(options));
  PassRun run;
  FunctionUnit& unit = run.unit;
  unit.source.graph = std::move(graph);
  if (options.verify != VerifyLevel::Off) check(unit, "as it comes in");
  int number = 0;
  for (const std::string_view name : pipeline()) {
    const Pass& pass = *find_pass(name);
    if (std::max(pass.before, pass.after) > last) break;
    if (contains(options.skip, name)) continue;
    const Stage stage_before = unit.stage;
    const uint32_t size_before = size_of(unit);
    const Clock::time_point start = Clock::now();
    check_time(context.clock);
    run_pass(pass, unit, context);
    const std::chrono::duration<double, std::milli> elapsed = Clock::now() - start;
    run.reports.push_back({pass.name, elapsed.count(), size_before, size_of(unit)});

    const bool new_level = level_of(stage_before) != level_of(unit.stage);
    if (options.verify == VerifyLevel::EachPass || (options.verify == VerifyLevel::Ends && new_level))
      check(unit, fmt::format("after `{}`", name));
    if (dump && (contains(options.dump_after, "all") || contains(options.dump_after, name))) dump(number, name, unit);
    ++number;
    if (name == options.stop_after) break;
  }
  if (options.verify == VerifyLevel::Ends) check(unit, "after the last pass");
  return run;
}

Result<Graph> run_graph_passes(Graph graph, const CompileOptions& options) {
  SMELT_TRY(PassRun run, run_passes(std::move(graph), {}, options, {}, Stage::Primitive));
  return std::move(run.unit.source.graph);
}

Graph graph_before(std::string_view pass, Graph graph, const PassContext& context) {
  FunctionUnit unit;
  unit.source.graph = std::move(graph);
  for (const std::string_view name : pipeline()) {
    if (name == pass) break;
    if (!contains(context.skip, name)) run_pass(*find_pass(name), unit, context);
  }
  return std::move(unit.source.graph);
}

FunctionUnit place_function(ScheduledGraph source, const PassContext& context) {
  FunctionUnit unit{.stage = Stage::Isolated, .source = std::move(source), .plan = {}, .loops = {}};
  const auto rest = std::ranges::find(pipeline(), "fit_budget") + 1;
  for (const std::string_view name : std::span(rest, pipeline().end())) {
    if (!contains(context.skip, name)) run_pass(*find_pass(name), unit, context);
  }
  return unit;
}

}  // namespace smelt
