// Sizes that show at run time, and the table of run-time dimensions that they are counted in.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace smelt {

/// A run-time dimension, `factor` times.
struct SizeTerm {
  int32_t symbol = 0;
  int64_t factor = 1;

  friend bool operator==(const SizeTerm&, const SizeTerm&) = default;
};

/// A whole number, and run-time dimensions that follow from none: `2*T+U-1`. Terms are in the order of the table, each
/// dimension once, and no factor is 0, so that equal sizes are equal values.
struct Size {
  std::vector<SizeTerm> terms;
  int64_t number = 0;

  bool is_static() const { return terms.empty(); }
  /// No dimension is taken away: the size grows with each of them.
  bool grows() const;
  friend bool operator==(const Size&, const Size&) = default;
};

Size operator+(const Size& a, const Size& b);
Size operator-(const Size& a, const Size& b);
Size operator*(const Size& a, int64_t factor);

/// A run-time dimension: its name in the model file and its bound. Graphs of one experiment share one table.
/// One that follows from others, `T-1` or `T+U`, is in the table as well, behind them: nobody gives its size.
struct DimSymbol {
  std::string name;
  int64_t bound = 0;
  Size of = {};  // for one that follows

  bool follows() const { return !of.is_static(); }
  friend bool operator==(const DimSymbol&, const DimSymbol&) = default;
};

/// What `symbol` is, in dimensions that follow from none.
Size size_of_symbol(const std::vector<DimSymbol>& symbols, int32_t symbol);
/// `2*T+U-1`: the name of a dimension that follows from others.
std::string name_of(const Size& size, const std::vector<DimSymbol>& symbols);
/// What it is when each dimension is as large as it may be; nullopt when that leaves int64.
std::optional<int64_t> largest_of(const Size& size, const std::vector<DimSymbol>& symbols);
/// What it is at least, because no dimension is 0; nullopt where one is taken away.
std::optional<int64_t> least_of(const Size& size);

/// What `size` is where `of_symbol` gives the sizes of dimensions.
template <typename OfSymbol>
int64_t evaluated(const Size& size, const OfSymbol& of_symbol) {
  int64_t sum = size.number;
  for (const SizeTerm& term : size.terms) sum += term.factor * of_symbol(term.symbol);
  return sum;
}

/// Sets the sizes of dimensions that follow from others.
template <typename Sizes>
void set_sizes_that_follow(const std::vector<DimSymbol>& symbols, Sizes& sizes) {
  for (size_t k = 0; k < symbols.size(); ++k) {
    if (symbols[k].follows())
      sizes[k] = evaluated(symbols[k].of, [&](int32_t symbol) { return sizes[static_cast<size_t>(symbol)]; });
  }
}

}  // namespace smelt
