#include "compiler/passes.h"

#include <fmt/format.h>

#include <array>
#include <concepts>
#include <utility>

#include "compiler/fit_budget.h"
#include "compiler/graph/choose_layouts.h"
#include "compiler/graph/choose_sum_forms.h"
#include "compiler/graph/derive_steps.h"
#include "compiler/graph/differentiate.h"
#include "compiler/graph/expand_composites.h"
#include "compiler/graph/fold_constants.h"
#include "compiler/graph/hoist_from_scans.h"
#include "compiler/graph/join_products.h"
#include "compiler/graph/merge_equal_nodes.h"
#include "compiler/graph/pad_outside_reads.h"
#include "compiler/graph/remove_dead_nodes.h"
#include "compiler/graph/simplify.h"
#include "compiler/graph/split_large_values.h"
#include "compiler/graph/stabilize.h"
#include "compiler/graph/sum_windows.h"
#include "compiler/graph/touch_rows.h"
#include "compiler/graph/trim_scans.h"
#include "compiler/graph/widen_halves.h"
#include "compiler/lower/drop_unread_stores.h"
#include "compiler/lower/estimate_work.h"
#include "compiler/lower/merge_loops.h"
#include "compiler/lower/step_in_kernels.h"
#include "compiler/lower/write_rows.h"
#include "compiler/plan/choose_stored.h"
#include "compiler/plan/isolate_results.h"
#include "compiler/plan/lower_precision.h"
#include "compiler/plan/move_sums_up.h"
#include "compiler/plan/order_nodes.h"
#include "compiler/plan/plan_kernels.h"
#include "compiler/schedule/back_substitute.h"
#include "compiler/schedule/block_products.h"
#include "compiler/schedule/block_transposes.h"
#include "compiler/schedule/copy_columns.h"
#include "compiler/schedule/pack_operands.h"
#include "compiler/schedule/pair_products.h"
#include "compiler/schedule/plan_memory.h"
#include "compiler/schedule/share_kernels.h"
#include "compiler/schedule/tile_products.h"
#include "compiler/schedule/vectorize.h"
#include "compiler/schedule/write_in_place.h"
#include "ir/scan.h"
#include "ir/support/printable.h"
#include "ir/support/suggest.h"

