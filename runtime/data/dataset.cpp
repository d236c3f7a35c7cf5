#include "runtime/data/dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>

#include "runtime/data/data_readers.h"
#include "runtime/files/file.h"
#include "runtime/files/message.h"

namespace smelt {
namespace {

constexpr double kMaxWholeFloat = 0x1p24;  // above it f32 skips whole numbers

// `a/../../x` leaves its directory: a model file that came from elsewhere must not read around.
bool leaves_directory(const std::filesystem::path& path) {
  int depth = 0;
  for (const std::filesystem::path& part : path) {
    if (part == "..") {
      if (--depth < 0) return true;
    } else if (part != "." && !part.empty()) {
      ++depth;
    }
  }
  return false;
}

template <typename E>
std::unexpected<Error> with_span(E&& error, Span span) {
  Error out = std::forward<E>(error);
  if (out.span.empty()) out.span = span;
  return std::unexpected(std::move(out));
}

// Why a file is not where a model's files are expected, when nobody but the model said so (decision 14).
std::string why_outside(const std::string& path, const std::string& place, const std::string& section,
                        const DataPaths& paths) {
  namespace fs = std::filesystem;
  if (paths.directories.contains(section) || paths.recorded.contains(path)) return {};
  if (fs::path(path).is_absolute()) return "the model names it with an absolute path";
  std::error_code error;
  const fs::path real = fs::weakly_canonical(place, error), home = fs::weakly_canonical(paths.model_directory, error);
  const bool inside = std::ranges::mismatch(home, real).in1 == home.end();
  if (error || inside || place.starts_with(kSystemData)) return {};
  return fmt::format("a link beside the model leads to `{}`", printable(real.string()));
}

struct LoadedFile {
  std::string path;
  ReadTable table;
};

// NaN and infinity of one file, as a note.
template <typename T>
void note_nonfinite(const LoadedFile& file, std::vector<std::string>& notes) {
  int64_t count = 0, first = -1, index = 0;
  for (const T value : file.table.tensor.as<T>()) {
    if (!std::isfinite(value)) {
      if (count++ == 0) first = index;
    }
    ++index;
  }
  if (count == 0) return;
  const int64_t rows = std::max<int64_t>(file.table.tensor.shape[0], 1);
  notes.push_back(fmt::format("{}: {} of {} values are NaN or infinite, the first in row {}", printable(file.path),
                              count, index, first / std::max<int64_t>(index / rows, 1)));
}

// Column k of a table, dense.
Result<Buffer> gather_column(const HostTensor& table, int64_t column) {
  const int64_t rows = table.shape[0], columns = table.shape[1];
  SMELT_TRY(Buffer out, Buffer::allocate(static_cast<uint64_t>(rows) * sizeof(float), "a csv column"));
  const float* from = table.as<float>().data() + column;
  float* to = reinterpret_cast<float*>(out.data());
  for (int64_t row = 0; row < rows; ++row) to[row] = from[row * columns];
  return out;
}

class Loader {
 public:
  Loader(const DataPlan& plan, const Split& split, const DataPaths& paths)
      : plan_(plan), split_(split), paths_(paths) {}

  Result<std::vector<LoadedColumn>> load(std::vector<std::string>& notes) {
    SMELT_TRY(reader_, find_reader(split_.source));
    for (const std::string& path : split_.source.paths) SMELT_TRY_VOID(load_file(path, notes));
    SMELT_TRY_VOID(check_rows());
    std::vector<LoadedColumn> columns;
    for (size_t i = 0; i < plan_.columns.size(); ++i) {
      SMELT_TRY(LoadedColumn column, take_column(plan_.columns[i], is_last_use(i)));
      columns.push_back(std::move(column));
    }
    for (const ColumnLimit& limit : plan_.limits) SMELT_TRY_VOID(check_limit(limit, columns));
    for (const ColumnRange& range : plan_.ranges) SMELT_TRY_VOID(check_range(range, columns));
    return columns;
  }

  std::vector<std::string> places() const {
    std::vector<std::string> out;
    for (const LoadedFile& file : files_) out.push_back(file.path);
    return out;
  }

