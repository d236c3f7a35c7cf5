// One split of a text whose lines are the rows: a string each, or two with a tab between them.
#include "runtime/data/load_lines.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include <fmt/format.h>

#include "ir/readers.h"
#include "runtime/data/split_rows.h"
#include "runtime/files/file.h"
#include "runtime/files/message.h"

namespace smelt {
namespace {

constexpr std::string_view kByteOrder = "\xEF\xBB\xBF";

struct Line {
  std::array<std::string_view, 2> strings;
  std::array<std::vector<int32_t>, 2> subwords;  // of each string, where the source has them
  size_t file = 0, number = 0;                   // its place
};

class LineReader {
 public:
  LineReader(const SourceCall& source, std::span<const std::string> places, const Subwords* subwords)
      : source_(source),
        places_(places),
        subwords_(subwords),
        count_(find_reader_record(source.reader)->kind == FileKind::Pairs ? 2 : 1) {}

  /// Strings of a line.
  size_t count() const { return count_; }
  /// Bytes or subwords of a string.
  int64_t length(const Line& line, size_t k) const {
    return static_cast<int64_t>(subwords_ == nullptr ? line.strings[k].size() : line.subwords[k].size());
  }
  std::span<const std::byte> bytes(const Line& line, size_t k) const {
    return subwords_ == nullptr ? std::as_bytes(std::span(line.strings[k]))
                                : std::as_bytes(std::span(line.subwords[k]));
  }
  std::string place(const Line& line) const { return fmt::format("{}, line {}", places_[line.file], line.number); }

  /// Views of `bytes`, those of file `file`.
  Result<void> read(std::string_view bytes, size_t file, std::vector<Line>& out,
                    std::vector<std::string>& notes) const {
    if (bytes.starts_with(kByteOrder)) bytes.remove_prefix(kByteOrder.size());
    size_t empty = 0, number = 0, found = 0;
    while (!bytes.empty()) {
      const size_t end = std::min(bytes.find('\n'), bytes.size());
      std::string_view text = bytes.substr(0, end);
      bytes.remove_prefix(std::min(end + 1, bytes.size()));
      if (text.ends_with('\r')) text.remove_suffix(1);
      ++number;
      if (text.empty()) {
        ++empty;
        continue;
      }
      SMELT_TRY(out.emplace_back(), split_line(text, {{}, {}, file, number}));
      ++found;
    }
    if (found == 0)
      return fail(ErrorKind::Input, fmt::format("{}: {}", printable(places_[file]),
                                                number == 0 ? "the file is empty" : "all lines are empty"));
    if (empty > 0)
      notes.push_back(
          fmt::format("{}: {} empty line{} left out", printable(places_[file]), empty, empty == 1 ? " is" : "s are"));
    return {};
  }

 private:
  Result<Line> split_line(std::string_view text, Line line) const {
    const auto wrong = [&](std::string_view what, std::string help = {}) {
      return fail(ErrorKind::Input, fmt::format("{}: {}", printable(place(line)), what), std::move(help));
    };
    if (text.find('\0') != std::string_view::npos)
      return wrong("has a byte 0", "it is what fills strings up: is this a text?");
    line.strings[0] = text;
    if (count_ == 2) {
      const auto tabs = std::ranges::count(text, '\t');
      if (tabs != 1) return wrong(fmt::format("has {} tabs; a pair has one, between its strings", tabs));
      const size_t tab = text.find('\t');
      line.strings = {text.substr(0, tab), text.substr(tab + 1)};
    }
    for (size_t k = 0; k < count_; ++k) {
      const std::string what = count_ == 1 ? "it" : k == 0 ? "its first string" : "its second string";
      if (line.strings[k].empty()) return wrong(fmt::format("{} is empty", what));
      if (subwords_ != nullptr) {
        SMELT_TRY(line.subwords[k], subwords_->encode(line.strings[k]));
      }
      const int64_t ends = source_.ends[k], most = source_.lengths[k] - ends;
      if (length(line, k) > most)
        return wrong(
            fmt::format("{} has {} {}, the model takes {}{}", what, length(line, k),
                        subwords_ == nullptr ? "bytes" : "subwords", most,
                        ends == 0 ? "" : fmt::format(" and {} zero{} behind them", ends, ends == 1 ? "" : "s")),
            "make the length larger, or leave long lines out, such as with awk");
    }
    return line;
  }

  const SourceCall& source_;
  std::span<const std::string> places_;
  const Subwords* subwords_;
  size_t count_;
};

}  // namespace

Result<LoadedLines> load_lines(const DataPlan& plan, const Split& split, std::span<const std::string> places,
                               const Limits& limits, const Subwords* subwords, std::vector<std::string>& notes) {
  const LineReader reader(split.source, places, subwords);
  const DType dtype = subwords == nullptr ? DType::U8 : DType::I32;
  std::vector<Buffer> files;
  std::vector<Line> all;
  for (const std::string& place : places) {
    SMELT_TRY(files.emplace_back(), read_file(place, limits));
    const std::string_view bytes(reinterpret_cast<const char*>(files.back().data()), files.back().size());
    SMELT_TRY_VOID(reader.read(bytes, files.size() - 1, all, notes));
  }
  SMELT_TRY(const std::vector<int32_t> rows, rows_of_split(plan, split, static_cast<int64_t>(all.size())));
  const auto count = static_cast<int64_t>(rows.size());
  LoadedLines out;
  for (size_t k = 0; k < reader.count(); ++k) {
    SMELT_TRY(out.fields.emplace_back(), HostTensor::zeros(dtype, {count, split.source.lengths[k]}, "lines"));
  }
  for (size_t k = 0; k < reader.count(); ++k) {
    SMELT_TRY(out.fields.emplace_back(), HostTensor::zeros(DType::I32, {count}, "the lengths of lines"));
    out.lengths.push_back({std::vector<int32_t>(rows.size()), split.source.length_symbols[k], split.source.ends[k]});
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    const Line& line = all[static_cast<size_t>(rows[i])];
    for (size_t k = 0; k < reader.count(); ++k) {
      const std::span<const std::byte> bytes = reader.bytes(line, k);
      const size_t row = out.fields[k].data.size() / rows.size();
      if (!bytes.empty()) std::memcpy(out.fields[k].data.data() + i * row, bytes.data(), bytes.size());
      out.lengths[k].lengths[i] = static_cast<int32_t>(reader.length(line, k));
      out.fields[reader.count() + k].as<int32_t>()[i] = out.lengths[k].lengths[i];
    }
    out.names.push_back(reader.place(line));
  }
  return out;
}

}  // namespace smelt
