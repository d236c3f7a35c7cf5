// The ways from a graph to results that are compared with the reference, from the plainest to what users run, and that
// under a memory budget. Two neighbours differ in one stage, so that the first one that is wrong names the stage at
// fault.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "fuzz/compiled_graphs.h"
#include "ir/support/result.h"

namespace smelt::fuzz {

struct Leg {
  std::string_view name;
  std::string_view stage;  // what it adds to the leg before it
  bool all_passes;         // false: `differentiate`, `expand_composites` and `remove_dead_nodes` alone
  Fusion fusion;
  Memory memory;
  bool optimize;  // LLVM passes

  CodeOptions code(const std::string& cpu, double serial_work) const {
    return {.cpu = cpu, .optimize = optimize, .fusion = fusion, .memory = memory, .serial_work = serial_work};
  }
};

inline constexpr Leg kLegs[] = {
    {"plain", "build_loops and code generation", false, Fusion::None, Memory::Guarded, false},
    {"passes", "the graph passes", true, Fusion::None, Memory::Guarded, false},
    {"fused", "plan_kernels (fusion)", true, Fusion::Full, Memory::Guarded, false},
    {"planned", "plan_memory", true, Fusion::Full, Memory::Planned, false},
    {"full", "LLVM passes", true, Fusion::Full, Memory::Planned, true},
    {"budget", "fit_budget", true, Fusion::Full, Memory::Budget, false},
};
inline constexpr const Leg& kPlain = kLegs[0];
inline constexpr const Leg& kPlanned = kLegs[3];
inline constexpr const Leg& kFull = kLegs[4];
inline constexpr const Leg& kBudget = kLegs[5];  // has the bits of `planned`: budgets.h

/// The graph as the leg's code generation gets it. Verified after each pass.
Result<Graph> prepare(const Graph& graph, const Leg& leg);
/// Only `differentiate` and `expand_composites`: what the reference evaluates.
Graph plain_graph(const Graph& graph);

/// How the run of one seed is set up: everything but the graph.
struct Setup {
  std::string cpu;
  DType dtype;
  int threads;  // 1 to 3, in lockstep
  bool reversed;
  double serial_work;
  Placement placement;
};
Setup setup_of(uint64_t seed);
/// The names of the cpu levels that this machine can run, narrowest first; `native` where it has instructions of ours
/// that no level has.
const std::vector<std::string>& levels_here();

/// Compiled code as the setup says, on `threads` lockstep threads.
RunOutcome run_once(const CompiledGraphs& compiled, size_t graph, std::span<const RefTensor> arguments,
                    std::span<const int64_t> extents, const Setup& setup);

}  // namespace smelt::fuzz
