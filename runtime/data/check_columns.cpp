#include "runtime/data/check_columns.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "ir/support/printable.h"

namespace smelt {
namespace {

constexpr double kMaxWholeFloat = 0x1p24;  // above it f32 skips whole numbers

double element_of(const LoadedColumn& column, int64_t index) {
  return load_element(column.dtype, column.data.data() + index * size_of(column.dtype));
}

int64_t count_of_elements(const LoadedColumn& column) {
  return static_cast<int64_t>(column.data.size()) / size_of(column.dtype);
}

int64_t elements_in_a_row(const LoadedColumn& column) {
  return std::max<int64_t>(count_of_elements(column) / std::max<int64_t>(column.rows, 1), 1);
}

class ColumnChecks {
 public:
  ColumnChecks(const DataPlan& plan, const std::vector<LoadedColumn>& columns, const ColumnPlaces& places)
      : plan_(plan), columns_(columns), places_(places) {}

  Result<void> labels(const ColumnLimit& limit) const {
    const LoadedColumn& column = columns_[static_cast<size_t>(limit.column)];
    if (column.dtype == DType::U8 && limit.below > 255) return {};
    const int64_t per_row = elements_in_a_row(column);
    for (int64_t i = 0; i < count_of_elements(column); ++i) {
      const double value = element_of(column, i);
      const bool whole = value == std::floor(value) && (column.dtype != DType::F32 || value <= kMaxWholeFloat);
      if (whole && value >= 0 && value < static_cast<double>(limit.below)) continue;
      const int32_t field = plan_.columns[static_cast<size_t>(limit.column)].field;
      const std::string place = places_.field_is_file ? "" : fmt::format(", in column {}", std::max(field, 0));
      return fail(ErrorKind::Input,
                  fmt::format("{}: row {}{}: {} is not in 0..{}, the range of `{}` ({}){}",
                              printable(places_.path(limit.column)), i / per_row, places_.row_name(i / per_row), value,
                              limit.below - 1, limit.dim, limit.below, place),
                  whole ? fmt::format("make `{}` larger or mend the file; rows count from 0", limit.dim)
                        : "labels are whole numbers; rows count from 0",
                  limit.span);
    }
    return {};
  }

  /// NaN is outside of no range: a note tells of it.
  Result<void> range(const ColumnRange& stated) const {
    const LoadedColumn& column = columns_[static_cast<size_t>(stated.column)];
    if (column.dtype == DType::U8 && holds(stated, 0) && holds(stated, 255)) return {};
    const int64_t per_row = elements_in_a_row(column), end = stated.end > 0 ? stated.end : per_row;
    int64_t first = -1;
    double low = std::numeric_limits<double>::infinity(), high = -low;
    for (int64_t i = 0; i < count_of_elements(column); ++i) {
      if (i % per_row < stated.begin || i % per_row >= end) continue;
      const double raw = element_of(column, i);
      if (first < 0 && !holds(stated, raw)) first = i;
      const double value = raw * stated.scale + stated.offset;
      low = value < low ? value : low;
      high = value > high ? value : high;
    }
    if (first < 0) return {};
    const bool scales = low >= stated.range.low && high > 0 && stated.range.high > 0;  // then a division is enough
    return fail(
        ErrorKind::Input,
        fmt::format("{}: row {}{}: `{}` is {:.6g}, outside of {:.6g}..{:.6g}, the range that the model states",
                    printable(places_.path(stated.column)), first / per_row, places_.row_name(first / per_row),
                    stated.field, element_of(column, first) * stated.scale + stated.offset, stated.range.low,
                    stated.range.high),
        fmt::format("its values are in {0:.6g}..{1:.6g}: {2}state `in {0:.6g}..{1:.6g}`; rows count from 0", low, high,
                    scales ? fmt::format("scale them, as in `field(0) / {:.6g}`, or ", high / stated.range.high)
                           : std::string()),
        stated.span);
  }

 private:
  /// Up to the rounding of f32.
  static bool holds(const ColumnRange& stated, double raw) {
    const double value = raw * stated.scale + stated.offset;
    const double slack = 1e-6 * std::max(std::abs(stated.range.low), std::abs(stated.range.high));
    return !(value < stated.range.low - slack) && !(value > stated.range.high + slack);
  }

  const DataPlan& plan_;
  const std::vector<LoadedColumn>& columns_;
  const ColumnPlaces& places_;
};

}  // namespace

Result<void> check_columns(const DataPlan& plan, int32_t section, const std::vector<LoadedColumn>& columns,
                           const ColumnPlaces& places) {
  const ColumnChecks checks(plan, columns, places);
  const auto is_ours = [&](int32_t column) {
    return column >= 0 && static_cast<size_t>(column) < columns.size() &&
           plan.columns[static_cast<size_t>(column)].section == section;
  };
  for (const ColumnLimit& limit : plan.limits)
    if (is_ours(limit.column)) SMELT_TRY_VOID(checks.labels(limit));
  for (const ColumnRange& range : plan.ranges)
    if (is_ours(range.column)) SMELT_TRY_VOID(checks.range(range));
  return {};
}

}  // namespace smelt
