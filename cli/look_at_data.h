// What `smelt check --data` says of data: rows, ranges, classes, and a picture of the first batch.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "ir/experiment.h"
#include "runtime/data/dataset.h"

namespace smelt::cli {

struct ColumnLook {
  std::string field;  // `field(0)`, `row()`
  DType dtype = DType::U8;
  std::vector<int64_t> shape;  // of a row
  double low = 0, high = 0, mean = 0;
  int64_t num_nonfinite = 0;              // left out of the three above
  std::vector<int64_t> counts;            // of labels: rows of each class
  std::vector<std::string> classes = {};  // their names, where they have some
};
/// Of the strings of a run-time dim.
struct LengthLook {
  std::string dim;
  int64_t bound = 0;
  int64_t least = 0, most = 0;
  double mean = 0;
  int64_t batch = 0;  // rows of a batch
  double places = 0;  // that a row takes in the batches of the first epoch
};
struct SplitLook {
  std::string name;
  int64_t rows = 0;
  std::vector<std::string> places;
  std::vector<ColumnLook> columns;
  std::vector<LengthLook> lengths;
};

/// Errors: those of Batches.
Result<SplitLook> look_at(const Experiment& experiment, const Dataset& set);
void print(const SplitLook& look);
nlohmann::json as_json(const SplitLook& look);

/// Writes the pictures of the batch that training begins with, as the files hold them. Errors: Input when no column
/// holds pictures; Output.
Result<void> draw_first_batch(const Experiment& experiment, std::span<const Dataset> sets, const std::string& path,
                              const Limits& limits);

}  // namespace smelt::cli
