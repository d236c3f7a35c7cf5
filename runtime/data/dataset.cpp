#include "runtime/data/dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>
#include <thread>

#include "runtime/data/check_columns.h"
#include "runtime/data/data_readers.h"
#include "runtime/data/fingerprint.h"
#include "runtime/data/load_csv.h"
#include "runtime/data/load_lines.h"
#include "runtime/data/load_pictures.h"
#include "runtime/data/load_sounds.h"
#include "runtime/data/load_text.h"
#include "runtime/data/picture_list.h"
#include "runtime/data/recording_list.h"
#include "runtime/data/split_rows.h"
#include "runtime/files/file.h"
#include "runtime/files/message.h"

namespace smelt {
namespace {

template <typename E>
std::unexpected<Error> with_span(E&& error, Span span) {
  Error out = std::forward<E>(error);
  if (out.span.empty()) out.span = span;
  return std::unexpected(std::move(out));
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

// Some rows of a table, in their order.
Result<HostTensor> select_rows(const HostTensor& table, std::span<const int32_t> rows) {
  std::vector<int64_t> shape = table.shape;
  const uint64_t bytes = table.data.size() / static_cast<uint64_t>(std::max<int64_t>(shape[0], 1));
  shape[0] = static_cast<int64_t>(rows.size());
  SMELT_TRY(HostTensor out, HostTensor::zeros(table.dtype, std::move(shape), "the rows of a split"));
  std::byte* to = out.data.data();
  for (const int32_t row : rows) {
    std::memcpy(to, table.data.data() + static_cast<uint64_t>(row) * bytes, bytes);
    to += bytes;
  }
  return out;
}

class Loader {
 public:
  Loader(const DataPlan& plan, const Split& split, const DataPaths& paths, int threads)
      : plan_(plan), split_(split), paths_(paths), threads_(threads) {}

  Result<std::vector<LoadedColumn>> load(std::vector<std::string>& notes) {
    SMELT_TRY(reader_, find_reader(split_.source));
    SMELT_TRY(places_, find_places(notes));
    if (auto loaded = load_rows(notes); !loaded) return with_span(std::move(loaded).error(), split_.source.span);
    std::vector<LoadedColumn> columns;
    for (size_t i = 0; i < plan_.columns.size(); ++i) {
      if (!is_ours(plan_.columns[i])) {
        columns.emplace_back();
        continue;
      }
      SMELT_TRY(LoadedColumn column, take_column(plan_.columns[i], is_last_use(i)));
      columns.push_back(std::move(column));
    }
    const ColumnPlaces places{.is_table = is_table(),
                              .path = [this](int32_t column) { return path_of(column); },
                              .column = [this](int32_t column) { return column_of(column); },
                              .row = [this](int64_t row) { return row_text(row); },
                              .counting = is_table() ? "rows are lines of the file" : "rows count from 0"};
    SMELT_TRY_VOID(check_columns(plan_, split_.section, columns, places));
    return columns;
  }

  const std::vector<std::string>& places() const { return places_; }
  std::map<int32_t, std::vector<std::string>> take_classes() { return std::move(classes_); }
  WordsByDim take_words() { return std::move(words_); }
  std::vector<RowLengths> take_lengths() { return std::move(lengths_); }

 private:
  bool is_table() const { return !reader_->record->field_is_file; }
  bool is_ours(const Column& column) const { return column.section == split_.section; }

  Result<std::vector<std::string>> find_places(std::vector<std::string>& notes) const {
    std::vector<std::string> places;
    for (const std::string& path : split_.source.paths) {
      auto place = resolve_data_path(path, plan_.section_name(split_.section), paths_);
      if (!place) return with_span(std::move(place).error(), split_.source.span);
      if (const std::string why = why_outside(path, *place, plan_.section_name(split_.section), paths_); !why.empty())
        notes.push_back(fmt::format("`{}` lies outside of the model's directory: {}", printable(*place), why));
      places.push_back(std::move(*place));
    }
    return places;
  }

  Result<void> load_rows(std::vector<std::string>& notes) {
    switch (reader_->record->kind) {
      case FileKind::Table: return load_tables(notes);
      case FileKind::Picture: return load_pictures(notes);
      case FileKind::Text: return load_text();
      case FileKind::Sound: return load_sounds();
      case FileKind::Lines:
      case FileKind::Pairs: return load_lines(notes);
    }
    return {};
  }

  Result<ReadTable> read_table(const std::string& place) {
    if (reader_->record->field_is_file) return reader_->read(place, paths_.limits);
    SMELT_TRY(LoadedCsv loaded, load_csv(plan_, split_, place, paths_));
    words_ = std::move(loaded.words);
    lines_ = std::move(loaded.lines);
    column_names_ = std::move(loaded.columns);
    for (const auto& [column, dim] : loaded.dims) classes_[column] = words_[dim];
    return ReadTable{std::move(loaded.values), std::move(loaded.notes)};
  }

  Result<void> load_tables(std::vector<std::string>& notes) {
    for (const std::string& place : places_) {
      SMELT_TRY(ReadTable table, read_table(place));
      if (table.tensor.shape.empty())
        return fail(ErrorKind::Input, fmt::format("{}: holds one number, not rows", printable(place)));
      files_.push_back({place, std::move(table)});
      const LoadedFile& file = files_.back();
      notes.insert(notes.end(), file.table.notes.begin(), file.table.notes.end());
      if (file.table.tensor.dtype == DType::F32) note_nonfinite<float>(file, notes);
      if (file.table.tensor.dtype == DType::F64) note_nonfinite<double>(file, notes);
    }
    SMELT_TRY_VOID(check_rows());
    if (split_.share.whole()) return {};
    SMELT_TRY(rows_, rows_of_split(plan_, split_, files_.front().table.tensor.shape[0]));
    for (LoadedFile& file : files_) {
      SMELT_TRY(file.table.tensor, select_rows(file.table.tensor, rows_));
    }
    return {};
  }

  /// field(0), field(1) and so on, of all files together.
  template <typename... Tensors>
  void take_fields(Tensors&&... tensors) {
    const std::string place = fmt::format("{}", fmt::join(places_, ", "));
    (files_.push_back({place, {std::move(tensors), {}}}), ...);
  }

  Result<void> load_pictures(std::vector<std::string>& notes) {
    SMELT_TRY(LoadedPictures loaded, smelt::load_pictures(plan_, split_, places_, paths_, threads_));
    take_fields(loaded.pixels, loaded.labels);
    if (!loaded.dim.empty() && !loaded.classes.empty()) words_[loaded.dim] = loaded.classes;
    for (size_t c = 0; c < plan_.columns.size(); ++c)
      if (is_ours(plan_.columns[c]) && plan_.columns[c].field == 1) classes_[static_cast<int32_t>(c)] = loaded.classes;
    row_names_ = std::move(loaded.names);
    notes.insert(notes.end(), loaded.notes.begin(), loaded.notes.end());
    return {};
  }

  /// The model of subwords that the source names; it is looked for like data.
  Result<std::optional<Subwords>> find_subwords() const {
    if (split_.source.tokens.empty()) return std::optional<Subwords>();
    SMELT_TRY(const std::string place,
              resolve_data_path(split_.source.tokens, plan_.section_name(split_.section), paths_));
    return Subwords::read(place, paths_.limits);
  }

  Result<void> load_text() {
    SMELT_TRY(const std::optional<Subwords> subwords, find_subwords());
    SMELT_TRY(LoadedText loaded,
              smelt::load_text(plan_, split_, places_, paths_.limits, subwords ? &*subwords : nullptr));
    take_fields(loaded.windows, loaded.next);
    return {};
  }

  Result<void> load_sounds() {
    SMELT_TRY(LoadedSounds loaded, smelt::load_sounds(plan_, split_, places_, paths_.limits, threads_));
    take_fields(loaded.windows, loaded.lengths);
    row_names_ = std::move(loaded.names);
    return {};
  }

  Result<void> load_lines(std::vector<std::string>& notes) {
    SMELT_TRY(const std::optional<Subwords> subwords, find_subwords());
    SMELT_TRY(LoadedLines loaded,
              smelt::load_lines(plan_, split_, places_, paths_.limits, subwords ? &*subwords : nullptr, notes));
    for (HostTensor& field : loaded.fields) take_fields(field);
    lengths_ = std::move(loaded.lengths);
    row_names_ = std::move(loaded.names);
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
      if (is_ours(plan_.columns[later]) && plan_.columns[later].field == plan_.columns[index].field) return false;
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

  /// A row of the split, as its file counts it.
  std::string row_text(int64_t row) const {
    if (!row_names_.empty()) return fmt::format("row {} (`{}`)", row, printable(row_names_[static_cast<size_t>(row)]));
    if (!rows_.empty()) row = rows_[static_cast<size_t>(row)];
    return lines_.empty() ? fmt::format("row {}", row) : fmt::format("row {}", lines_[static_cast<size_t>(row)]);
  }

  std::string column_of(int32_t column) const {
    const int32_t field = plan_.columns[static_cast<size_t>(column)].field;
    return is_table() && field >= 0 ? ": " + column_names_[static_cast<size_t>(field)] : "";
  }

  const std::string& path_of(int32_t column) const {
    const int32_t field = plan_.columns[static_cast<size_t>(column)].field;
    return files_[reader_->record->field_is_file ? static_cast<size_t>(field) : 0].path;
  }

  const DataPlan& plan_;
  const Split& split_;
  const DataPaths& paths_;
  const DataReader* reader_ = nullptr;
  const int threads_;
  std::vector<std::string> places_;
  std::map<int32_t, std::vector<std::string>> classes_;  // by column of the plan
  WordsByDim words_;
  std::vector<std::string> row_names_;     // of pictures, windows of sounds, and lines
  std::vector<std::string> column_names_;  // of a table
  std::vector<size_t> lines_;              // of each row of a table
  std::vector<int32_t> rows_;              // of the files, where the split is a part of them
  std::vector<LoadedFile> files_;
  std::vector<RowLengths> lengths_;
};

}  // namespace

Result<Dataset> Dataset::open(const DataPlan& plan, const Split& split, const DataPaths& paths, int threads) {
  if (threads < 1) threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  Dataset out;
  out.split_ = split.name;
  out.section_ = split.section;
  out.name_ = split.section == 0 ? split.name : fmt::format("{}.{}", plan.section_name(split.section), split.name);
  Loader loader(plan, split, paths, threads);
  SMELT_TRY(out.columns_, loader.load(out.notes_));
  out.places_ = loader.places();
  out.classes_ = loader.take_classes();
  out.words_ = loader.take_words();
  out.lengths_ = loader.take_lengths();
  for (const LoadedColumn& column : out.columns_) out.rows_ = std::max(out.rows_, column.rows);
  return out;
}

SplitSets sets_of(std::span<const Dataset> data, std::string_view name) {
  SplitSets sets;
  for (const Dataset& set : data)
    if (set.split() == name) sets.push_back(&set);
  std::ranges::sort(sets, {}, &Dataset::section);
  return sets;
}

std::string Dataset::fingerprint() const {
  Fingerprint fingerprint;
  for (const LoadedColumn& column : columns_) fingerprint.add(column.data.bytes());
  for (const auto& [dim, words] : words_)
    for (const std::string& word : words) fingerprint.add(std::as_bytes(std::span(word)));
  return fingerprint.text(static_cast<uint64_t>(rows_));
}

void Dataset::ask_for(std::span<const int32_t> rows) const {
  for (const LoadedColumn& column : columns_) {
    if (column.rows == 0 || !column.data.is_in_file()) continue;
    const uint64_t row = column.data.size() / static_cast<uint64_t>(column.rows);
    for (const int32_t index : rows) {
      const uint64_t begin = static_cast<uint64_t>(index) * row;
      column.data.ask_for(begin, begin + row);
    }
  }
}

const std::vector<std::string>& Dataset::classes(int32_t column) const {
  static const std::vector<std::string> kNone;
  const auto found = classes_.find(column);
  return found == classes_.end() ? kNone : found->second;
}

Result<std::vector<Column>> probe_source(const SourceCall& source, const std::string& section, const DataPaths& paths) {
  SMELT_TRY(const DataReader* reader, find_reader(source));
  std::vector<Column> out;
  for (size_t k = 0; k < source.paths.size(); ++k) {
    auto path = resolve_data_path(source.paths[k], section, paths);
    if (!path) return with_span(std::move(path).error(), source.span);
    if (reader->record->typed()) continue;
    auto columns = reader->probe(*path, paths.limits);
    if (!columns) return with_span(std::move(columns).error(), source.span);
    for (Column& column : *columns) {
      column.field = static_cast<int32_t>(out.size());
      column.span = source.span;
      out.push_back(std::move(column));
    }
  }
  return reader->record->typed() ? typed_columns(source) : out;
}

/// Whether it went well, without its value.
template <typename T>
static Result<void> outcome(Result<T> result) {
  if (!result) return std::unexpected(std::move(result).error());
  return {};
}

static Result<void> check_not_empty(const std::string& place) {
  if (plain_size(place) != 0) return {};
  return fail(ErrorKind::Input, fmt::format("{}: the file is empty", printable(place)));
}

static Result<void> check_places(const DataReader& reader, const SourceCall& source,
                                 std::span<const std::string> places, const Limits& limits) {
  const auto each = [&](auto check) -> Result<void> {
    for (const std::string& place : places) SMELT_TRY_VOID(check(place));
    return {};
  };
  switch (reader.record->kind) {
    case FileKind::Table: return each([&](const std::string& place) { return reader.check(place, limits); });
    case FileKind::Text:
      if (!source.tokens.empty()) return each(check_not_empty);  // how many subwords it has shows when it is cut
      return each([&](const std::string& place) { return check_text(place, source.window); });
    case FileKind::Picture: return outcome(list_pictures(source, places, limits));
    case FileKind::Sound: return outcome(list_recordings(places));
    case FileKind::Lines:
    case FileKind::Pairs: return each(check_not_empty);
  }
  return {};
}

Result<void> check_source(const SourceCall& source, const std::string& section, const DataPaths& paths) {
  SMELT_TRY(const DataReader* reader, find_reader(source));
  std::vector<std::string> places;
  for (const std::string& path : source.paths) {
    SMELT_TRY(places.emplace_back(), resolve_data_path(path, section, paths));
  }
  if (auto checked = check_places(*reader, source, places, paths.limits); !checked)
    return with_span(std::move(checked).error(), source.span);
  return {};
}

}  // namespace smelt
