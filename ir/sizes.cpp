#include "ir/sizes.h"

#include <fmt/format.h>

#include <algorithm>

namespace smelt {

bool Size::grows() const {
  return std::ranges::all_of(terms, [](const SizeTerm& term) { return term.factor > 0; });
}

Size operator+(const Size& a, const Size& b) {
  Size sum = a;
  sum.number += b.number;
  for (const SizeTerm& term : b.terms) {
    const auto place = std::ranges::lower_bound(sum.terms, term.symbol, {}, &SizeTerm::symbol);
    if (place == sum.terms.end() || place->symbol != term.symbol) {
      sum.terms.insert(place, term);
    } else {
      place->factor += term.factor;
    }
  }
  std::erase_if(sum.terms, [](const SizeTerm& term) { return term.factor == 0; });
  return sum;
}

Size operator*(const Size& a, int64_t factor) {
  Size product = a;
  product.number *= factor;
  for (SizeTerm& term : product.terms) term.factor *= factor;
  if (factor == 0) product.terms.clear();
  return product;
}

Size operator-(const Size& a, const Size& b) { return a + b * -1; }

Size size_of_symbol(const std::vector<DimSymbol>& symbols, int32_t symbol) {
  const DimSymbol& dim = symbols[static_cast<size_t>(symbol)];
  return dim.follows() ? dim.of : Size{{{symbol, 1}}, 0};
}

std::string name_of(const Size& size, const std::vector<DimSymbol>& symbols) {
  std::string text;
  for (const auto& [symbol, factor] : size.terms) {
    text += factor < 0 ? "-" : text.empty() ? "" : "+";
    if (factor != 1 && factor != -1) text += fmt::format("{}*", factor < 0 ? -factor : factor);
    text += symbols[static_cast<size_t>(symbol)].name;
  }
  if (text.empty() || size.number != 0)
    text += fmt::format("{}{}", size.number >= 0 && !text.empty() ? "+" : "", size.number);
  return text;
}

std::optional<int64_t> largest_of(const Size& size, const std::vector<DimSymbol>& symbols) {
  int64_t sum = size.number;
  for (const auto& [symbol, factor] : size.terms) {
    int64_t part = 0;
    const int64_t bound = symbols[static_cast<size_t>(symbol)].bound;
    if (__builtin_mul_overflow(factor, bound, &part) || __builtin_add_overflow(sum, part, &sum)) return std::nullopt;
  }
  return sum;
}

std::optional<int64_t> least_of(const Size& size) {
  if (!size.grows()) return std::nullopt;
  return evaluated(size, [](int32_t) { return int64_t{1}; });
}

}  // namespace smelt
