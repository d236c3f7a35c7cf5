#include "runtime/data/row_lengths.h"

#include <algorithm>

namespace smelt {
namespace {

constexpr int kLengthBits = 31;  // of a string: two of them are a key

bool is_run_time(const RowLengths& string) { return string.symbol >= 0; }

}  // namespace

int64_t RowLengths::size_of(std::span<const int32_t> rows) const {
  int32_t longest = 1;
  for (const int32_t row : rows) longest = std::max(longest, lengths[static_cast<size_t>(row)]);
  return longest + ends;
}

bool have_run_time_dim(std::span<const RowLengths> strings) { return std::ranges::any_of(strings, is_run_time); }

std::vector<int64_t> length_keys(std::span<const RowLengths> strings) {
  if (strings.empty()) return {};
  const bool all = !have_run_time_dim(strings);
  std::vector<int64_t> keys(strings.front().lengths.size());
  for (const RowLengths& string : strings) {
    if (!all && !is_run_time(string)) continue;
    for (size_t row = 0; row < keys.size(); ++row) keys[row] = (keys[row] << kLengthBits) + string.lengths[row];
  }
  return keys;
}

}  // namespace smelt
