// debug passes, debug pass: the table of passes, and one pass on the text of its input.
#include <fmt/format.h>

#include <iostream>
#include <iterator>

#include "api/smelt/run_pass.h"
#include "cli/commands/debug.h"
#include "compiler/unit_text.h"

namespace smelt::cli {
namespace {

struct PassToolFlags {
  std::string name, memory_budget;
  PassFlags pass;
};

int run_one(PassToolFlags flags) {
  if (!flags.memory_budget.empty()) {
    const Result<int64_t> budget = parse_size(flags.memory_budget);
    if (!budget) return report(budget.error());
    flags.pass.memory_budget = *budget;
  }
  const std::string text((std::istreambuf_iterator<char>(std::cin)), {});
  const Result<std::string> after = run_pass(flags.name, text, flags.pass);
  if (!after) return report(after.error());
  fmt::print("{}", *after);
  return kOk;
}

}  // namespace

DebugTool add_debug_passes(Options options) {
  Options passes = options.command("passes", "every pass of the compiler, in the order in which they run first");
  return {passes, [] {
            fmt::print("{}", describe_passes());
            return static_cast<int>(kOk);
          }};
}

DebugTool add_debug_pass(Options options) {
  auto flags = std::make_shared<PassToolFlags>();
  Options pass = options.command(
      "pass", "one pass: reads a graph, plan or loops as `smelt dump --stop-after` prints them, prints what it leaves");
  pass.add("NAME", flags->name, "the pass; `smelt debug passes` lists them").required();
  pass.add("--cpu", flags->pass.cpu, "native, x86-64-v2, x86-64-v3 or x86-64-v4");
  pass.add("--precision", flags->pass.precision, "f32, f64 or bf16: for lower_precision and build_loops");
  pass.add("--memory-budget", flags->memory_budget, "for fit_budget");
  pass.flag("--unfused", flags->pass.unfused, "for choose_stored: every value has memory of its own");
  pass.flag("--bf16-pairs", flags->pass.bf16_pairs, "for pair_products: as if the machine could multiply pairs");
  return {pass, [flags] { return run_one(*flags); }};
}

}  // namespace smelt::cli
