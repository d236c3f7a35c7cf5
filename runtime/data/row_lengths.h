// The lengths of a data set's rows: what a batch is as long as, and what batches of like length are made by.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace smelt {

/// Of one string of each row.
struct RowLengths {
  std::vector<int32_t> lengths;  // bytes or subwords, by row
  int32_t symbol = -1;           // the run-time dim that is as long as the longest string of a batch; -1: of fixed size
  int64_t ends = 0;              // zeros behind each string that belong to it

  /// The size of the dim for a batch of these rows.
  int64_t size_of(std::span<const int32_t> rows) const;
};

/// A number for each row, by which rows of like length are neighbours: the strings of run-time dims count, or all where
/// there is none; the first one before the second. Empty without lengths.
std::vector<int64_t> length_keys(std::span<const RowLengths> strings);

/// Whether a batch is as long as its longest row.
bool have_run_time_dim(std::span<const RowLengths> strings);

}  // namespace smelt
