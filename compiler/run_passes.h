// The one place that runs, times, verifies, dumps, skips and stops passes, of every level alike.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "compiler/passes.h"

namespace smelt {

struct PassReport {
  std::string_view pass;
  double milliseconds = 0;
  uint32_t size_before = 0;  // nodes of the graph, or kernels of the loops
  uint32_t size_after = 0;
};

struct PassRun {
  FunctionUnit unit;
  std::vector<PassReport> reports;
};

/// Called with the number of the run, from 0, and the unit after the pass.
using DumpUnit = std::function<void(int number, std::string_view pass, const FunctionUnit& unit)>;

/// Runs the pipeline on a graph up to `last`, the end of the passes that keep that stage. Errors (Usage): an unknown
/// pass in the options, or one in `skip` that is needed. A pass that breaks an invariant is our mistake (InternalError,
/// which names it).
Result<PassRun> run_passes(Graph graph, const PassContext& context, const CompileOptions& options,
                           const DumpUnit& dump = {}, Stage last = Stage::Placed);

/// The same, for the graph of primitives that the graph passes make.
Result<Graph> run_graph_passes(Graph graph, const CompileOptions& options = {});

/// The graph as the first run of `pass` finds it.
Graph graph_before(std::string_view pass, Graph graph, const PassContext& context);

/// One pass on a unit that is at a stage which it takes; nothing is verified.
void run_pass(const Pass& pass, FunctionUnit& unit, const PassContext& context);

/// All passes behind `fit_budget`, which tries plans by them: the corridor that every function takes.
FunctionUnit place_function(ScheduledGraph source, const PassContext& context);

}  // namespace smelt
