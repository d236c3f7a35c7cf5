// The order of the graph passes, and the one place that runs, times, verifies and dumps them.
#pragma once

#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "compiler/options.h"
#include "ir/graph.h"
#include "ir/support/result.h"
#include "ir/verifier.h"

namespace smelt {

struct GraphPass {
  std::string_view name;
  std::string_view doc;
  GraphStage before;
  GraphStage latest;        // `stabilize` makes composites, so that it must not run after they are expanded
  GraphStage after;         // equal to `before` when the pass keeps the stage it finds
  std::string_view needed;  // why it cannot be left out; empty when it can
  Graph (*run)(Graph);

  constexpr bool changes_stage() const { return before != after; }
  constexpr bool may_run_on(GraphStage stage) const { return before <= stage && stage <= latest; }
};

/// The passes of passes.def.
std::span<const GraphPass> all_graph_passes();
const GraphPass* find_graph_pass(std::string_view name);
/// The names of the passes in the order in which they run; some run twice.
std::span<const std::string_view> graph_pipeline();

struct PassReport {
  std::string_view pass;
  double milliseconds = 0;
  uint32_t nodes_before = 0;
  uint32_t nodes_after = 0;
  bool changed = false;
};

struct PipelineResult {
  Graph graph;
  GraphStage stage = GraphStage::Any;  // Primitive unless `stop_after` ended it before
  std::vector<PassReport> reports;
};

/// Called with the number of the run, from 0, and the graph after the pass.
using DumpGraph = std::function<void(int number, std::string_view pass, const Graph& graph)>;

/// Runs the pipeline on a verified graph. Errors (Usage): an unknown pass in the options, or one in `skip`
/// that is needed. A pass that breaks an invariant is our mistake (InternalError, which names it).
Result<PipelineResult> run_graph_pipeline(Graph graph, const CompileOptions& options, const DumpGraph& dump = {});

}  // namespace smelt
