// Affine functions of indices: what every access to memory is made of, in graphs (index_formula.h) and in loops.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace smelt {

/// constant + sum of coefficient * index. Terms are sorted by index and never zero, so that equal functions compare
/// equal. What an index counts is its owner's business: an axis of a result, a loop of a kernel.
struct Affine {
  int64_t constant = 0;
  std::vector<std::pair<int32_t, int64_t>> terms;

  static Affine of(int32_t index, int64_t coefficient = 1) { return {0, {{index, coefficient}}}; }
  int64_t coefficient(int32_t index) const;
  /// Exactly one index, as it is.
  bool is_index() const { return constant == 0 && terms.size() == 1 && terms[0].second == 1; }
  friend bool operator==(const Affine&, const Affine&) = default;
};
Affine operator+(const Affine& a, const Affine& b);
Affine operator+(const Affine& a, int64_t constant);
Affine operator-(const Affine& a, const Affine& b);
Affine operator*(const Affine& a, int64_t factor);

/// `function` with values[k] in the place of index k.
Affine substitute(const Affine& function, std::span<const Affine> values);
/// `function` with `value` in the place of `index`.
Affine substitute(const Affine& function, int32_t index, const Affine& value);

/// The least and the greatest value where index k runs over 0 .. sizes[k] - 1. No size is 0.
struct IndexRange {
  int64_t low = 0, high = 0;
};
IndexRange range_of(const Affine& function, std::span<const int64_t> sizes);

}  // namespace smelt
