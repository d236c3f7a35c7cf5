// Trades time for space: a function whose memory is over a budget computes values again instead of keeping them.
//
// Assumes:  a graph of primitives after `isolate_results`.
// Ensures:  results keep every bit; the plan that the passes behind this one make is as small as asked for, or the
//           smallest that was found.
#pragma once

#include <cstdint>

#include "compiler/unit.h"

namespace smelt {

inline constexpr int kMaxPlans = 1500;  // of a search: a step of 300 kernels takes 20 ms to plan

/// The source with what is computed again, and when; as it is when there is no budget, or when it is kept anyway.
ScheduledGraph fit_budget(ScheduledGraph source, const PassContext& context);

/// A plan of `function`, which is placed, that ends at byte `budget` of the arena or before; when none is found, the
/// smallest one.
///
/// Greedy: of the values that are kept across the kernels where memory is over the budget, the one is computed again
/// that frees most for what it costs, until the plan fits. Each candidate is planned as a whole, so what counts is
/// measured; no more than `max_plans` are.
FunctionUnit plan_within(const FunctionUnit& function, int64_t budget, const PassContext& context,
                         int max_plans = kMaxPlans);

}  // namespace smelt
