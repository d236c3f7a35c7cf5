#include "fuzz/legs.h"

#include "compiler/codegen/make_target.h"
#include "compiler/graph/differentiate.h"
#include "compiler/graph/expand_composites.h"
#include "compiler/run_passes.h"
#include "fuzz/lockstep_threads.h"
#include "fuzz/numbers.h"

namespace smelt::fuzz {

constexpr double kWidestCpu = 0.2;  // beside its share of the others

Result<Graph> prepare(const Graph& graph, const Leg& leg) {
  CompileOptions options;
  options.verify = VerifyLevel::EachPass;
  for (const Pass* pass : graph_passes()) {
    if (!leg.all_passes && pass->needed.empty()) options.skip.emplace_back(pass->name);
  }
  return run_graph_passes(graph, options);
}

Graph plain_graph(const Graph& graph) { return expand_composites(differentiate(graph)); }

const std::vector<std::string>& levels_here() {
  static const std::vector<std::string> levels = [] {
    std::vector<std::string> found;
    for (const char* name : {"x86-64-v2", "x86-64-v3", "x86-64-v4"}) {
      if (const auto target = make_target(name); target && runs_here(*target)) found.emplace_back(name);
    }
    if (const auto native = make_target("native"); native && native->has_bf16_pairs) found.emplace_back("native");
    return found;
  }();
  return levels;
}

Setup setup_of(uint64_t seed) {
  Numbers numbers(seed ^ 0x5e7u);
  Setup setup;
  // The last one has most forms of products.
  setup.cpu = numbers.chance(kWidestCpu) ? levels_here().back() : numbers.pick(levels_here());
  setup.dtype = numbers.chance(0.7) ? DType::F32 : DType::F64;
  setup.threads = static_cast<int>(numbers.integer(1, 3));
  setup.reversed = numbers.chance(0.5);
  setup.serial_work = 0;
  setup.placement = numbers.chance(0.7) ? Placement::EndAtGuard : Placement::StartAtGuard;
  return setup;
}

RunOutcome run_once(const CompiledGraphs& compiled, size_t graph, std::span<const RefTensor> arguments,
                    std::span<const int64_t> extents, const Setup& setup) {
  if (setup.threads == 1)
    return compiled.run(graph, arguments, extents, {.threads = nullptr, .placement = setup.placement});
  LockstepThreads threads(setup.threads, setup.reversed);
  RunOutcome outcome =
      compiled.run(graph, arguments, extents, {.threads = threads.hooks(), .placement = setup.placement});
  if (!outcome.fault && threads.torn()) outcome.fault = "a thread returned while others waited at a barrier";
  return outcome;
}

}  // namespace smelt::fuzz
