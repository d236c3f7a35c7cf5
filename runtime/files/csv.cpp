#include "runtime/files/csv.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <memory>
#include <unordered_set>

#include "runtime/files/csv_labels.h"
#include "runtime/files/file.h"
#include "runtime/files/message.h"

namespace smelt {
namespace {

constexpr std::array kDelimiters = {',', ';', '\t'};
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

struct Number {
  float value = 0;
  std::errc error = std::errc::invalid_argument;
};

std::string_view trimmed(std::string_view field) {
  const size_t first = field.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return field.substr(first, field.find_last_not_of(" \t") - first + 1);
}

// Without its `+`, which from_chars does not know; `+-1` has two signs and stays what it is, no number.
std::string_view without_plus(std::string_view text) {
  const bool other_sign = text.size() > 1 && text[1] == '-';
  return text.starts_with('+') && !other_sign ? text.substr(1) : text;
}

// Whether a number that no double holds is too small for one: from_chars calls both directions out of range.
bool is_tiny(std::string_view text) {
  const size_t exponent = text.find_first_of("eE");
  if (exponent != std::string_view::npos) return text.substr(exponent + 1).starts_with('-');
  return text.substr(0, text.find('.')).find_first_of("123456789") == std::string_view::npos;
}

// The whole field as a number; `nan` and `inf` are not numbers of a data file.
Number parse_number(std::string_view field) {
  const std::string_view text = without_plus(trimmed(field));
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() && error != std::errc::result_out_of_range) return {};
  if (end != text.data() + text.size() || text.find_first_of("nN") != std::string_view::npos) return {};
  if (error != std::errc()) return {0, is_tiny(text) ? std::errc() : error};  // too small is just zero
  const auto narrow = static_cast<float>(value);
  return {narrow, std::isfinite(narrow) ? std::errc() : std::errc::result_out_of_range};
}

// Words to a reader of numbers, and what programs write where a value is missing.
bool is_nan_or_infinity(std::string_view field) {
  const std::string_view text = without_plus(trimmed(field));
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && !std::isfinite(value);
}

// Splits a text into records and fields.
class CsvReader {
 public:
  CsvReader(std::string_view text, const std::string& name, const Limits& limits, char delimiter)
      : text_(text), name_(name), limits_(limits), delimiter_(delimiter) {}

  /// The next record into `fields`; false at the end. Empty lines are skipped.
  Result<bool> next(std::vector<std::string_view>& fields) {
    fields.clear();
    storage_.clear();
    skip_empty_lines();
    if (at_ >= text_.size()) return false;
    record_line_ = line_;
    const size_t begin = at_;
    while (true) {
      SMELT_TRY(const std::string_view field, next_field());
      fields.push_back(field);
      if (fields.size() > limits_.csv_columns) {
        return fail(
            ErrorKind::Limit,
            fmt::format("{}: row {}: more than {} columns", printable(name_), record_line_, limits_.csv_columns),
            double_limit(&Limits::csv_columns, limits_));
      }
      if (at_ < text_.size() && text_[at_] == delimiter_) {
        ++at_;
        continue;
      }
      break;
    }
    if (at_ - begin > limits_.csv_line) {
      return fail(ErrorKind::Limit,
                  fmt::format("{}: row {}: a line of {}, the limit is {}", printable(name_), record_line_,
                              human_bytes(at_ - begin), human_bytes(limits_.csv_line)),
                  raise_limit(&Limits::csv_line, at_ - begin));
    }
    end_line();
    return true;
  }

  const std::string& name() const { return name_; }
  size_t line() const { return record_line_; }
  uint64_t position() const { return at_; }
  std::unexpected<Error> wrong(std::string_view what, std::string help = {}) const {
    return fail(ErrorKind::Input, fmt::format("{}: row {}: {}", printable(name_), record_line_, what), std::move(help));
  }

 private:
  void end_line() {
    if (at_ < text_.size() && text_[at_] == '\r') ++at_;
    if (at_ < text_.size() && text_[at_] == '\n') ++at_;
    ++line_;
  }
  void skip_empty_lines() {
    while (at_ < text_.size() && (text_[at_] == '\n' || text_.substr(at_).starts_with("\r\n"))) end_line();
  }

