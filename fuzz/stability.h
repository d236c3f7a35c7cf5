// Is the value of one node, at its operands' values, a matter of rounding?
#pragma once

#include <span>

#include "fuzz/numbers.h"
#include "ir/evaluator.h"
#include "ir/graph.h"

namespace smelt::fuzz {

/// False when the node's value or its derivatives change out of proportion as the float operands move by about 1e-4: a
/// kink, a jump or a pole is near. `operands` are the values of the node's inputs.
bool is_stable(const Graph& graph, NodeId id, std::span<const RefTensor* const> operands,
               std::span<const int64_t> extents, const RefTensor& value, Numbers& numbers);

/// The node's value from its operands' values; an Error when an index is out of range.
Result<RefTensor> value_of(const Graph& graph, NodeId id, std::span<const RefTensor* const> operands,
                           std::span<const int64_t> extents);

}  // namespace smelt::fuzz