 private:
  Result<void> load_file(const std::string& path, std::vector<std::string>& notes) {
    auto resolved = resolve_data_path(path, plan_.name, paths_);
    if (!resolved) return with_span(std::move(resolved).error(), split_.source.span);
    auto table = reader_->read(*resolved);
    if (!table) return with_span(std::move(table).error(), split_.source.span);
    if (table->tensor.shape.empty()) {
      return fail(ErrorKind::Input, fmt::format("{}: holds one number, not rows", printable(*resolved)));
    }
    if (const std::string why = why_outside(path, *resolved, plan_.name, paths_); !why.empty())
      notes.push_back(fmt::format("`{}` lies outside of the model's directory: {}", printable(*resolved), why));
    files_.push_back({std::move(*resolved), std::move(*table)});
    const LoadedFile& file = files_.back();
    notes.insert(notes.end(), file.table.notes.begin(), file.table.notes.end());
    if (file.table.tensor.dtype == DType::F32) note_nonfinite<float>(file, notes);
    if (file.table.tensor.dtype == DType::F64) note_nonfinite<double>(file, notes);
    return {};
  }

  Result<void> check_rows() const {
    const LoadedFile& first = files_.front();
    for (const LoadedFile& file : files_) {
      if (file.table.tensor.shape[0] == first.table.tensor.shape[0]) continue;
      return fail(ErrorKind::Input,
                  fmt::format("split `{}`: {} has {} rows, {} has {}", split_.name, printable(first.path),
                              first.table.tensor.shape[0], printable(file.path), file.table.tensor.shape[0]),
                  "the files of a split belong together row by row", split_.source.span);
    }
    return {};
  }

  bool is_last_use(size_t index) const {
    for (size_t later = index + 1; later < plan_.columns.size(); ++later) {
      if (plan_.columns[later].field == plan_.columns[index].field) return false;
    }
    return true;
  }

  Result<LoadedColumn> take_column(const Column& column, bool last_use) {
    if (!reader_->record->field_is_file) return take_table_column(column);
    if (column.field < 0 || static_cast<size_t>(column.field) >= files_.size()) {
      return fail(
          ErrorKind::Input,
          fmt::format("split `{}` has {} files, the model reads field({})", split_.name, files_.size(), column.field),
          {}, column.span);
    }
    LoadedFile& file = files_[static_cast<size_t>(column.field)];
    HostTensor& tensor = file.table.tensor;
    const std::vector<int64_t> row_shape(tensor.shape.begin() + 1, tensor.shape.end());
    if (tensor.dtype != column.dtype || row_shape != column.row_shape) {
      return fail(ErrorKind::Input,
                  fmt::format("{}: a row is {}, the model expects {}", printable(file.path),
                              describe(tensor.dtype, row_shape), describe(column.dtype, column.row_shape)),
                  "all splits of a data section must look alike", column.span);
    }
    LoadedColumn out{tensor.dtype, row_shape, tensor.shape[0], {}};
    if (last_use) {
      out.data = std::move(tensor.data);
    } else {
      SMELT_TRY(out.data, Buffer::copy_of(tensor.data.bytes(), printable(file.path)));
    }
    return out;
  }

  Result<LoadedColumn> take_table_column(const Column& column) {
    const HostTensor& table = files_.front().table.tensor;
    const int64_t columns = table.shape[1];
    const bool whole = column.field == Column::kWholeRow;
    const bool matches =
        column.dtype == DType::F32 && (whole ? column.row_shape == std::vector{columns} : column.row_shape.empty());
    if (!matches || column.field >= columns) {
      return fail(ErrorKind::Input,
                  fmt::format("{}: has {} columns, the model expects {}", printable(files_.front().path), columns,
                              whole ? fmt::format("rows of {}", describe(column.dtype, column.row_shape))
                                    : fmt::format("column {}", column.field)),
                  {}, column.span);
    }
    LoadedColumn out{DType::F32, column.row_shape, table.shape[0], {}};
    if (whole) {
      SMELT_TRY(out.data, Buffer::copy_of(table.data.bytes(), "csv rows"));
    } else {
      SMELT_TRY(out.data, gather_column(table, column.field));
    }
    return out;
  }

