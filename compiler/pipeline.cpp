#include "compiler/pipeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "compiler/graph/choose_layouts.h"
#include "compiler/graph/choose_sum_forms.h"
#include "compiler/graph/differentiate.h"
#include "compiler/graph/expand_composites.h"
#include "compiler/graph/fold_constants.h"
#include "compiler/graph/hoist_from_scans.h"
#include "compiler/graph/join_products.h"
#include "compiler/graph/merge_equal_nodes.h"
#include "compiler/graph/pad_outside_reads.h"
#include "compiler/graph/remove_dead_nodes.h"
#include "compiler/graph/simplify.h"
#include "compiler/graph/stabilize.h"
#include "compiler/graph/trim_scans.h"
#include "compiler/graph/widen_halves.h"
#include "ir/scan.h"
#include "ir/support/check.h"
#include "ir/support/printable.h"
#include "ir/support/suggest.h"

namespace smelt {
namespace {

constexpr GraphPass kPasses[] = {
#define PASS(function, before, latest, after, needed, doc)                                              \
  {#function, doc, GraphStage::before, GraphStage::latest, GraphStage::after, needed, [](Graph graph) { \
     return function(std::move(graph));                                                                 \
   }},
#include "compiler/passes.def"
#undef PASS
};

constexpr const GraphPass* find(std::string_view name) {
  for (const GraphPass& pass : kPasses) {
    if (pass.name == name) return &pass;
  }
  return nullptr;
}

constexpr std::array<std::string_view, 29> kPipeline = {
    // On the model as it was written: bring formulas to the form that the next pass looks for.
    "isolate_variables", "simplify", "stabilize", "simplify",
    // To primitives, and away with what only the composites needed.
    "differentiate", "trim_scans", "expand_composites", "widen_halves", "remove_dead_nodes",
    // Twice: merging nodes gives `simplify` equal operands, and simplifying makes new constants and equal
    // nodes.
    "fold_constants", "simplify", "merge_equal_nodes", "remove_dead_nodes",  //
    "hoist_from_scans", "fold_constants", "simplify", "merge_equal_nodes", "remove_dead_nodes",
    // The form that runs fastest, now that nothing looks for sums any more.
    "choose_layouts", "simplify", "merge_equal_nodes", "pad_outside_reads", "choose_sum_forms", "fold_constants",
    "simplify", "merge_equal_nodes", "remove_dead_nodes",
    // Last, since no rewrite looks into them.
    "join_products", "remove_dead_nodes"};

constexpr bool stages_match() {
  GraphStage stage = GraphStage::Any;
  for (const std::string_view name : kPipeline) {
    const GraphPass* pass = find(name);
    if (pass == nullptr || !pass->may_run_on(stage)) return false;
    if (pass->changes_stage()) stage = pass->after;
  }
  return stage == GraphStage::Primitive;
}
static_assert(stages_match(), "a pass of the pipeline runs on a stage that is not its own");

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

bool equal_nodes(const Graph& a, const Graph& b) {
  return std::ranges::equal(a.nodes, b.nodes, [](const Node& x, const Node& y) {
    return x.op == y.op && x.inputs == y.inputs && x.attrs == y.attrs && x.type == y.type;
  });
}

void check(const Graph& graph, GraphStage stage, std::string_view when) {
  const std::vector<std::string> violations = verify(graph, stage);
  SMELT_CHECK(violations.empty(), "graph `{}` {} breaks {} invariants: {}", graph.name, when, violations.size(),
              fmt::join(violations, "; "));
}

Result<void> check_options(const CompileOptions& options) {
  const auto known = [](std::string_view name) -> Result<const GraphPass*> {
    if (const GraphPass* pass = find(name)) return pass;
    std::vector<std::string_view> names;
    for (const GraphPass& pass : kPasses) names.push_back(pass.name);
    return fail(ErrorKind::Usage, fmt::format("no pass `{}`", printable(name)), suggest(name, names));
  };
  for (const std::string& name : options.dump_after) {
    if (name != "all") SMELT_TRY_VOID(known(name));
  }
  if (!options.stop_after.empty()) SMELT_TRY_VOID(known(options.stop_after));
  for (const std::string& name : options.skip) {
    SMELT_TRY(const GraphPass* pass, known(name));
    if (!pass->needed.empty()) {
      return fail(ErrorKind::Usage, fmt::format("pass `{}` cannot be left out: {}", name, pass->needed));
    }
  }
  return {};
}

}  // namespace

std::span<const GraphPass> all_graph_passes() { return kPasses; }
const GraphPass* find_graph_pass(std::string_view name) { return find(name); }
std::span<const std::string_view> graph_pipeline() { return kPipeline; }

Result<PipelineResult> run_graph_pipeline(Graph graph, const CompileOptions& options, const DumpGraph& dump) {
  using Clock = std::chrono::steady_clock;
  SMELT_TRY_VOID(check_options(options));
  if (options.verify != VerifyLevel::Off) check(graph, GraphStage::Any, "as it comes in");

  PipelineResult result{std::move(graph), GraphStage::Any, {}};
  int number = 0;
  for (const std::string_view name : kPipeline) {
    if (contains(options.skip, name)) continue;
    const GraphPass& pass = *find(name);
    const Graph before = result.graph;
    const Clock::time_point start = Clock::now();
    result.graph = pass.run(change_bodies(std::move(result.graph), pass.run));
    const std::chrono::duration<double, std::milli> elapsed = Clock::now() - start;
    if (pass.changes_stage()) result.stage = pass.after;
    result.reports.push_back(
        {pass.name, elapsed.count(), before.size(), result.graph.size(), !equal_nodes(before, result.graph)});

    if (options.verify == VerifyLevel::EachPass) check(result.graph, result.stage, fmt::format("after `{}`", name));
    const bool wanted = contains(options.dump_after, "all") || contains(options.dump_after, name);
    if (dump && wanted) dump(number, name, result.graph);
    ++number;
    if (name == options.stop_after) break;
  }
  if (options.verify == VerifyLevel::Ends) check(result.graph, result.stage, "after the last pass");
  return result;
}

}  // namespace smelt
