// Finds the node where a NaN or an infinity of some results was born: the first one, in the order of evaluation, that
// made one from finite operands and whose bad elements the results depend on. An infinity that vanishes again, as in
// 1 / (1 + exp(x)), is no origin, and neither is the branch that a `select` does not take.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "ir/evaluator.h"

namespace smelt {

/// The finite values of one tensor. `low` > `high` when there are none.
struct ValueRange {
  NodeId node;
  double low = 0, high = 0;
  int64_t num_bad = 0;       // NaN and infinite elements
  std::optional<double> at;  // the element from which the first bad one was computed, of an elementwise op
};

struct NonFiniteOrigin {
  NodeId node;
  std::vector<int64_t> sizes;  // of its value
  std::vector<int64_t> first;  // index of the first bad element, row-major
  double value = 0;            // that element
  int64_t num_bad = 0, num_elements = 0;
  std::vector<ValueRange> operands;
};

struct NonFiniteSearch {
  std::optional<NonFiniteOrigin> origin;  // empty: all results came out finite
  std::vector<size_t> bad_results;        // those that are not finite, as positions in the graph's results
  std::vector<size_t> reached;            // the bad results that depend on the origin
  std::vector<ValueRange> widest;  // the values nearest to their dtype's limit, at most three, when `origin` is empty
};

/// Evaluates `graph`, of primitives, with results rounded to their dtypes. Errors: as `evaluate`.
Result<NonFiniteSearch> find_nonfinite(const Graph& graph, std::span<const RefTensor> arguments,
                                       std::span<const int64_t> extents, Formula formula);

}  // namespace smelt
