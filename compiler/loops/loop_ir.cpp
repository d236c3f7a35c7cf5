#include "compiler/loops/loop_ir.h"

#include <fmt/format.h>

#include <algorithm>

namespace smelt {

int64_t Affine::coefficient(int32_t loop) const {
  for (const auto& [term_loop, coefficient] : terms) {
    if (term_loop == loop) return coefficient;
  }
  return 0;
}

Affine operator+(const Affine& a, const Affine& b) {
  Affine sum = a;
  sum.constant += b.constant;
  for (const auto& [loop, coefficient] : b.terms) {
    const auto at = std::ranges::lower_bound(sum.terms, loop, {}, &std::pair<int32_t, int64_t>::first);
    if (at != sum.terms.end() && at->first == loop) {
      at->second += coefficient;
      if (at->second == 0) sum.terms.erase(at);
    } else {
      sum.terms.insert(at, {loop, coefficient});
    }
  }
  return sum;
}

Affine operator*(const Affine& a, int64_t factor) {
  if (factor == 0) return {};
  Affine scaled = a;
  scaled.constant *= factor;
  for (auto& term : scaled.terms) term.second *= factor;
  return scaled;
}

std::vector<ProductOperands> operand_pairs(const Product& product) {
  std::vector<ProductOperands> pairs{product};
  pairs.insert(pairs.end(), product.more.begin(), product.more.end());
  return pairs;
}

}  // namespace smelt
