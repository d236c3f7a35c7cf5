// Graphs through the whole back end - fusion, loops, memory plan, LLVM, loaded object - many in one object, and one run
// of one of them between guard pages.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "compiler/loops/loop_ir.h"
#include "compiler/options.h"
#include "compiler/schedule/target.h"
#include "fuzz/guarded_memory.h"
#include "ir/evaluator.h"
#include "ir/graph.h"
#include "ir/support/result.h"
#include "runtime/loader.h"

namespace smelt::fuzz {

enum class Memory : uint8_t {
  Planned,  // temporaries share bytes as `plan_memory` says
  Budget,  // and take half of the bytes between the least that `fit_budget` reaches and what they take without a budget
  Guarded  // each temporary has pages of its own, between guards
};

/// How graphs become code.
struct CodeOptions {
  std::string cpu = "native";
  bool optimize = true;  // LLVM passes
  Fusion fusion = Fusion::Full;
  Memory memory = Memory::Planned;
  double serial_work = kSerialWork;
  int64_t cache_bytes = 0;  // of operands in a block; 0: what the machine has
};

struct RunOptions {
  const smelt_threads* threads = nullptr;  // null: the caller's thread
  Placement placement = Placement::EndAtGuard;
};

/// What a run gave: results, or what was wrong with it - a signal, or a byte written outside a buffer.
struct RunOutcome {
  std::vector<RefTensor> results;
  std::optional<std::string> fault;
};

class CompiledGraphs {
 public:
  /// Graphs of primitives. Roles are dropped: every argument is an input, every result an output.
  static Result<CompiledGraphs> compile(std::vector<Graph> graphs, const CodeOptions& options);

  size_t size() const { return functions_.size(); }
  /// How many values a graph computes again to keep its budget.
  size_t num_again(size_t graph) const { return functions_[graph].num_again; }
  RunOutcome run(size_t graph, std::span<const RefTensor> arguments, std::span<const int64_t> extents,
                 const RunOptions& options = {}) const;

 private:
  struct Function {
    Graph graph;
    std::vector<size_t> temporaries;  // bytes, Memory::Guarded
    Placement placement = Placement::EndAtGuard;
    size_t arena_bytes = 0, num_again = 0;
    smelt_entry entry = nullptr;
  };
  explicit CompiledGraphs(LoadedObject object) : object_(std::move(object)) {}

  LoadedObject object_;
  std::vector<Function> functions_;
};

/// The loops of a graph, as they are scheduled for a machine.
LoopFunction loops_of(Graph graph, const Target& target);
/// Their text for this machine, for messages.
std::string loops_text(Graph graph);

}  // namespace smelt::fuzz
