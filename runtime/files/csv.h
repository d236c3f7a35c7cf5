// CSV by RFC 4180: `,`, `;` or tab, found from the first line; a first line with a field that is no number is
// the header. Every value is a number; numbers are read the same in every locale.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ir/support/result.h"
#include "runtime/host_tensor.h"

namespace smelt {

struct CsvLimits {
  uint64_t max_columns = 65'536;
  uint64_t max_line_bytes = 16u << 20;
};

struct CsvHeader {
  char delimiter = ',';
  std::vector<std::string> names;  // empty when the file has no header
  size_t num_columns = 0;
  uint64_t data_begin = 0;  // where the first row of numbers begins
};

struct CsvTable {
  CsvHeader header;
  HostTensor values;  // f32[rows, columns]
};

/// Reads the first line of `text`. Errors: Input when it is empty, not text or has a name twice; Limit.
Result<CsvHeader> parse_csv_header(std::string_view text, const std::string& name, const CsvLimits& limits = {});

/// Errors: Input with row (1-based line of the file) and column: ragged rows, fields that are empty, no
/// number, or too large for f32, quotes without an end, NUL bytes; Limit.
Result<CsvTable> parse_csv(std::string_view text, const std::string& name, const CsvLimits& limits = {});
Result<CsvTable> read_csv(const std::string& path, const CsvLimits& limits = {});

struct CsvRecord {
  size_t line = 0;  // of the file, from 1
  std::vector<std::string> fields;
};
/// All lines as texts, the first one too. Errors: as parse_csv, but fields may hold anything.
Result<std::vector<CsvRecord>> read_csv_texts(const std::string& path, const CsvLimits& limits = {});

}  // namespace smelt