namespace smelt {
namespace {

/// What a pass does to a unit follows from what its function takes and gives.
template <typename Function>
void apply(const Function& function, FunctionUnit& unit, const PassContext& context) {
  Graph& graph = unit.source.graph;
  const NodeSchedule& schedule = unit.source.schedule;
  if constexpr (std::invocable<Function, Graph>) {
    graph = function(std::move(graph));
  } else if constexpr (std::invocable<Function, Graph, DType, Rounds>) {
    graph = function(std::move(graph), context.precision, context.rounds);
  } else if constexpr (std::invocable<Function, ScheduledGraph, const PassContext&>) {
    unit.source = function(std::move(unit.source), context);
  } else if constexpr (std::invocable<Function, const Graph&, const NodeSchedule&, Fusion>) {
    unit.plan = function(graph, schedule, context.fusion);
  } else if constexpr (std::invocable<Function, const Graph&, const NodeSchedule&, FusionPlan>) {
    unit.plan = function(graph, schedule, std::move(unit.plan));
  } else if constexpr (std::invocable<Function, const Graph&, const FusionPlan&, const LowerOptions&>) {
    unit.loops = function(graph, unit.plan, context.lower);
  } else if constexpr (std::invocable<Function, LoopFunction>) {
    unit.loops = function(std::move(unit.loops));
  } else {
    unit.loops = function(std::move(unit.loops), context.target);
  }
}

template <typename Function>
constexpr Pass make_pass(std::string_view name, Stage before, Stage latest, Stage after, std::string_view needed,
                         std::string_view doc, Function) {
  Pass pass{name, doc, before, latest, after, needed, nullptr, nullptr};
  if constexpr (std::invocable<Function, Graph>) {
    if (after <= Stage::Primitive) pass.rewrite = [](Graph graph) { return Function{}(std::move(graph)); };
  }
  pass.run = [](FunctionUnit& unit, const PassContext& context) { apply(Function{}, unit, context); };
  return pass;
}

constexpr Pass kPasses[] = {
#define PASS(function, before, latest, after, needed, doc)                                          \
  make_pass(#function, Stage::before, Stage::latest, Stage::after, needed, doc,                     \
            [](auto&&... values) -> decltype(function(std::forward<decltype(values)>(values)...)) { \
              return function(std::forward<decltype(values)>(values)...);                           \
            }),
#include "compiler/passes.def"
#undef PASS
};

constexpr const Pass* find(std::string_view name) {
  for (const Pass& pass : kPasses) {
    if (pass.name == name) return &pass;
  }
  return nullptr;
}

constexpr std::array kPipeline = std::to_array<std::string_view>(
    {// On the model as it was written: bring formulas to the form that the next pass looks for.
     "isolate_variables", "simplify", "stabilize", "simplify",
     // To primitives, and away with what only the composites needed.
     "differentiate", "trim_scans", "expand_composites", "widen_halves", "remove_dead_nodes",
     // Twice: merging nodes gives `simplify` equal operands, and simplifying makes new constants and equal
     // nodes.
     "fold_constants", "simplify", "merge_equal_nodes", "remove_dead_nodes", "derive_steps", "hoist_from_scans",
     "fold_constants", "simplify", "merge_equal_nodes", "remove_dead_nodes",
     // Behind what would take its loops apart again.
     "split_large_values", "remove_dead_nodes", "touch_rows",
     // The form that runs fastest, now that nothing looks for sums any more.
     "sum_windows", "choose_layouts", "simplify", "merge_equal_nodes", "pad_outside_reads", "choose_sum_forms",
     "fold_constants", "simplify", "merge_equal_nodes", "remove_dead_nodes",
     // Last, since no rewrite looks into them.
     "join_products", "remove_dead_nodes",
     // Which kernels there are. The budget tries plans by all passes behind it.
     "isolate_results", "lower_precision", "fit_budget", "choose_stored", "order_nodes", "move_sums_up", "plan_kernels",
     // What they compute. Stores that nobody reads count as work, as they did when limits were measured.
     "build_loops", "step_in_kernels", "write_rows", "estimate_work", "share_kernels", "drop_unread_stores",
     "merge_loops", "block_transposes",
     // How. Blocks come before pairs, which do not pass in blocks; panels after all that decides what they hold.
     "back_substitute", "vectorize", "tile_products", "block_products", "pair_products", "pack_operands",
     "copy_columns",
     // Where, when every kernel is there.
     "write_in_place", "plan_memory"});

constexpr bool stages_match() {
  Stage stage = Stage::Any;
  for (const std::string_view name : kPipeline) {
    const Pass* pass = find(name);
    if (pass == nullptr || !pass->may_run_on(stage)) return false;
    if (pass->changes_stage()) stage = pass->after;
  }
  return stage == Stage::Placed;
}
static_assert(stages_match(), "a pass of the pipeline runs on a stage that is not its own");

}  // namespace

std::span<const Pass> all_passes() { return kPasses; }
const Pass* find_pass(std::string_view name) { return find(name); }
std::span<const std::string_view> pipeline() { return kPipeline; }

std::vector<const Pass*> graph_passes() {
  std::vector<const Pass*> passes;
  for (const Pass& pass : kPasses) {
    if (pass.rewrite != nullptr) passes.push_back(&pass);
  }
  return passes;
}

Result<const Pass*> pass_named(std::string_view name) {
  if (const Pass* pass = find(name)) return pass;
  std::vector<std::string_view> names;
  for (const Pass& pass : kPasses) names.push_back(pass.name);
  return fail(ErrorKind::Usage, fmt::format("no pass `{}`", printable(name)), suggest(name, names));
}

}  // namespace smelt