  Result<std::string_view> next_field() {
    if (at_ < text_.size() && text_[at_] == '"') return quoted_field();
    const size_t begin = at_;
    while (at_ < text_.size() && text_[at_] != delimiter_ && text_[at_] != '\n' && text_[at_] != '\r') {
      if (text_[at_] == '\0') return wrong(fmt::format("byte {} is NUL", at_), "this is no text file");
      ++at_;
    }
    return text_.substr(begin, at_ - begin);
  }

  Result<std::string_view> quoted_field() {
    std::string value;
    ++at_;
    while (true) {
      const size_t quote = text_.find('"', at_);
      if (quote == std::string_view::npos) {
        return wrong("the quote that opens here has no end", "a quote inside a quoted field is written twice");
      }
      value += text_.substr(at_, quote - at_);
      at_ = quote + 1;
      if (at_ >= text_.size() || text_[at_] != '"') break;
      value += '"';
      ++at_;
    }
    line_ += static_cast<size_t>(std::count(value.begin(), value.end(), '\n'));
    if (at_ < text_.size() && text_[at_] != delimiter_ && text_[at_] != '\n' && text_[at_] != '\r') {
      return wrong("text follows a closing quote", "a quote inside a quoted field is written twice");
    }
    storage_.push_back(std::make_unique<std::string>(std::move(value)));
    return std::string_view(*storage_.back());
  }

  std::string_view text_;
  const std::string& name_;
  const Limits& limits_;
  const char delimiter_;
  size_t at_ = 0;
  size_t line_ = 1;
  size_t record_line_ = 1;
  std::vector<std::unique_ptr<std::string>> storage_;  // of quoted fields, until the next record
};

// The delimiter that occurs most often in the first line, outside quotes. Where all its commas stand between digits and
// it has another delimiter, `1,5;2,5`, they are decimal commas: columns that are split at them would hold halves of
// numbers.
char sniff_delimiter(std::string_view text) {
  std::array<size_t, kDelimiters.size()> counts{};
  const auto is_digit = [&](size_t at) { return at < text.size() && text[at] >= '0' && text[at] <= '9'; };
  bool quoted = false, decimal = true;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '"') quoted = !quoted;
    if (c == '\n' && !quoted) break;
    if (quoted) continue;
    for (size_t i = 0; i < kDelimiters.size(); ++i) counts[i] += c == kDelimiters[i] ? 1 : 0;
    if (c == ',') decimal = decimal && at > 0 && is_digit(at - 1) && is_digit(at + 1);
  }
  static_assert(kDelimiters[0] == ',');
  if (decimal && (counts[1] > 0 || counts[2] > 0)) counts[0] = 0;
  return kDelimiters[static_cast<size_t>(std::max_element(counts.begin(), counts.end()) - counts.begin())];
}

std::unexpected<Error> ragged(const CsvReader& reader, const CsvHeader& header, std::span<const std::string_view> row) {
  const bool decimal_comma = header.delimiter == ',' && row.size() == 2 * header.num_columns;
  return reader.wrong(fmt::format("expected {} columns, got {}", header.num_columns, row.size()),
                      decimal_comma ? "numbers are written with a decimal point, fields split at `,`" : "");
}

/// What can be done about a word where a number has to be.
std::string help_for_word(size_t column, CsvUse use) {
  if (use == CsvUse::LabelAndNumber)
    return fmt::format("`field({})` is read as a label and as a number, and only labels may be words", column);
  const std::string label = fmt::format("only labels may be words: `y: ix<Class> = field({})`", column);
  if (use != CsvUse::Row) return label;
  return column == 0 ? label + "; `row()[1 ..]` is the columns behind it"
                     : fmt::format("{}; `row()[0 .. {}]` is the columns before it", label, column);
}

bool begins_like_a_word(std::string_view field) {
  const char first = trimmed(field).front();
  return static_cast<signed char>(first) < 0 || (first >= 'a' && first <= 'z') || (first >= 'A' && first <= 'Z');
}

/// What is wrong with a cell, and what to do.
struct Mistake {
  std::string what, help;
};

/// Why a field that is empty, too large, or has no meaning as a number cannot be read; also as a label.
std::optional<Mistake> unreadable(std::string_view field, std::errc error, const std::string& column) {
  const std::string shown = printable(field, 40);
  if (trimmed(field).empty())
    return Mistake{fmt::format("{} is empty", column), "fill in or remove rows with missing values"};
  if (error == std::errc::result_out_of_range)
    return Mistake{fmt::format("{}: `{}` is too large for f32", column, shown), {}};
  if (is_nan_or_infinity(field))
    return Mistake{fmt::format("{}: `{}` is not a number", column, shown),
                   "fill in or remove rows with missing values"};
  return std::nullopt;
}

