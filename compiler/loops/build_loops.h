// Fused groups -> loop nests, by iteration kind.
//
// Assumes:  a graph of primitives after `isolate_results`, and its fusion plan.
// Ensures:  a LoopFunction whose kernels compute the plan's stored values in order; temporaries that nobody reads are
//           gone; memory is not planned yet. Buffers are those of the arguments, then of the stored values in the
//           plan's order, then products' own; kernels are the plan's, each product that packs after its pack kernel.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "compiler/loops/choose_tile.h"
#include "compiler/loops/loop_ir.h"
#include "compiler/loops/plan_kernels.h"
#include "ir/graph.h"
#include "ir/plan.h"

namespace smelt {

// Below this many elements times operations one thread is faster than waking another and waiting for it.
inline constexpr double kSerialWork = 16384;

struct BuildOptions {
  VectorRegisters registers;
  int32_t batch_symbol = -1;  // run-time dimension that work is estimated at `batch` of, the others at their bounds
  int64_t batch = 0;
  Blocking blocking;
  double serial_work = kSerialWork;  // 0: every kernel is shared among threads, for trying the sharing on small shapes
};

LoopFunction build_loops(const Graph& graph, const FusionPlan& plan, const std::vector<ScalarInput>& scalars,
                         const BuildOptions& options);

/// The node whose value each buffer holds; of panels and partial sums the product that reads them.
std::vector<NodeId> nodes_of_buffers(const Graph& graph, const FusionPlan& plan, const LoopFunction& function);

}  // namespace smelt
