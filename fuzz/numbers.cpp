#include "fuzz/numbers.h"

#include <cmath>

namespace smelt::fuzz {

uint64_t Numbers::next() {
  uint64_t z = state_ += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

double Numbers::uniform(double low, double high) {
  return low + (high - low) * std::ldexp(static_cast<double>(next() >> 11), -53);
}

int64_t Numbers::integer(int64_t low, int64_t high) {
  return low + static_cast<int64_t>(next() % static_cast<uint64_t>(high - low + 1));
}

RefTensor Numbers::tensor(const TensorType& type, std::span<const int64_t> extents, double low, double high,
                          double away_from_zero) {
  RefTensor tensor{type, actual_sizes(type.shape, extents), {}};
  const auto count = static_cast<size_t>(tensor.count());
  while (tensor.values.size() < count) {
    double value = 0;
    switch (class_of(type.dtype)) {
      case DTypeClass::Bool: value = static_cast<double>(integer(0, 1)); break;
      case DTypeClass::Int: value = static_cast<double>(integer(std::lround(low), std::lround(high))); break;
      case DTypeClass::Float:
        value = uniform(low, high);
        value = round_to_float(value, type.dtype);
        if (std::fabs(value) < away_from_zero) continue;
        break;
    }
    tensor.values.push_back(value);
  }
  return tensor;
}

}  // namespace smelt::fuzz
