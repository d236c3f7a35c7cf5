// Fused groups -> loop nests and products: what is computed, by iteration kind.
//
// Assumes:  a graph of primitives after `isolate_results`, and its fusion plan.
// Ensures:  a LoopFunction whose kernels compute the plan's stored values in order. Buffers are those of the arguments,
//           then of the stored values in the plan's order; kernels are the plan's.
// Leaves:   how it is computed, and where temporaries lie, to the passes of compiler/schedule; stores that nobody reads
//           to `drop_unread_stores`.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "compiler/loops/loop_ir.h"
#include "compiler/plan/fusion_plan.h"
#include "ir/graph.h"
#include "ir/plan.h"

namespace smelt {

/// What loops are made of beside a graph and its plan.
struct LowerOptions {
  std::span<const ScalarInput> scalars;
  int32_t batch_symbol = -1;  // the run-time dimension that usually has `batch`; the others have their bounds
  int64_t batch = 0;
  DType arithmetic = DType::F32;  // F64 when most values are
  bool bf16_products = false;     // `precision bf16`: a product may round its operands
  bool is_step = false;           // of a loop that a host runs: panels of weights are packed once for all
  int64_t begin = 0;              // the byte of the arena at which temporaries may begin
};

LoopFunction build_loops(const Graph& graph, const FusionPlan& plan, const LowerOptions& options = {});

/// The node whose value each buffer holds; of panels and partial sums the product that reads them, of what lives in a
/// repetition its loop, and of what no kernel touches none.
std::vector<NodeId> nodes_of_buffers(const Graph& graph, const FusionPlan& plan, const LoopFunction& function);

}  // namespace smelt
