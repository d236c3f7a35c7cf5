// Trades time for space: a function whose memory is over a budget computes values again instead of keeping them.
//
// Assumes:  a graph of primitives after `isolate_results`.
// Ensures:  results keep every bit; the plan is as small as asked for, or the smallest that was found.
#pragma once

#include <cstdint>
#include <vector>

#include "compiler/loops/build_loops.h"
#include "compiler/loops/loop_ir.h"
#include "compiler/loops/recompute.h"
#include "ir/plan.h"

namespace smelt {

// Values up to this size are kept: they are not what fills memory.
inline constexpr int64_t kSmallBytes = 4096;

/// What every plan of one function is made with.
struct PlanContext {
  const std::vector<ScalarInput>& scalars;
  BuildOptions build;
  int64_t begin = 0;  // the byte of the arena at which temporaries begin
  Fusion fusion = Fusion::Full;
  int64_t small_bytes = kSmallBytes;  // little, for trying budgets on small shapes
};

/// One function, planned: its graph, what runs where, and how much memory it takes.
struct PlannedFunction {
  ScheduledGraph source;
  FusionPlan fusion;
  LoopFunction loops;
  int64_t end = 0;              // bytes: the end of the last temporary
  double flops = 0, bytes = 0;  // of all kernels, see BuildOptions
};

PlannedFunction plan_function(ScheduledGraph source, const PlanContext& context);

/// A plan of `function` that ends at byte `budget` of the arena or before; when none is found, the smallest one.
///
/// Greedy: of the values that are kept across the kernels where memory is over the budget, the one is computed again
/// that frees most for what it costs, until the plan fits. Each candidate is planned as a whole, so what counts is
/// measured.
PlannedFunction fit_budget(const PlannedFunction& function, int64_t budget, const PlanContext& context);

}  // namespace smelt
