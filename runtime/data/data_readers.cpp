#include "runtime/data/data_readers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "runtime/data/dataset.h"
#include "runtime/files/csv.h"
#include "runtime/files/file.h"
#include "runtime/files/idx.h"
#include "runtime/files/message.h"
#include "runtime/files/npy.h"
#include "runtime/files/npz.h"

namespace smelt {
namespace {

constexpr uint64_t kCsvProbeBytes = 1u << 20;  // of the first line

constexpr int64_t kMaxAxis = (int64_t{1} << 31) - 1;
constexpr int64_t kMaxRowElements = int64_t{1} << 30;  // 2^31 rows of it, 8 bytes an element, stay below 2^64

// A file's shape without its rows.
Result<std::vector<Column>> one_column(DType dtype, const std::vector<int64_t>& shape, const std::string& path) {
  if (shape.empty()) {
    return fail(ErrorKind::Input, fmt::format("{}: holds one number, not rows", printable(path)));
  }
  if (shape[0] == 0) return fail(ErrorKind::Input, fmt::format("{}: the file has no rows", printable(path)));
  std::vector<int64_t> row_shape(shape.begin() + 1, shape.end());
  SMELT_TRY_VOID(check_row_shape(dtype, row_shape, path));
  return std::vector<Column>{Column{0, dtype, std::move(row_shape), {}}};
}

Result<std::vector<Column>> probe_idx(const std::string& path, const Limits& limits) {
  SMELT_TRY(const Buffer start, read_file_start(path, kIdxHeaderBytes, limits));
  SMELT_TRY(const IdxHeader header, parse_idx_header(start.bytes(), path));
  return one_column(header.dtype, header.shape, path);
}

Result<std::vector<Column>> probe_npy(const std::string& path, const Limits& limits) {
  SMELT_TRY(const Buffer start, read_file_start(path, npy_start_bytes(limits), limits));
  SMELT_TRY(const NpyHeader header, parse_npy_header(start.bytes(), path, limits));
  return one_column(header.dtype, header.shape, path);
}

Result<void> check_idx(const std::string& path, const Limits& limits) {
  const std::optional<uint64_t> bytes = plain_size(path);
  if (!bytes) return {};
  SMELT_TRY(const Buffer start, read_file_start(path, kIdxHeaderBytes, limits));
  SMELT_TRY(const IdxHeader header, parse_idx_header(start.bytes(), path));
  return check_idx_size(header, *bytes, path);
}

Result<void> check_npy(const std::string& path, const Limits& limits) {
  const std::optional<uint64_t> bytes = plain_size(path);
  if (!bytes) return {};
  SMELT_TRY(const Buffer start, read_file_start(path, npy_start_bytes(limits), limits));
  SMELT_TRY(const NpyHeader header, parse_npy_header(start.bytes(), path, limits));
  return check_npy_size(header, *bytes, path);
}

Result<std::vector<Column>> probe_npz(const std::string& path, const Limits& limits) {
  SMELT_TRY(const NpzHeader array, read_npz_header(path, limits));
  return one_column(array.header.dtype, array.header.shape, path);
}

Result<void> check_npz(const std::string& path, const Limits& limits) {
  SMELT_TRY(const NpzHeader array, read_npz_header(path, limits));
  return check_npy_size(array.header, array.file_bytes, path);
}

Result<void> check_csv(const std::string& /*path*/, const Limits& /*limits*/) {
  return {};
}  // it says nothing of its size

}  // namespace

Result<CsvHeader> read_csv_header(const std::string& path, const Limits& limits) {
  SMELT_TRY(Buffer start, read_file_start(path, kCsvProbeBytes, limits));
  const auto* data = reinterpret_cast<const char*>(start.data());
  if (start.size() == kCsvProbeBytes && std::memchr(data, '\n', start.size()) == nullptr) {
    SMELT_TRY(start, read_file(path, limits));  // a very long first line
  }
  return parse_csv_header({reinterpret_cast<const char*>(start.data()), start.size()}, path, limits);
}

namespace {

Result<std::vector<Column>> probe_csv(const std::string& path, const Limits& limits) {
  SMELT_TRY(const CsvHeader header, read_csv_header(path, limits));
  std::vector<Column> columns;
  for (size_t k = 0; k < header.num_columns; ++k) columns.push_back({static_cast<int32_t>(k), DType::F32, {}, {}});
  return columns;
}

Result<ReadTable> read_idx_table(const std::string& path, const Limits& limits) {
  SMELT_TRY(HostTensor tensor, read_idx(path, limits));
  return ReadTable{std::move(tensor), {}};
}

Result<ReadTable> read_npy_table(const std::string& path, const Limits& limits) {
  SMELT_TRY(NpyFile file, read_npy(path, limits));
  return ReadTable{std::move(file.tensor), std::move(file.notes)};
}

Result<ReadTable> read_npz_table(const std::string& path, const Limits& limits) {
  SMELT_TRY(NpyFile file, read_npz(path, limits));
  return ReadTable{std::move(file.tensor), std::move(file.notes)};
}

constexpr DataReader kDataReaders[] = {{find_reader_record("idx"), probe_idx, check_idx, read_idx_table},
                                       {find_reader_record("npy"), probe_npy, check_npy, read_npy_table},
                                       {find_reader_record("npz"), probe_npz, check_npz, read_npz_table},
                                       {find_reader_record("csv"), probe_csv, check_csv},  // by load_csv.h
                                       {find_reader_record("images")},                     // by load_pictures.h
                                       {find_reader_record("bytes")},                      // by load_text.h
                                       {find_reader_record("audio")},                      // by load_sounds.h
                                       {find_reader_record("lines")},                      // by load_lines.h
                                       {find_reader_record("pairs")}};
static_assert(std::size(kReaders) == std::size(kDataReaders));  // a row for each reader of the language

}  // namespace

Result<void> check_row_shape(DType dtype, const std::vector<int64_t>& row_shape, const std::string& name) {
  const std::optional<int64_t> count = num_elements(row_shape);
  const bool fits = count && *count >= 1 && *count <= kMaxRowElements &&
                    std::ranges::all_of(row_shape, [](int64_t size) { return size <= kMaxAxis; });
  if (fits) return {};
  return fail(ErrorKind::Input,
              fmt::format("{}: a row of {} is {}", printable(name), describe(dtype, row_shape),
                          count == 0 ? "empty" : fmt::format("larger than {} elements", kMaxRowElements)));
}

std::vector<std::string_view> reader_names() {
  std::vector<std::string_view> names;
  for (const DataReader& reader : kDataReaders) names.push_back(reader.record->name);
  return names;
}

Result<const DataReader*> find_reader(const SourceCall& source) {
  for (const DataReader& reader : kDataReaders) {
    if (reader.record->name != source.reader) continue;
    if (source.paths.empty() || (!reader.record->field_is_file && source.paths.size() != 1)) {
      return fail(ErrorKind::Input,
                  fmt::format("`{}` takes {}, got {}", reader.record->name,
                              reader.record->field_is_file ? "one file or more" : "one file", source.paths.size()),
                  {}, source.span);
    }
    return &reader;
  }
  return fail(ErrorKind::Input, fmt::format("no reader is called `{}`", printable(source.reader)),
              fmt::format("there are {}", fmt::join(reader_names(), ", ")), source.span);
}

}  // namespace smelt
