// The reference meaning of a graph, in double, one node after the other: slow and obvious on purpose. Tests compare
// compiled code with it; `smelt train --interp` runs it.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "ir/graph.h"
#include "ir/support/result.h"

namespace smelt {

/// A dense row-major tensor of actual sizes (a run-time extent may be below its bound). Integers and bools are stored
/// as doubles, exact up to 2^53.
struct RefTensor {
  TensorType type;
  std::vector<int64_t> sizes;
  std::vector<double> values;

  int64_t count() const;
};

enum class Rounding : uint8_t {
  None,    // every value stays a double
  Halves,  // results of f16 and bf16 are rounded, the others stay doubles
  ToDType  // each node's result is rounded to its dtype
};
/// The value of a float dtype that is nearest to `value`, ties to even.
double round_to_float(double value, DType dtype);

/// Called with each node's finished values, which it may change: how rounding errors are modelled (fuzz/error_bound.h).
using AdjustValues = std::function<void(const Node&, std::span<const RefTensor* const> operands, RefTensor& result)>;

/// Which of an op's two formulas elementwise ops and reductions use.
enum class Formula : uint8_t {
  Reference,  // in double
  Body        // the scalar body in the node's dtype: the arithmetic of compiled code, one element after the other
};

/// Sees each value once, in the order of evaluation; operands and result are gone after the call.
class EvalWatcher {
 public:
  virtual ~EvalWatcher() = default;
  virtual void on_node(NodeId id, std::span<const RefTensor* const> operands, const RefTensor& result) = 0;
};

struct EvalOptions {
  Rounding rounding = Rounding::None;
  AdjustValues adjust;  // before the watcher
  Formula formula = Formula::Reference;
  EvalWatcher* watcher = nullptr;
};

/// An elementwise op on one element of each operand, as `formula` says; `args` are values of the operands' dtypes.
double evaluate_element(const Graph& graph, NodeId id, std::span<const double> args, Formula formula);

/// sizes of `shape` when symbol k has the actual size extents[k].
std::vector<int64_t> actual_sizes(const Shape& shape, std::span<const int64_t> extents);

/// Evaluates the nodes that results need; `arguments` in the graph's order, results in the graph's order. Composites
/// are expanded on the fly; `grad` must be gone. Errors (RunTime): an index out of range in gather or scatter.
Result<std::vector<RefTensor>> evaluate(const Graph& graph, std::span<const RefTensor> arguments,
                                        std::span<const int64_t> extents, const EvalOptions& options = {});

}  // namespace smelt
