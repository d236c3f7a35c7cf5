// Orders of a value's axes in memory.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

namespace smelt {

/// Axis i in memory is axis order[i] of the value as the model has it.
using AxisOrder = std::vector<int64_t>;

inline AxisOrder in_order(size_t rank) {
  AxisOrder order(rank);
  std::iota(order.begin(), order.end(), 0);
  return order;
}
inline bool is_in_order(const AxisOrder& order) { return std::ranges::is_sorted(order); }

inline AxisOrder inverse(const AxisOrder& order) {
  AxisOrder inverted(order.size());
  for (size_t i = 0; i < order.size(); ++i) inverted[static_cast<size_t>(order[i])] = static_cast<int64_t>(i);
  return inverted;
}

/// items[order[0]], items[order[1]], ..
template <typename Items>
Items arranged(const Items& items, const AxisOrder& order) {
  Items result;
  for (const int64_t place : order) result.push_back(items[static_cast<size_t>(place)]);
  return result;
}

}  // namespace smelt
