#include "compiler/unit_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "compiler/loops/loops_text.h"
#include "compiler/plan/plan_text.h"
#include "compiler/run_passes.h"

namespace smelt {
namespace {

Result<void> read_level(FunctionUnit& unit, TextScanner& scanner, std::string_view text) {
  if (level_of(unit.stage) == Level::Loops) {
    SMELT_TRY(unit.loops, read_loops(scanner));
    return {};
  }
  SMELT_TRY(unit.source, read_source(scanner, text));
  if (level_of(unit.stage) == Level::Plan) {
    SMELT_TRY(unit.plan, read_plan(scanner, text, unit.source.graph));
  }
  return {};
}

}  // namespace

std::string print(const FunctionUnit& unit) {
  switch (level_of(unit.stage)) {
    case Level::Graph: return print(unit.source);
    case Level::Plan: return print(unit.source) + print(unit.source.graph, unit.plan);
    case Level::Loops: return print(unit.loops);
  }
  return {};
}

Result<FunctionUnit> parse_unit(std::string_view text, Stage stage) {
  FunctionUnit unit{.stage = stage, .source = {}, .plan = {}, .loops = {}};
  TextScanner scanner(text);
  SMELT_TRY_VOID(read_level(unit, scanner, text));
  if (!scanner.at_end())
    return fail(ErrorKind::Model, fmt::format("line {}: expected the end, got `{}`", scanner.line(), scanner.next()));
  const std::vector<std::string> violations = verify(unit);
  if (!violations.empty())
    return fail(ErrorKind::Model, fmt::format("no {} at stage `{}`: {}", to_string(level_of(stage)), to_string(stage),
                                              violations.front()));
  return unit;
}

Result<std::string> run_pass_on_text(std::string_view name, std::string_view text, const PassContext& context) {
  SMELT_TRY(const Pass* pass, pass_named(name));
  SMELT_TRY(FunctionUnit unit, parse_unit(text, pass->before));
  run_pass(*pass, unit, context);
  return print(unit);
}

std::string describe_passes() {
  std::string out = fmt::format("{:20} {:7} {:15} {:15} {:15} {}\n", "pass", "level", "from stage", "to stage",
                                "leaves", "what it does");
  std::vector<std::string_view> listed;
  for (const std::string_view name : pipeline()) {
    if (std::ranges::find(listed, name) != listed.end()) continue;
    listed.push_back(name);
    const Pass& pass = *find_pass(name);
    out += fmt::format("{:20} {:7} {:15} {:15} {:15} {}{}\n", name, to_string(level_of(pass.before)),
                       to_string(pass.before), to_string(pass.latest),
                       pass.changes_stage() ? to_string(pass.after) : "the same", pass.doc,
                       pass.needed.empty() ? "" : fmt::format(" (needed: {})", pass.needed));
  }
  return out;
}

}  // namespace smelt
