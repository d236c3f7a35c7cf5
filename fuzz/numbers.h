// Deterministic numbers for generated graphs and samples of ops: the same seed gives the same ones everywhere.
#pragma once

#include <cstdint>
#include <span>

#include "ir/evaluator.h"

namespace smelt::fuzz {

class Numbers {
 public:
  explicit Numbers(uint64_t seed) : state_(seed) {}
  uint64_t next();  // SplitMix64
  double uniform(double low, double high);
  int64_t integer(int64_t low, int64_t high);  // both included
  bool chance(double probability) { return uniform(0, 1) < probability; }
  template <typename List>
  const auto& pick(const List& list) {
    return list[static_cast<size_t>(integer(0, static_cast<int64_t>(std::size(list)) - 1))];
  }
  /// A tensor of `type` at the given extents: floats uniform in low..high, integers whole numbers in it,
  /// bools either.
  RefTensor tensor(const TensorType& type, std::span<const int64_t> extents, double low = -2, double high = 2,
                   double away_from_zero = 0);

 private:
  uint64_t state_;
};

}  // namespace smelt::fuzz
