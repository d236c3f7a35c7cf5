#include "runtime/data/check_columns.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <span>

#include "ir/support/printable.h"

namespace smelt {
namespace {

constexpr double kMaxWholeFloat = 0x1p24;  // above it f32 skips whole numbers

const char* numbers_of(DType dtype) {
  switch (dtype) {
    case DType::Bool: return "0 and 1";
    case DType::U8: return "the whole numbers 0..255";
    case DType::I8: return "the whole numbers -128..127";
    case DType::I16: return "the whole numbers -32768..32767";
    case DType::I32: return "the whole numbers -2147483648..2147483647";
    case DType::I64: return "the whole numbers of 64 bits";
    case DType::F16:
    case DType::BF16:
    case DType::F32:
    case DType::F64: break;
  }
  return "numbers";
}

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
      return outside_of_dim(place(limit.column, i / per_row), value, limit, places_.counting);
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
        fmt::format("{}: `{}` is {:.6g}, outside of {:.6g}..{:.6g}, the range that the model states",
                    place(stated.column, first / per_row), stated.field,
                    element_of(column, first) * stated.scale + stated.offset, stated.range.low, stated.range.high),
        fmt::format("its values are in {0:.6g}..{1:.6g}: {2}state `in {0:.6g}..{1:.6g}`; {3}", low, high,
                    scales ? fmt::format("scale them, as in `field(0) / {:.6g}`, or ", high / stated.range.high)
                           : std::string(),
                    places_.counting),
        stated.span);
  }

  Result<void> exact(const ColumnExact& stated) const {
    const LoadedColumn& column = columns_[static_cast<size_t>(stated.column)];
    const int64_t per_row = elements_in_a_row(column), end = stated.end > 0 ? stated.end : per_row;
    for (int64_t i = 0; i < count_of_elements(column); ++i) {
      if (i % per_row < stated.begin || i % per_row >= end || converts(stated, column, i)) continue;
      return inexact(stated, column, i, i / per_row);
    }
    return {};
  }

  Result<void> narrowed(const ColumnExact& stated) const {
    const LoadedColumn& column = columns_[static_cast<size_t>(stated.column)];
    const int64_t per_row = elements_in_a_row(column), end = stated.end > 0 ? stated.end : per_row;
    const double most = largest_finite(stated.dtype);
    for (int64_t i = 0; i < count_of_elements(column); ++i) {
      const double raw = element_of(column, i);
      if (i % per_row < stated.begin || i % per_row >= end || !std::isfinite(raw)) continue;
      if (std::abs(raw) <= most && std::abs(raw * stated.scale + stated.offset) <= most) continue;
      return fail(ErrorKind::Input,
                  fmt::format("{}: {} is too large for {}, of which `{}` is", place(stated.column, i / per_row), raw,
                              to_string(stated.dtype), stated.field),
                  fmt::format("mend the file, divide its numbers before they are saved{}; {}",
                              stated.dtype == DType::F16   ? ", or declare the field as f32"
                              : column.dtype == DType::F64 ? ", or train with `precision f64`"
                                                           : "",
                              places_.counting),
                  stated.span);
    }
    return {};
  }

 private:
  /// Whether the model gets element `i` as it is in the file. It computes in f32, and tables are read as f32.
  bool converts(const ColumnExact& stated, const LoadedColumn& column, int64_t i) const {
    const double raw = element_of(column, i), value = raw * stated.scale + stated.offset;
    if (places_.is_table && !(std::abs(raw) < kMaxWholeFloat)) return false;
    if (!stated.is_bare() && !(std::abs(raw) <= kMaxWholeFloat && std::abs(value) <= kMaxWholeFloat)) return false;
    std::array<std::byte, sizeof(double)> bytes{};
    const auto width = static_cast<size_t>(size_of(column.dtype));
    const std::span<std::byte> to = std::span(bytes).first(static_cast<size_t>(size_of(stated.dtype)));
    if (stated.is_bare())
      return convert_elements(column.dtype, column.data.bytes().subspan(static_cast<size_t>(i) * width, width),
                              stated.dtype, to)
          .has_value();
    return convert_elements(DType::F64, std::as_bytes(std::span(&value, 1)), stated.dtype, to).has_value();
  }

  std::unexpected<Error> inexact(const ColumnExact& stated, const LoadedColumn& column, int64_t i, int64_t row) const {
    const double raw = element_of(column, i), value = raw * stated.scale + stated.offset;
    const bool rounds = value == std::floor(value) && std::abs(raw) >= kMaxWholeFloat &&
                        (places_.is_table || !stated.is_bare());  // maybe: f32 is all that is known
    return fail(ErrorKind::Input,
                fmt::format("{}: `{}` is {}, and {} holds {}", place(stated.column, row), stated.field, value,
                            to_string(stated.dtype), numbers_of(stated.dtype)),
                fmt::format("{}; {}", rounds ? why_rounded() : how_to_convert(stated, column, value), places_.counting),
                stated.span);
  }

  const char* why_rounded() const {
    return places_.is_table
               ? "a column of csv is f32, which skips whole numbers above 16777216: keep larger ones in an "
                 ".npy file"
               : "what is computed of a column is f32, which skips whole numbers above 16777216";
  }

  std::string how_to_convert(const ColumnExact& stated, const LoadedColumn& column, double value) const {
    const int32_t field = plan_.columns[static_cast<size_t>(stated.column)].field;
    const std::string raw = field == Column::kWholeRow ? "row()" : fmt::format("field({})", field);
    if (stated.dtype == DType::Bool) return fmt::format("mend the file, or compare: `{} != 0`", raw);
    const std::string declare = fmt::format("declare `{}` as {}", stated.field, to_string(column.dtype));
    if (!std::isfinite(value) || value == std::floor(value)) return "mend the file, or " + declare;
    return fmt::format("mend the file, {}, or round: `cast(floor({} + 0.5), {})`", declare, raw,
                       to_string(stated.dtype));
  }

  /// The file, the row and, of a table, the column.
  std::string place(int32_t column, int64_t row) const {
    return fmt::format("{}: {}{}", printable(places_.path(column)), places_.row(row), places_.column(column));
  }

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

std::unexpected<Error> outside_of_dim(const std::string& place, double value, const ColumnLimit& limit,
                                      const std::string& counting) {
  const bool whole = value == std::floor(value);
  return fail(ErrorKind::Input,
              fmt::format("{}: {} is not in 0..{}, the range of `{}` ({})", place, value, limit.below - 1, limit.dim,
                          limit.below),
              fmt::format("{}; {}",
                          whole && value >= 0 ? fmt::format("make `{}` larger or mend the file", limit.dim)
                                              : "labels are whole numbers from 0",
                          counting),
              limit.span);
}

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
  for (const ColumnExact& exact : plan.exact)
    if (is_ours(exact.column)) SMELT_TRY_VOID(checks.exact(exact));
  for (const ColumnExact& narrowed : plan.narrowed)
    if (is_ours(narrowed.column)) SMELT_TRY_VOID(checks.narrowed(narrowed));
  return {};
}

}  // namespace smelt