bool has_decimal_comma(std::string_view field) {
  return field.find_first_not_of("0123456789,-+ ") == std::string_view::npos &&
         field.find(',') != std::string_view::npos;
}

std::unexpected<Error> not_a_number(const CsvReader& reader, const CsvHeader& header, size_t column, CsvUse use,
                                    std::string_view field, std::errc error) {
  const std::string where = column_name(header, column);
  if (std::optional<Mistake> mistake = unreadable(field, error, where))
    return reader.wrong(mistake->what, std::move(mistake->help));
  std::string help;
  if (has_decimal_comma(field)) {
    help = "numbers are written with a decimal point";
  } else if (header.num_columns == 1 && field.find_first_of(" |:") != std::string_view::npos) {
    help = "columns are split at `,`, `;` or tab";
  } else if (begins_like_a_word(field)) {
    help = help_for_word(column, use);
  }
  return reader.wrong(fmt::format("{}: `{}` is not a number", where, printable(field, 40)), std::move(help));
}

bool is_word(std::string_view field) {
  return !trimmed(field).empty() && parse_number(field).error == std::errc::invalid_argument &&
         !has_decimal_comma(field);
}

/// Whether words of the first line are names: where it has numbers too, a column has to have a number below its name.
bool has_names(CsvReader& reader, std::span<const std::string_view> first) {
  const auto num_names = static_cast<size_t>(std::ranges::count_if(first, is_word));
  // One word among numbers is a bad row, not a header: all fields must be names, as `2021` may be one of
  // them.
  if (num_names * 2 <= first.size()) return false;
  const auto is_number = [](std::string_view field) { return parse_number(field).error == std::errc(); };
  if (std::ranges::none_of(first, is_number)) return true;
  std::vector<bool> names;
  for (const std::string_view field : first) names.push_back(is_word(field));
  std::vector<std::string_view> second;
  const Result<bool> found = reader.next(second);
  if (!found || !*found || second.size() != names.size()) return true;
  for (size_t k = 0; k < names.size(); ++k)
    if (names[k] && !is_word(second[k])) return true;
  return false;
}

/// Reads the rows of a file into a table.
class TableReader {
 public:
  TableReader(CsvReader& reader, const CsvHeader& header, std::span<const CsvUse> uses)
      : reader_(reader), header_(header) {
    for (size_t column = 0; column < header.num_columns; ++column) {
      const CsvUse beyond = uses.empty() ? CsvUse::Number : CsvUse::Nothing;
      uses_.push_back(column < uses.size() ? uses[column] : beyond);
      interners_.emplace_back(column);
    }
  }

  Result<void> add(std::span<const std::string_view> row) {
    if (row.size() != header_.num_columns) return ragged(reader_, header_, row);
    for (size_t column = 0; column < row.size(); ++column) {
      SMELT_TRY(const float value, read(column, row[column]));
      values_.push_back(value);
    }
    lines_.push_back(reader_.line());
    return {};
  }

  int64_t num_rows() const { return static_cast<int64_t>(lines_.size()); }
  std::vector<size_t> take_lines() { return std::move(lines_); }
  std::span<const float> values() const { return values_; }
  std::vector<CsvLabels> take_labels() {
    std::vector<CsvLabels> labels;
    for (size_t column = 0; column < uses_.size(); ++column)
      if (uses_[column] == CsvUse::Label) labels.push_back(interners_[column].take());
    return labels;
  }

 private:
  Result<float> read(size_t column, std::string_view field) {
    const CsvUse use = uses_[column];
    if (use == CsvUse::Nothing) return 0.0f;
    if (use == CsvUse::Label) return read_label(column, field);
    const Number number = parse_number(field);
    if (number.error != std::errc()) return not_a_number(reader_, header_, column, use, field, number.error);
    return number.value;
  }

  Result<float> read_label(size_t column, std::string_view field) {
    const std::string_view text = trimmed(field);
    LabelInterner& interner = interners_[column];
    if (interner.add_known(text)) return 0.0f;
    SMELT_TRY_VOID(interner.add_new(text, {reader_.name(), reader_.line(), column_name(header_, column)}));
    return 0.0f;
  }

