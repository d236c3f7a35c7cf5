#include "runtime/data/load_csv.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "ir/readers.h"
#include "runtime/files/csv.h"
#include "runtime/files/csv_labels.h"
#include "runtime/files/message.h"

namespace smelt {
namespace {

bool is_table(const SourceCall& source) {
  const ReaderRecord* reader = find_reader_record(source.reader);
  return reader != nullptr && !reader->field_is_file && reader->kind == FileKind::Table;
}

/// The limit of the labels in a column of the plan; null when it has none.
const ColumnLimit* limit_of(const DataPlan& plan, size_t column) {
  const auto limit = std::ranges::find(plan.limits, static_cast<int32_t>(column), &ColumnLimit::column);
  return limit == plan.limits.end() ? nullptr : &*limit;
}

CsvUse joined(CsvUse a, CsvUse b) {
  if (a == CsvUse::Nothing || a == b) return b;
  if (b == CsvUse::Nothing) return a;
  if (a == CsvUse::Row || b == CsvUse::Row) return CsvUse::Row;  // what is said of a row helps most
  return a == CsvUse::Label || b == CsvUse::Label ? CsvUse::LabelAndNumber : a;
}

/// What the columns of a section's file are read for.
class Uses {
 public:
  Uses(const DataPlan& plan, int32_t section) {
    for (size_t c = 0; c < plan.columns.size(); ++c) {
      const Column& column = plan.columns[c];
      if (column.section != section) continue;
      if (column.field == Column::kWholeRow) {
        add_rows(column);
      } else {
        const CsvUse label = column.as_number ? CsvUse::LabelAndNumber : CsvUse::Label;
        add(column.field, limit_of(plan, c) == nullptr ? CsvUse::Number : label);
      }
    }
  }
  std::vector<CsvUse> all() const { return uses_; }
  std::vector<CsvUse> labels() const {
    std::vector<CsvUse> labels;
    for (const CsvUse use : uses_) labels.push_back(use == CsvUse::Label ? use : CsvUse::Nothing);
    return labels;
  }

 private:
  void add_rows(const Column& column) {
    const int64_t count = column.row_shape.empty() ? 0 : column.row_shape[0];
    std::vector<ColumnSpan> parts = column.parts;
    if (parts.empty() || column.as_number) parts = {{0, count}};
    for (const ColumnSpan& part : parts)
      for (int64_t k = part.begin; k < std::min(part.end, count); ++k) add(k, CsvUse::Row);
  }
  void add(int64_t column, CsvUse use) {
    const auto at = static_cast<size_t>(column);
    if (at >= uses_.size()) uses_.resize(at + 1, CsvUse::Nothing);
    uses_[at] = joined(uses_[at], use);
  }

  std::vector<CsvUse> uses_;
};

class Words {
 public:
  Words(const DataPlan& plan, const Split& split, const std::string& place, const DataPaths& paths, LoadedCsv& out)
      : plan_(plan), split_(split), place_(place), paths_(paths), out_(out) {}

  /// Gives each column of labels its numbers.
  Result<void> number(const CsvTable& table) {
    SMELT_TRY_VOID(find_words(table));
    for (const CsvLabels& labels : table.labels) {
      for (size_t c = 0; c < plan_.columns.size(); ++c) {
        const ColumnLimit* limit = is_column(c, split_.section, labels) ? limit_of(plan_, c) : nullptr;
        if (limit == nullptr) continue;
        SMELT_TRY(const std::vector<float> numbers, numbers_of(table.header, labels, *limit));
        fill(labels, numbers);
        if (out_.words.contains(limit->dim)) out_.dims[static_cast<int32_t>(c)] = limit->dim;
        break;
      }
    }
    return {};
  }

 private:
  bool is_column(size_t column, int32_t section, const CsvLabels& labels) const {
    const Column& c = plan_.columns[column];
    return c.section == section && std::cmp_equal(c.field, labels.column);
  }

  /// The dim of labels in a section's file.
  std::string dim_of(int32_t section, const CsvLabels& labels) const {
    for (size_t c = 0; c < plan_.columns.size(); ++c)
      if (is_column(c, section, labels) && limit_of(plan_, c) != nullptr) return limit_of(plan_, c)->dim;
    return {};
  }

