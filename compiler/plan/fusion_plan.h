// The fusion plan of a graph: which values are stored in memory, in which order they are computed, and which kernel
// computes each of them.
//
// Three passes fill it in: `choose_stored`, `order_nodes`, `plan_kernels`. `build_loops` makes loops of it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/options.h"
#include "compiler/plan/node_schedule.h"
#include "ir/graph.h"
#include "ir/support/result.h"

namespace smelt {

/// Nodes of one pass over the same inner loops.
struct SweepPlan {
  Shape inner;                // extents of the sweep's own loops; empty: statements at the outer point
  std::vector<NodeId> nodes;  // stored nodes: elementwise values, or reductions over `inner`
};

struct PlannedBody;

/// A nest, unless it has a product or is a loop.
struct KernelPlan {
  Shape outer;              // of a nest: the shape that all its nodes share as a prefix; of a product: the result's
  bool by_columns = false;  // sums of neighbouring points of the last outer axis are taken side by side
  NodeId product;           // the contraction; sweeps[0].nodes are its epilogue
  NodeId scan;              // a loop; there are no sweeps
  std::vector<SweepPlan> sweeps;
  std::shared_ptr<const PlannedBody> body;  // of a loop; never changed, so that copies of a plan share it

  bool is_product() const { return product.valid(); }
};

/// Why a value has memory of its own; a value that has none is computed in registers wherever it is read.
enum class StoreReason : uint8_t {
  InRegisters,
  Result,          // a result of the function
  Sum,             // a sum is complete only after a pass
  ProductOperand,  // products and gathers read it in an order of their own
  Reshaped,        // read under another shape
  Shared,          // several readers, and computing it again would cost more
  Repeated,        // a broadcast reads it many times
  Looped,          // a loop reads it, or gives it
  Deep,            // it ends a long chain of values in registers
  Unfused          // Fusion::None
};

/// Why a stored value is not computed in the kernel of the operand that it reads last.
enum class SplitReason : uint8_t {
  Fused,          // it is, or it reads nothing that a kernel computes
  OwnTiles,       // products and scatters begin a kernel
  WaitsForOther,  // another operand, `FusionPlan::waits_for`, is computed in a later kernel
  SumInProduct,   // a sum cannot be taken in the epilogue of a product
  OtherShape,     // the kernel runs over another shape
  OtherElements,  // it reads elements that another turn of the kernel computes
  KernelFull,     // the kernel makes as many values as one may
  Loop            // loops run by themselves
};

struct FusionPlan {
  Fusion fusion = Fusion::Full;    // bodies of loops are planned with it too
  std::vector<bool> stored;        // by node: has a buffer, or a register if nobody reads the buffer
  std::vector<NodeId> order;       // all nodes, in the order in which they are computed
  std::vector<int32_t> kernel_of;  // by node, -1 unless stored
  std::vector<KernelPlan> kernels;
  std::vector<NodeId> guards;  // scalars that must be finite before anything is committed, in the order of `order`
  std::vector<StoreReason> why_stored;  // by node
  std::vector<SplitReason> why_split;   // by node
  std::vector<NodeId> waits_for;        // by node: for WaitsForOther
  std::vector<NodeId> again;            // computed again to save memory, see NodeSchedule::again
};

/// The body of a loop as a function: its carries are variables, its other results values.
struct PlannedBody {
  Graph graph;
  FusionPlan plan;
};

std::string_view to_string(StoreReason reason);
std::string_view to_string(SplitReason reason);

/// The plan as text, without its graph: what has been filled in so far (plan_text.h describes it).
std::string print(const Graph& graph, const FusionPlan& plan);

/// What is wrong with a plan; empty when nothing is. `order` and `kernels` are looked at once they are there.
///   every node is in the order once, behind its operands
///   a stored node is in one kernel; sweeps hold stored nodes only
std::vector<std::string> verify(const Graph& graph, const FusionPlan& plan);

}  // namespace smelt
