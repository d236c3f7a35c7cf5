#include "tests/support/run_compiled.h"

#include <atomic>
#include <thread>

#include "fuzz/compiled_graphs.h"
#include "ir/support/check.h"

namespace smelt::test {
namespace {

struct SpinThreads {
  int count;
  std::atomic<int> waiting{0}, generation{0};
  smelt_threads hooks{};

  explicit SpinThreads(int n) : count(n) { hooks = {this, n, &parallel, &barrier}; }
  static void parallel(void* context, void (*fn)(void*, int32_t, int32_t), void* argument) {
    auto* self = static_cast<SpinThreads*>(context);
    std::vector<std::thread> workers;
    for (int t = 1; t < self->count; ++t) workers.emplace_back([=] { fn(argument, t, self->count); });
    fn(argument, 0, self->count);
    for (std::thread& worker : workers) worker.join();
  }
  static void barrier(void* context, int32_t) {
    auto* self = static_cast<SpinThreads*>(context);
    const int generation = self->generation.load();
    if (self->waiting.fetch_add(1) + 1 == self->count) {
      self->waiting = 0;
      self->generation.fetch_add(1);
      return;
    }
    while (self->generation.load() == generation) std::this_thread::yield();
  }
};

}  // namespace

Result<std::vector<RefTensor>> run_compiled(Graph graph, std::span<const RefTensor> arguments,
                                            std::span<const int64_t> extents, const RunOptions& options) {
  std::vector<Graph> graphs;
  graphs.push_back(std::move(graph));
  SMELT_TRY(const fuzz::CompiledGraphs compiled,
            fuzz::CompiledGraphs::compile(std::move(graphs), {.cpu = options.cpu, .optimize = options.optimize}));
  SpinThreads threads(options.threads);
  fuzz::RunOutcome outcome =
      compiled.run(0, arguments, extents, {.threads = options.threads > 1 ? &threads.hooks : nullptr});
  SMELT_CHECK(!outcome.fault, "{}", *outcome.fault);
  return std::move(outcome.results);
}

}  // namespace smelt::test
