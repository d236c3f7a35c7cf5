#include "runtime/data/row_lengths.h"

#include <algorithm>

#include "ir/readers.h"

namespace smelt {
namespace {

constexpr int kLengthBits = 31;  // of a string: two of them are a key

}  // namespace

int64_t RowLengths::size_of(std::span<const int32_t> rows) const {
  int32_t longest = 1;
  for (const int32_t row : rows) longest = std::max(longest, lengths[static_cast<size_t>(row)]);
  return longest + ends;
}

bool have_run_time_dim(std::span<const RowLengths> strings) {
  return std::ranges::any_of(strings, [](const RowLengths& string) { return string.symbol >= 0; });
}

std::vector<int64_t> length_keys(std::span<const RowLengths> strings) {
  if (strings.empty()) return {};
  std::vector<int32_t> symbols;
  for (const RowLengths& string : strings) symbols.push_back(string.symbol);
  std::vector<int64_t> keys(strings.front().lengths.size());
  for (const size_t k : strings_that_sort(symbols)) {
    for (size_t row = 0; row < keys.size(); ++row) keys[row] = (keys[row] << kLengthBits) + strings[k].lengths[row];
  }
  return keys;
}

}  // namespace smelt
