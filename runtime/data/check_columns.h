// What a model file says of its data, compared with what they hold: labels below the size of their dim, values in their
// range.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "runtime/data/dataset.h"

namespace smelt {

/// How messages name a column's file and one of its rows.
struct ColumnPlaces {
  bool is_table = false;                       // of numbers in text: columns are f32
  std::function<std::string(int32_t)> path;    // by column of the plan
  std::function<std::string(int32_t)> column;  // likewise: "" or ": column `kind`"
  std::function<std::string(int64_t)> row;     // "row 3" of its file, "row 3 (`cat.png`)"
  std::string counting;                        // "rows count from 0"
};

/// That a label is none of its dim. `place` is its file and row, `counting` as in ColumnPlaces.
std::unexpected<Error> outside_of_dim(const std::string& place, double value, const ColumnLimit& limit,
                                      const std::string& counting);

/// The columns of one section. Errors: Input (file, row, value).
Result<void> check_columns(const DataPlan& plan, int32_t section, const std::vector<LoadedColumn>& columns,
                           const ColumnPlaces& places);

}  // namespace smelt
