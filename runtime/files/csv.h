// CSV by RFC 4180: `,`, `;` or tab, found from the first line; a first line with a field that is no number is
// the header. Values are numbers, which are read the same in every locale; those of labels may be words.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/support/limits.h"
#include "ir/support/result.h"
#include "runtime/host_tensor.h"

namespace smelt {

struct CsvHeader {
  char delimiter = ',';
  std::vector<std::string> names;  // empty when the file has no header
  size_t num_columns = 0;
  uint64_t data_begin = 0;  // where the first row of numbers begins
};

/// What a column is read for. Messages of words where numbers have to be depend on it.
enum class CsvUse : uint8_t { Nothing, Label, Number, Row, LabelAndNumber };

/// A column of labels, which are numbers or words: each text once, in the order of the file.
struct CsvLabels {
  size_t column = 0;
  std::vector<std::string> texts;             // without spaces around them
  std::vector<std::optional<float>> numbers;  // those that are
  std::vector<size_t> lines;                  // where each is first, from 1
  std::vector<uint32_t> rows;                 // the place of each row's text among them

  /// The first text that is no number.
  std::optional<size_t> first_word() const;
};

struct CsvTable {
  CsvHeader header;
  HostTensor values;              // f32[rows, columns]; 0 in columns of labels and in those that are read for nothing
  std::vector<CsvLabels> labels;  // in the order of their columns
  std::vector<size_t> lines;      // of each row, from 1
};

/// Reads the first line of `text`; the second one shows whether words among its fields are names of columns. Errors:
/// Input when it is empty, not text or has a name twice; Limit.
Result<CsvHeader> parse_csv_header(std::string_view text, const std::string& name, const Limits& limits = {});

/// Errors: Input with row (1-based line of the file) and column: ragged rows, fields that are empty, no
/// number, or too large for f32, labels that are not UTF-8, quotes without an end, NUL bytes; Limit. `uses` says what
/// each column is read for, those behind its end for nothing; without it all are numbers.
Result<CsvTable> parse_csv(std::string_view text, const std::string& name, std::span<const CsvUse> uses = {},
                           const Limits& limits = {});
Result<CsvTable> read_csv(const std::string& path, std::span<const CsvUse> uses = {}, const Limits& limits = {});

/// How messages call a column: "column `kind`", or "column 3" of a file without a header.
std::string column_name(const CsvHeader& header, size_t column);

/// A cell of a table, for messages.
struct CsvCell {
  const std::string& file;
  size_t line = 0;
  std::string column;  // as column_name has it
};
/// A label without spaces around it: the number that it is, or none for a word. Errors: Input for what is neither.
Result<std::optional<float>> parse_label(std::string_view text, const CsvCell& cell);

struct CsvRecord {
  size_t line = 0;  // of the file, from 1
  std::vector<std::string> fields;
};
/// All lines as texts, the first one too. Errors: as parse_csv, but fields may hold anything.
Result<std::vector<CsvRecord>> read_csv_texts(const std::string& path, const Limits& limits = {});

}  // namespace smelt
