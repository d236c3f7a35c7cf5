// Carries that are linear in themselves: next = a * value + b, with an `a` that no turn changes and a `b` that does not
// depend on the carry.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "compiler/loops/loop_ir.h"

namespace smelt {

struct LinearCarry {
  std::vector<size_t> path;      // statements of the body from `value` to `next`: sums, differences, products
  std::set<int32_t> values;      // `value`, and what the path computes
  bool is_read = false;          // a statement that is not on the path reads `value` or `next`
  std::optional<double> factor;  // `a`, where it is a constant

  /// Of a statement of the path, the operand that is not.
  int32_t other(const Stmt& stmt) const { return stmt.operands[values.contains(stmt.operands[0]) ? 1 : 0]; }
};

/// What a sweep's body computes that is the same in all turns, at all points and in all threads.
std::set<int32_t> invariant_values(const Kernel& kernel, const Sweep& sweep);

/// All carries of a sweep, in their order; nothing when one of them is not linear, or when they need each other in a
/// circle.
std::optional<std::vector<LinearCarry>> linear_carries(const Kernel& kernel, const Sweep& sweep);

}  // namespace smelt
