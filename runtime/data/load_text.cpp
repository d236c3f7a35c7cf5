// Reads texts whole and copies the windows of one split. A row's second column is its window moved on by one byte, so
// the last window of a file is the last one that a byte follows.
#include "runtime/data/load_text.h"

#include <fmt/format.h>

#include <cstring>
#include <vector>

#include "runtime/data/split_rows.h"
#include "runtime/files/file.h"
#include "runtime/files/message.h"

namespace smelt {
namespace {

Result<int64_t> windows_of(uint64_t bytes, int64_t window, const std::string& path, std::string_view unit = "byte") {
  if (bytes == 0) return fail(ErrorKind::Input, fmt::format("{}: the file is empty", printable(path)));
  const auto rows = static_cast<int64_t>((bytes - 1) / static_cast<uint64_t>(window));
  if (rows >= 1) return rows;
  return fail(
      ErrorKind::Input,
      fmt::format("{}: {} {}s are less than one window of {} and the {} that follows it", printable(path), bytes, unit,
                  window, unit),
      bytes < 2 ? "" : fmt::format("give the reader a longer text, or windows of at most {} {}s", bytes - 1, unit));
}

struct Text {
  Buffer units;  // bytes, or numbers of subwords
  int64_t rows = 0;
};

Result<Buffer> cut(const Buffer& bytes, const Subwords& subwords) {
  SMELT_TRY(const std::vector<int32_t> numbers,
            subwords.encode({reinterpret_cast<const char*>(bytes.data()), bytes.size()}));
  return Buffer::copy_of(std::as_bytes(std::span(numbers)), "the subwords of a text");
}

}  // namespace

Result<void> check_text(const std::string& path, int64_t window) {
  const std::optional<uint64_t> bytes = plain_size(path);
  if (bytes) SMELT_TRY_VOID(windows_of(*bytes, window, path));
  return {};
}

Result<LoadedText> load_text(const DataPlan& plan, const Split& split, std::span<const std::string> places,
                             const Limits& limits, const Subwords* subwords) {
  const int64_t window = split.source.window;
  const DType dtype = subwords == nullptr ? DType::U8 : DType::I32;
  const auto unit = static_cast<size_t>(size_of(dtype));
  std::vector<Text> texts;
  std::vector<const std::byte*> starts;  // of each row of all files
  for (const std::string& place : places) {
    SMELT_TRY(Buffer units, read_file(place, limits));
    if (subwords != nullptr) {
      SMELT_TRY(units, cut(units, *subwords));
    }
    SMELT_TRY(const int64_t rows,
              windows_of(units.size() / unit, window, place, subwords == nullptr ? "byte" : "subword"));
    texts.push_back({std::move(units), rows});
    for (int64_t row = 0; row < rows; ++row)
      starts.push_back(texts.back().units.data() + static_cast<size_t>(row * window) * unit);
  }
  SMELT_TRY(const std::vector<int32_t> rows, rows_of_split(plan, split, static_cast<int64_t>(starts.size())));
  const std::vector<int64_t> shape = {static_cast<int64_t>(rows.size()), window};
  LoadedText out;
  SMELT_TRY(out.windows, HostTensor::zeros(dtype, shape, "the windows of a text"));
  SMELT_TRY(out.next, HostTensor::zeros(dtype, shape, "the windows of a text"));
  const size_t bytes = static_cast<size_t>(window) * unit;
  for (size_t i = 0; i < rows.size(); ++i) {
    const std::byte* start = starts[static_cast<size_t>(rows[i])];
    std::memcpy(out.windows.data.data() + i * bytes, start, bytes);
    std::memcpy(out.next.data.data() + i * bytes, start + unit, bytes);
  }
  return out;
}

}  // namespace smelt
