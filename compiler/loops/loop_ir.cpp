#include "compiler/loops/loop_ir.h"

#include <fmt/format.h>

#include <algorithm>

namespace smelt {

int32_t repeat_of(const LoopFunction& function, size_t kernel) {
  int32_t innermost = -1;  // outer ones come first
  for (size_t r = 0; r < function.repeats.size(); ++r) {
    const Repeat& repeat = function.repeats[r];
    const auto k = static_cast<int32_t>(kernel);
    if (repeat.first <= k && k < repeat.last) innermost = static_cast<int32_t>(r);
  }
  return innermost;
}

std::vector<ProductOperands> operand_pairs(const Product& product) {
  std::vector<ProductOperands> pairs{product};
  pairs.insert(pairs.end(), product.more.begin(), product.more.end());
  return pairs;
}

}  // namespace smelt
