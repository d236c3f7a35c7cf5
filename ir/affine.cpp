#include "ir/affine.h"

namespace smelt {

int64_t Affine::coefficient(int32_t index) const {
  for (const auto& [term_index, factor] : terms) {
    if (term_index == index) return factor;
  }
  return 0;
}

Affine operator+(const Affine& a, const Affine& b) {
  Affine sum{a.constant + b.constant, {}};
  size_t i = 0, j = 0;
  while (i < a.terms.size() || j < b.terms.size()) {
    if (j == b.terms.size() || (i < a.terms.size() && a.terms[i].first < b.terms[j].first)) {
      sum.terms.push_back(a.terms[i++]);
    } else if (i == a.terms.size() || b.terms[j].first < a.terms[i].first) {
      sum.terms.push_back(b.terms[j++]);
    } else {
      const int64_t factor = a.terms[i].second + b.terms[j++].second;
      if (factor != 0) sum.terms.emplace_back(a.terms[i].first, factor);
      ++i;
    }
  }
  return sum;
}

Affine operator+(const Affine& a, int64_t constant) { return {a.constant + constant, a.terms}; }

Affine operator-(const Affine& a, const Affine& b) { return a + b * -1; }

Affine operator*(const Affine& a, int64_t factor) {
  if (factor == 0) return {};
  Affine product{a.constant * factor, a.terms};
  for (auto& [index, coefficient] : product.terms) coefficient *= factor;
  return product;
}

Affine substitute(const Affine& function, std::span<const Affine> values) {
  Affine result{function.constant, {}};
  for (const auto& [index, factor] : function.terms) result = result + values[static_cast<size_t>(index)] * factor;
  return result;
}

Affine substitute(const Affine& function, int32_t index, const Affine& value) {
  const int64_t factor = function.coefficient(index);
  return factor == 0 ? function : function - Affine::of(index, factor) + value * factor;
}

IndexRange range_of(const Affine& function, std::span<const int64_t> sizes) {
  IndexRange range{function.constant, function.constant};
  for (const auto& [index, factor] : function.terms) {
    const int64_t reach = factor * (sizes[static_cast<size_t>(index)] - 1);
    (reach < 0 ? range.low : range.high) += reach;
  }
  return range;
}

}  // namespace smelt
