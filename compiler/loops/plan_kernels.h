// Decides which values are stored in memory and which kernel computes each of them: fusion.
//
// Assumes:  a graph of primitives, without grad, each node reachable from a result; each Variable result has a node
//           of its own (`isolate_results`).
// Ensures:  kernels are in an order in which each reads only what earlier kernels, or its own earlier sweeps, stored;
//           a variable is overwritten only after its last reader and after the loss was computed.
// Leaves:   loops and accesses to `build_loops`.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "compiler/loops/loop_ir.h"
#include "compiler/loops/order_nodes.h"
#include "compiler/options.h"
#include "ir/graph.h"

namespace smelt {

/// Nodes of one pass over the same inner loops.
struct SweepPlan {
  Shape inner;                // extents of the sweep's own loops; empty: statements at the outer point
  std::vector<NodeId> nodes;  // stored nodes: elementwise values, or reductions over `inner`
};

struct KernelPlan {
  KernelKind kind = KernelKind::Nest;
  Shape outer;  // Nest: the shape that all its nodes share as a prefix
  bool vector_outer = false;
  NodeId product;  // Product: the contraction; sweeps[0].nodes are its epilogue
  NodeId scan;     // a loop, whose body is planned by itself; there are no sweeps
  std::vector<SweepPlan> sweeps;
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
  std::vector<NodeId> order;       // all nodes, in the order in which they are computed
  std::vector<bool> stored;        // by node: has a buffer, or a register if nobody reads the buffer
  std::vector<int32_t> kernel_of;  // by node, -1 unless stored
  std::vector<KernelPlan> kernels;
  std::vector<NodeId> guards;  // scalars that must be finite before anything is committed, in the order of `order`
  std::vector<StoreReason> why_stored;  // by node
  std::vector<SplitReason> why_split;   // by node
  std::vector<NodeId> waits_for;        // by node: for WaitsForOther
  std::vector<NodeId> again;            // computed again to save memory, see NodeSchedule::again
};

/// Gives each Variable result, and each result that names an argument, a node of its own, and makes a variable that is
/// still read after its new value is known commit last.
Graph isolate_results(Graph graph);

FusionPlan plan_kernels(const Graph& graph, Fusion fusion = Fusion::Full, const NodeSchedule& schedule = {});
std::string print(const Graph& graph, const FusionPlan& plan);

using IndexVector = std::vector<Affine>;

/// Row-major element number of `index` in `shape`, by bounds.
Affine linear_offset(const IndexVector& index, const Shape& shape);

/// The node whose buffer `node` names: itself, or through reshapes the stored node or argument below.
NodeId alias_root(const Graph& graph, const std::vector<bool>& stored, NodeId node);

/// A cast from a half to f32, which loses nothing: where it is read from memory, the half can be.
bool is_widening(const Graph& graph, NodeId node);

/// The node whose buffer a product reads for `node`, and a reshape that does not keep the index: as `alias_root`, and
/// through widening casts, so that the buffer's dtype may be a half where the node's is f32.
NodeId operand_root(const Graph& graph, const std::vector<bool>& stored, NodeId node);

/// A reshape that only adds or drops axes of size 1.
bool keeps_index(const Graph& graph, const Node& reshape);

/// Index of operand `operand` when `node` is evaluated at `index`. Not for gather's table, nor for reshapes that do
/// not keep the index.
IndexVector operand_index(const Graph& graph, const Node& node, size_t operand, const IndexVector& index);

}  // namespace smelt