  Result<void> find_words(const CsvTable& table) {
    std::set<std::string> dims;  // of this file
    for (const CsvLabels& labels : table.labels) dims.insert(dim_of(split_.section, labels));
    if (plan_.known_words) {
      for (const auto& [dim, words] : plan_.known_words->words)
        if (dims.contains(dim)) out_.words[dim] = words;
      return {};
    }
    std::map<std::string, std::set<std::string>> texts;
    std::set<std::string> with_words;
    const auto add = [&](int32_t section, const CsvLabels& labels) {
      const std::string dim = dim_of(section, labels);
      if (!dims.contains(dim)) return;
      texts[dim].insert(labels.texts.begin(), labels.texts.end());
      if (labels.first_word()) with_words.insert(dim);
    };
    for (int32_t section = 0; section < plan_.num_sections(); ++section) {
      SMELT_TRY(const std::vector<CsvLabels> others, labels_of_first_split(section, dims));
      for (const CsvLabels& labels : others) add(section, labels);
      if (is_first(section))
        for (const CsvLabels& labels : table.labels) add(section, labels);
    }
    for (const std::string& dim : with_words) out_.words[dim].assign(texts[dim].begin(), texts[dim].end());
    if (split_.name == first_split(plan_, split_.section).name) note_numbers_among_words(table);
    return {};
  }

  /// Whether the file at hand is that of the section's first split.
  bool is_first(int32_t section) const {
    return section == split_.section && first_split(plan_, section).source.paths == split_.source.paths;
  }

  /// Of the first split of a section whose file is not the one at hand.
  Result<std::vector<CsvLabels>> labels_of_first_split(int32_t section, const std::set<std::string>& dims) const {
    const auto has_dim = [&](const ColumnLimit& limit) {
      return dims.contains(limit.dim) && plan_.columns[static_cast<size_t>(limit.column)].section == section;
    };
    const SourceCall& source = first_split(plan_, section).source;
    if (is_first(section) || !is_table(source) || std::ranges::none_of(plan_.limits, has_dim))
      return std::vector<CsvLabels>();
    SMELT_TRY(const std::string place, resolve_data_path(source.paths.front(), plan_.section_name(section), paths_));
    const std::vector<CsvUse> uses = Uses(plan_, section).labels();
    if (uses.empty()) return std::vector<CsvLabels>();
    SMELT_TRY(CsvTable table, read_csv(place, uses, paths_.limits));
    return std::move(table.labels);
  }

  void note_numbers_among_words(const CsvTable& table) {
    for (const CsvLabels& labels : table.labels) {
      std::string note = note_of_mixture(labels, place_, column_name(table.header, labels.column));
      if (!note.empty()) out_.notes.push_back(std::move(note));
    }
  }

  std::string where() const {
    return plan_.known_words ? plan_.known_words->where
                             : fmt::format("split `{}`", first_split(plan_, split_.section).name);
  }
  Result<void> check_size(const CsvHeader& header, const CsvLabels& labels, const ColumnLimit& limit,
                          const std::vector<std::string>& words) const {
    const auto count = static_cast<int64_t>(words.size());
    if (count <= limit.below) return {};
    return fail(ErrorKind::Input,
                fmt::format("{}: {} has {} words, `{}` is {}", printable(place_), column_name(header, labels.column),
                            count, limit.dim, limit.below),
                fmt::format("make it `dim {} = {}`; the first word that has no place is `{}`", limit.dim, count,
                            printable(words[static_cast<size_t>(limit.below)], 40)),
                limit.span);
  }

  /// The number of each text of a column.
  Result<std::vector<float>> numbers_of(const CsvHeader& header, const CsvLabels& labels,
                                        const ColumnLimit& limit) const {
    const auto words = out_.words.find(limit.dim);
    const bool has_words = words != out_.words.end();
    if (has_words) SMELT_TRY_VOID(check_size(header, labels, limit, words->second));
    return number_labels(labels, {has_words ? &words->second : nullptr, limit.dim, where()}, place_,
                         column_name(header, labels.column));
  }

  void fill(const CsvLabels& labels, const std::vector<float>& numbers) {
    const auto columns = static_cast<size_t>(out_.values.shape[1]);
    const std::span<float> values = out_.values.as<float>();
    for (size_t row = 0; row < labels.rows.size(); ++row)
      values[row * columns + labels.column] = numbers[labels.rows[row]];
  }

  const DataPlan& plan_;
  const Split& split_;
  const std::string& place_;
  const DataPaths& paths_;
  LoadedCsv& out_;
};

}  // namespace

Result<LoadedCsv> load_csv(const DataPlan& plan, const Split& split, const std::string& place, const DataPaths& paths) {
  LoadedCsv out;
  SMELT_TRY(CsvTable table, read_csv(place, Uses(plan, split.section).all(), paths.limits));
  out.values = std::move(table.values);
  SMELT_TRY_VOID(Words(plan, split, place, paths, out).number(table));
  for (size_t k = 0; k < table.header.num_columns; ++k) out.columns.push_back(column_name(table.header, k));
  out.lines = std::move(table.lines);
  return out;
}

bool may_have_words(const DataPlan& plan) {
  return std::ranges::any_of(plan.limits, [&](const ColumnLimit& limit) {
    const Column& column = plan.columns[static_cast<size_t>(limit.column)];
    const SourceCall& source = first_split(plan, column.section).source;
    return is_table(source) ? !column.as_number : source.pictures.label != PictureLabel::None;
  });
}

}  // namespace smelt
