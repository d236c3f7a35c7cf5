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
  ToDType  // each node's result is rounded to its dtype
};

/// Called with each node's finished values, which it may change: how rounding errors are modelled (fuzz/error_bound.h).
using AdjustValues = std::function<void(const Node&, std::span<const RefTensor* const> operands, RefTensor& result)>;

struct EvalOptions {
  Rounding rounding = Rounding::None;
  AdjustValues adjust;
};

/// sizes of `shape` when symbol k has the actual size extents[k].
std::vector<int64_t> actual_sizes(const Shape& shape, std::span<const int64_t> extents);

/// Evaluates all nodes; `arguments` in the graph's order, results in the graph's order. Composites are expanded on the
/// fly; `grad` must be gone. Errors (RunTime): an index out of range in gather or scatter.
Result<std::vector<RefTensor>> evaluate(const Graph& graph, std::span<const RefTensor> arguments,
                                        std::span<const int64_t> extents, const EvalOptions& options = {});

}  // namespace smelt
