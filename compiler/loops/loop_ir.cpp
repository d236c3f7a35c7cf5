#include "compiler/loops/loop_ir.h"

#include <fmt/format.h>

#include <algorithm>

namespace smelt {

std::vector<ProductOperands> operand_pairs(const Product& product) {
  std::vector<ProductOperands> pairs{product};
  pairs.insert(pairs.end(), product.more.begin(), product.more.end());
  return pairs;
}

}  // namespace smelt