  Result<void> check_limit(const ColumnLimit& limit, const std::vector<LoadedColumn>& columns) const {
    if (limit.column < 0 || static_cast<size_t>(limit.column) >= columns.size()) return {};
    const LoadedColumn& column = columns[static_cast<size_t>(limit.column)];
    const int32_t field = plan_.columns[static_cast<size_t>(limit.column)].field;
    const std::string& path = files_[reader_->record->field_is_file ? static_cast<size_t>(field) : 0].path;
    const int64_t width = size_of(column.dtype);
    const auto count = static_cast<int64_t>(column.data.size()) / width;
    const int64_t per_row = std::max<int64_t>(count / std::max<int64_t>(column.rows, 1), 1);
    for (int64_t i = 0; i < count; ++i) {
      const double value = element_of(column, i);
      const bool whole = value == std::floor(value) && (column.dtype != DType::F32 || value <= kMaxWholeFloat);
      if (whole && value >= 0 && value < static_cast<double>(limit.below)) continue;
      const std::string place = reader_->record->field_is_file ? "" : fmt::format(", in column {}", std::max(field, 0));
      return fail(ErrorKind::Input,
                  fmt::format("{}: row {}: {} is not in 0..{}, the range of `{}` ({}){}", printable(path), i / per_row,
                              value, limit.below - 1, limit.dim, limit.below, place),
                  whole ? fmt::format("make `{}` larger or mend the file; rows count from 0", limit.dim)
                        : "labels are whole numbers; rows count from 0",
                  limit.span);
    }
    return {};
  }

  const std::string& path_of(int32_t column) const {
    const int32_t field = plan_.columns[static_cast<size_t>(column)].field;
    return files_[reader_->record->field_is_file ? static_cast<size_t>(field) : 0].path;
  }

  /// NaN is outside of no range: a note tells of it.
  Result<void> check_range(const ColumnRange& stated, const std::vector<LoadedColumn>& columns) const {
    const LoadedColumn& column = columns[static_cast<size_t>(stated.column)];
    const auto count = static_cast<int64_t>(column.data.size()) / size_of(column.dtype);
    if (column.dtype == DType::U8 && holds(stated, 0) && holds(stated, 255)) return {};
    int64_t first = -1;
    double low = std::numeric_limits<double>::infinity(), high = -low;
    for (int64_t i = 0; i < count; ++i) {
      const double raw = element_of(column, i);
      if (first < 0 && !holds(stated, raw)) first = i;
      const double value = raw * stated.scale + stated.offset;
      low = value < low ? value : low;
      high = value > high ? value : high;
    }
    if (first < 0) return {};
    const int64_t per_row = std::max<int64_t>(count / std::max<int64_t>(column.rows, 1), 1);
    return fail(
        ErrorKind::Input,
        fmt::format("{}: row {}: `{}` is {:.6g}, outside of {:.6g}..{:.6g}, the range that the model states",
                    printable(path_of(stated.column)), first / per_row, stated.field,
                    element_of(column, first) * stated.scale + stated.offset, stated.range.low, stated.range.high),
        fmt::format("its values are in {0:.6g}..{1:.6g}: scale them, as in `field(0) / {1:.6g}`, or state `in "
                    "{0:.6g}..{1:.6g}`; "
                    "rows count from 0",
                    low, high),
        stated.span);
  }

  /// Up to the rounding of f32.
  static bool holds(const ColumnRange& stated, double raw) {
    const double value = raw * stated.scale + stated.offset;
    const double slack = 1e-6 * std::max(std::abs(stated.range.low), std::abs(stated.range.high));
    return !(value < stated.range.low - slack) && !(value > stated.range.high + slack);
  }

  static double element_of(const LoadedColumn& column, int64_t index) {
    return load_element(column.dtype, column.data.data() + index * size_of(column.dtype));
  }

