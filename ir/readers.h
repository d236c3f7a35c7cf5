// The readers of data files, as the language names them. How each reads is in runtime/data/data_readers.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "ir/type.h"

namespace smelt {

/// What the files of a call are: a column each or a table of columns; pictures, a row each; texts, cut into windows.
enum class FileKind : uint8_t { Table, Picture, Text };

struct ReaderRecord {
  std::string_view name;
  bool field_is_file = true;        // field(k) is the k-th file; else the k-th column of one
  std::optional<DType> dtype = {};  // of a column whose file is not at hand; none: that of the field
  bool planned = false;             // known to the language, not built yet
  FileKind kind = FileKind::Table;
  std::string_view example = "idx(\"train-images-idx3-ubyte\")";  // of a call, for messages

  /// All files together are the rows, and the options of the call say of which types the fields are.
  constexpr bool typed() const { return kind != FileKind::Table; }
};
inline constexpr ReaderRecord kReaders[] = {
    {"idx", true, DType::U8},
    {"csv", false, DType::F32},
    {"npy"},
    {.name = "images", .kind = FileKind::Picture, .example = "images(\"pets/**/*.png\", size = 64)"},
    {.name = "bytes", .kind = FileKind::Text, .example = "bytes(\"book.txt\", window = 128)"},
    {"npz", true, {}, true},
    {"wav", true, {}, true},
};
constexpr const ReaderRecord* find_reader_record(std::string_view name) {
  for (const ReaderRecord& record : kReaders)
    if (record.name == name) return &record;
  return nullptr;
}

}  // namespace smelt