  CsvReader& reader_;
  const CsvHeader& header_;
  std::vector<CsvUse> uses_;
  std::vector<LabelInterner> interners_;
  std::vector<float> values_;
  std::vector<size_t> lines_;
};

}  // namespace

Result<std::optional<float>> parse_label(std::string_view text, const CsvCell& cell) {
  const Number number = parse_number(text);
  if (std::optional<Mistake> mistake = unreadable(text, number.error, cell.column))
    return fail(ErrorKind::Input, fmt::format("{}: row {}: {}", printable(cell.file), cell.line, mistake->what),
                std::move(mistake->help));
  return number.error == std::errc() ? std::optional(number.value) : std::nullopt;
}

std::string column_name(const CsvHeader& header, size_t column) {
  return column < header.names.size() ? fmt::format("column `{}`", printable(header.names[column], 64))
                                      : fmt::format("column {}", column + 1);
}

Result<CsvHeader> parse_csv_header(std::string_view text, const std::string& name, const Limits& limits) {
  const size_t skipped = text.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0;
  CsvHeader header;
  header.delimiter = sniff_delimiter(text.substr(skipped));
  CsvReader reader(text.substr(skipped), name, limits, header.delimiter);
  std::vector<std::string_view> fields;
  SMELT_TRY(const bool found, reader.next(fields));
  if (!found) return fail(ErrorKind::Input, fmt::format("{}: the file has no rows", printable(name)));
  header.num_columns = fields.size();
  header.data_begin = skipped;
  const uint64_t end_of_first = reader.position();
  CsvReader ahead(text.substr(skipped + end_of_first), name, limits, header.delimiter);
  if (!has_names(ahead, fields)) return header;
  std::unordered_set<std::string> seen;
  for (const std::string_view field : fields) {
    std::string column(trimmed(field));
    if (!column.empty() && !seen.insert(column).second) {
      return reader.wrong(fmt::format("column name `{}` occurs twice", printable(column, 64)));
    }
    header.names.push_back(std::move(column));
  }
  header.data_begin = skipped + end_of_first;
  return header;
}

Result<CsvTable> parse_csv(std::string_view text, const std::string& name, std::span<const CsvUse> uses,
                           const Limits& limits) {
  SMELT_TRY(CsvHeader header, parse_csv_header(text, name, limits));
  const size_t skipped = text.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0;
  CsvReader reader(text.substr(skipped), name, limits, header.delimiter);
  std::vector<std::string_view> fields;
  if (!header.names.empty()) SMELT_TRY_VOID(reader.next(fields));

  TableReader rows(reader, header, uses);
  while (true) {
    SMELT_TRY(const bool more, reader.next(fields));
    if (!more) break;
    SMELT_TRY_VOID(rows.add(fields));
  }
  if (rows.num_rows() == 0)
    return fail(ErrorKind::Input, fmt::format("{}: the file has a header but no rows", printable(name)));
  CsvTable table;
  const auto columns = static_cast<int64_t>(header.num_columns);
  SMELT_TRY(table.values, HostTensor::zeros(DType::F32, {rows.num_rows(), columns}, printable(name)));
  std::ranges::copy(rows.values(), table.values.as<float>().begin());
  table.labels = rows.take_labels();
  table.lines = rows.take_lines();
  table.header = std::move(header);
  return table;
}

Result<CsvTable> read_csv(const std::string& path, std::span<const CsvUse> uses, const Limits& limits) {
  SMELT_TRY(const Buffer file, read_file(path, limits));
  return parse_csv({reinterpret_cast<const char*>(file.data()), file.size()}, path, uses, limits);
}

Result<std::vector<CsvRecord>> read_csv_texts(const std::string& path, const Limits& limits) {
  SMELT_TRY(const Buffer file, read_file(path, limits));
  std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  CsvReader reader(text, path, limits, sniff_delimiter(text));
  std::vector<CsvRecord> records;
  std::vector<std::string_view> fields;
  while (true) {
    SMELT_TRY(const bool more, reader.next(fields));
    if (!more) break;
    CsvRecord record{reader.line(), {}};
    for (const std::string_view field : fields) record.fields.emplace_back(trimmed(field));
    records.push_back(std::move(record));
  }
  if (records.empty()) return fail(ErrorKind::Input, fmt::format("{}: the file has no rows", printable(path)));
  return records;
}

}  // namespace smelt