  const DataPlan& plan_;
  const Split& split_;
  const DataPaths& paths_;
  const DataReader* reader_ = nullptr;
  std::vector<LoadedFile> files_;
};

}  // namespace

Result<std::string> resolve_data_path(const std::string& path, const std::string& section, const DataPaths& paths) {
  namespace fs = std::filesystem;
  const fs::path wanted(path);
  std::vector<std::string> candidates;
  const auto directory = paths.directories.find(section);
  if (directory != paths.directories.end()) {
    candidates.push_back((fs::path(directory->second) / wanted.filename()).string());
  } else if (const auto place = paths.recorded.find(path); place != paths.recorded.end() && find_file(place->second)) {
    return place->second;
  } else if (wanted.is_absolute()) {
    candidates.push_back(path);
  } else if (leaves_directory(wanted)) {
    return fail(ErrorKind::Input, fmt::format("data path `{}` leaves the model's directory", printable(path)),
                fmt::format("give the place with `--data {}=DIR`", section));
  } else {
    candidates.push_back((fs::path(paths.model_directory) / wanted).lexically_normal().string());
    candidates.push_back((fs::path(kSystemData) / wanted).lexically_normal().string());
  }
  for (const std::string& candidate : candidates) {
    if (std::optional<std::string> found = find_file(candidate)) return *std::move(found);
  }
  std::vector<std::string> shown;
  for (const std::string& candidate : candidates) shown.push_back(fmt::format("`{}`", printable(candidate)));
  return fail(ErrorKind::Input,
              fmt::format("cannot find `{}`: looked for {}, each with and without .gz", printable(path),
                          fmt::join(shown, " and ")),
              fmt::format("give the directory with `--data {}=DIR`", section));
}

Result<Dataset> Dataset::open(const DataPlan& plan, const Split& split, const DataPaths& paths) {
  Dataset out;
  out.split_ = split.name;
  Loader loader(plan, split, paths);
  SMELT_TRY(out.columns_, loader.load(out.notes_));
  out.places_ = loader.places();
  if (!out.columns_.empty()) out.rows_ = out.columns_.front().rows;
  return out;
}

std::string Dataset::fingerprint() const {
  // Four lanes, so that the multiplications overlap: some GB/s, against which a cryptographic hash would be seen at
  // start-up. It finds changes, it does not withstand an author who wants none found.
  constexpr uint64_t kPrime = 0x9E3779B97F4A7C15;
  uint64_t lanes[4] = {1, 2, 3, 4};
  for (const LoadedColumn& column : columns_) {
    const std::span<const std::byte> bytes = column.data.bytes();
    for (size_t at = 0; at < bytes.size(); at += 8) {
      uint64_t word = 0;
      std::memcpy(&word, bytes.data() + at, std::min<size_t>(8, bytes.size() - at));
      uint64_t& lane = lanes[at / 8 % 4];
      lane = std::rotl((lane ^ word) * kPrime, 29);
    }
    lanes[0] = (lanes[0] ^ bytes.size()) * kPrime;
  }
  uint64_t all = static_cast<uint64_t>(rows_);
  for (const uint64_t lane : lanes) all = std::rotl((all ^ lane) * kPrime, 31);
  return fmt::format("{:016x}", all);
}

Result<std::vector<Column>> probe_source(const SourceCall& source, const std::string& section, const DataPaths& paths) {
  SMELT_TRY(const DataReader* reader, find_reader(source));
  std::vector<Column> out;
  for (size_t k = 0; k < source.paths.size(); ++k) {
    auto path = resolve_data_path(source.paths[k], section, paths);
    if (!path) return with_span(std::move(path).error(), source.span);
    auto columns = reader->probe(*path);
    if (!columns) return with_span(std::move(columns).error(), source.span);
    for (Column& column : *columns) {
      column.field = static_cast<int32_t>(out.size());
      column.span = source.span;
      out.push_back(std::move(column));
    }
  }
  return out;
}

Result<void> check_source(const SourceCall& source, const std::string& section, const DataPaths& paths) {
  SMELT_TRY(const DataReader* reader, find_reader(source));
  for (const std::string& path : source.paths) {
    SMELT_TRY(const std::string place, resolve_data_path(path, section, paths));
    if (auto checked = reader->check(place); !checked) return with_span(std::move(checked).error(), source.span);
  }
  return {};
}

}  // namespace smelt
