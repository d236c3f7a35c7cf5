// The readers of data files, as the language names them. How each reads is in runtime/data/data_readers.cpp.
#pragma once

#include <optional>
#include <string_view>

#include "ir/type.h"

namespace smelt {

struct ReaderRecord {
  std::string_view name;
  bool field_is_file = true;        // field(k) is the k-th file; else the k-th column of one
  std::optional<DType> dtype = {};  // of a column whose file is not at hand; none: that of the field
  bool planned = false;             // known to the language, not built yet
  bool pictures = false;            // all files are field(0), classes field(1); their types follow from its options
};
inline constexpr ReaderRecord kReaders[] = {
    {"idx", true, DType::U8},
    {"csv", false, DType::F32},
    {"npy"},
    {.name = "images", .pictures = true},
    {"npz", true, {}, true},
    {"bytes", true, {}, true},
    {"wav", true, {}, true},
};
constexpr const ReaderRecord* find_reader_record(std::string_view name) {
  for (const ReaderRecord& record : kReaders)
    if (record.name == name) return &record;
  return nullptr;
}

}  // namespace smelt
