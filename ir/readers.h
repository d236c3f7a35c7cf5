// The readers of data files, as the language names them. How each reads is in runtime/data/data_readers.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "ir/type.h"

namespace smelt {

/// What the files of a call are: a column each or a table of columns; pictures, a row each; texts or recordings, cut
/// into windows; texts whose lines are the rows, a string or two each.
enum class FileKind : uint8_t { Table, Picture, Text, Sound, Lines, Pairs };

/// Samples a second of a sound, in a file and in a row: from a fourth of a telephone's to twice of what studios use.
inline constexpr int64_t kLeastSoundRate = 2'000, kLargestSoundRate = 384'000;

struct ReaderRecord {
  std::string_view name;
  bool field_is_file = true;        // field(k) is the k-th file; else the k-th column of one
  std::optional<DType> dtype = {};  // of a column whose file is not at hand; none: that of the field
  FileKind kind = FileKind::Table;
  std::string_view example = "idx(\"train-images-idx3-ubyte\")";  // of a call, for messages
  std::string_view fields = {};                                   // what the fields of a typed one are, for messages

  /// All files together are the rows, and the options of the call say of which types the fields are.
  constexpr bool typed() const { return kind != FileKind::Table; }
};
inline constexpr ReaderRecord kReaders[] = {
    {.name = "idx", .dtype = DType::U8, .fields = "`field(k)` is the k-th file"},
    {.name = "csv",
     .field_is_file = false,
     .dtype = DType::F32,
     .example = "csv(\"points.csv\")",
     .fields = "`field(k)` is column k, `row()` all of them; the first line shows the separator, and whether it is a "
               "header"},
    {.name = "npy", .example = "npy(\"x.npy\", \"y.npy\")", .fields = "`field(k)` is the k-th file"},
    {.name = "npz", .example = "npz(\"digits.npz/x\", \"digits.npz/y\")", .fields = "`field(k)` is the k-th array"},
    {.name = "images",
     .kind = FileKind::Picture,
     .example = "images(\"pets/**/*.png\", size = 64)",
     .fields = "`field(0)` is the picture; `field(1)` is the class where `label = folder` or `label = column` says "
               "where it is"},
    {.name = "bytes",
     .kind = FileKind::Text,
     .example = "bytes(\"book.txt\", window = 128)",
     .fields = "`field(0)` is the window, `field(1)` the byte after each of its bytes"},
    {.name = "audio",
     .kind = FileKind::Sound,
     .example = "audio(\"speech/*.ogg\", rate = 8000, window = 4096)",
     .fields = "`field(0)` is the window, `field(1)` the number of its samples before the silence that fills it up"},
    {.name = "lines",
     .kind = FileKind::Lines,
     .example = "lines(\"names.txt\", length = 20)",
     .fields = "`field(0)` is the line, `field(1)` the number of its bytes"},
    {.name = "pairs",
     .kind = FileKind::Pairs,
     .example = "pairs(\"words.tsv\", lengths = [20, 22])",
     .fields = "`field(0)` and `field(1)` are the strings, `field(2)` and `field(3)` the numbers of their bytes"},
};
constexpr const ReaderRecord* find_reader_record(std::string_view name) {
  for (const ReaderRecord& record : kReaders)
    if (record.name == name) return &record;
  return nullptr;
}

struct DataPlan;
struct SourceCall;
struct Split;
/// Whether its rows are strings, each of a length of its own.
bool has_lengths(const SourceCall& source);
/// Of strings with these symbols, -1 for one of fixed size: those by whose lengths rows are sorted. The strings of
/// run-time dims count, or all where there is none.
std::vector<size_t> strings_that_sort(const std::vector<int32_t>& symbols);
/// Whether the section is read from anything: one without a split has an error of its own.
bool has_split(const DataPlan& plan, int32_t section);
/// The split whose words and classes count in all splits of a section.
const Split& first_split(const DataPlan& plan, int32_t section);  // of a section that has one
/// Samples a second of the rows that `audio` reads; 0 when no split has any.
int64_t sound_rate(const DataPlan& plan);
/// The split with the model of subwords that labels of `dim` are numbers of; null: of none.
const Split* split_with_tokens(const DataPlan& plan, std::string_view dim);
/// The file of the model of subwords that labels of `dim` are numbers of, as the model file names it; empty: of none.
std::string tokens_of(const DataPlan& plan, std::string_view dim);

}  // namespace smelt
