// debug reduce: the smallest graph that still fails, and what is to blame.
#include <fmt/format.h>

#include "cli/commands/debug.h"
#include "fuzz/reduce.h"
#include "ir/support/printable.h"
#include "ir/text.h"

namespace smelt::cli {
namespace {

struct ReduceFlags {
  std::string file, output;
};

int run_reduce(const ReduceFlags& flags) {
  const Result<fuzz::ReadCase> read = fuzz::read_case(flags.file);
  if (!read) return report(read.error());
  const fuzz::Reduced reduced = fuzz::reduce(*read);
  if (!reduced.verdict.fails()) {
    fmt::print("{}: check {} does not fail here\n", printable_lines(flags.file), read->check);
    return kOk;
  }
  const std::string path = flags.output.empty() ? flags.file + ".reduced" : flags.output;
  const Result<void> written = fuzz::write_case(path, reduced.tested, reduced.verdict.check, reduced.verdict.what);
  if (!written) return report(written.error());
  fmt::print("{} ops left of {} nodes after {} attempts: {}\n", reduced.num_ops, read->random.graph.size(),
             reduced.attempts, printable_lines(path));
  fmt::print("first wrong: {}\n{}\n\n{}", reduced.verdict.stage, reduced.verdict.what,
             print(reduced.tested.random.graph));
  return kInternal;
}

}  // namespace

DebugTool add_debug_reduce(Options options) {
  auto flags = std::make_shared<ReduceFlags>();
  Options reduce = options.command("reduce", "shrinks a failing graph of `debug fuzz` and names the first wrong pass");
  reduce.add("FILE", flags->file, "the graph that `debug fuzz` wrote").required();
  reduce.add("-o,--output", flags->output, "where the reduced graph goes (FILE.reduced)");
  return {reduce, [flags] { return run_reduce(*flags); }};
}

}  // namespace smelt::cli
