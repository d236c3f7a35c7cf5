#include "runtime/data/picture_list.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <unordered_set>

#include "ir/support/suggest.h"
#include "runtime/data/check_columns.h"
#include "runtime/data/data_paths.h"
#include "runtime/files/csv.h"
#include "runtime/files/csv_labels.h"
#include "runtime/files/message.h"
#include "runtime/files/pattern.h"

namespace smelt {
namespace {

namespace fs = std::filesystem;

constexpr size_t kShownClasses = 10;

bool is_list(const std::string& path) { return path.ends_with(".csv") || path.ends_with(".csv.gz"); }

/// The first folder below that of the pattern, as torchvision's ImageFolder has it.
Result<std::string> folder_label(const PictureFile& file, const Pattern& pattern) {
  const size_t slash = file.name.find('/');
  if (slash != std::string::npos) return file.name.substr(0, slash);
  return fail(ErrorKind::Input,
              fmt::format("`{}` is in no class folder: it lies in `{}` itself", printable(file.name),
                          printable(pattern.folder)),
              "`label = folder` takes the folders in it as classes: write `folder/*/*.png`");
}

Result<std::vector<PictureFile>> by_pattern(const std::string& place, PictureLabel label) {
  const Pattern pattern = split_pattern(place);
  SMELT_TRY(std::vector<std::string> names, match_some(pattern));
  std::vector<PictureFile> files;
  for (std::string& name : names) {
    PictureFile file{(fs::path(pattern.folder) / name).string(), std::move(name), {}};
    if (label == PictureLabel::Folder) {
      SMELT_TRY(file.label, folder_label(file, pattern));
    }
    files.push_back(std::move(file));
  }
  return files;
}

/// A line of a list: a name, and where labels are asked for a label.
Result<PictureFile> by_line(const CsvRecord& record, const std::string& list, const CsvHeader& header,
                            PictureLabel label) {
  const auto wrong = [&](std::string_view what, std::string help = {}) {
    return fail(ErrorKind::Input, fmt::format("{}: row {}: {}", printable(list), record.line, what), std::move(help));
  };
  const std::string& name = record.fields[0];
  if (name.empty()) return wrong("the name of the picture is empty");
  if (leaves_directory(name))
    return wrong(fmt::format("`{}` leaves the list's folder", printable(name)), "names are relative to the list");
  PictureFile file{(fs::path(list).parent_path() / name).string(), name, {}, {}, {}, record.line};
  std::error_code ignored;
  if (!fs::exists(file.path, ignored))
    return wrong(fmt::format("there is no picture `{}`", printable(file.path)), "names are relative to the list");
  if (label != PictureLabel::Column) return file;
  if (record.fields.size() < 2 || record.fields[1].empty())
    return wrong(fmt::format("`{}` has no label", printable(name)), "a line is a name, a comma and a label");
  file.label = record.fields[1];
  file.list = list;
  file.column = column_name(header, 1);
  return file;
}

Result<std::vector<PictureFile>> by_list(const std::string& place, PictureLabel label, const Limits& limits) {
  if (label == PictureLabel::Folder)
    return fail(ErrorKind::Input, fmt::format("`label = folder` does not go with the list `{}`", printable(place)),
                "write `label = column`: the second column of the list");
  SMELT_TRY(const std::vector<CsvRecord> records, read_csv_texts(place, limits));
  std::vector<PictureFile> files;
  CsvHeader header;
  std::error_code ignored;
  for (const CsvRecord& record : records) {
    // `name,label` in the first line is a header, unless there is a picture of that name.
    const bool first = &record == &records.front();
    if (first && record.fields[0].find('.') == std::string::npos &&
        !fs::exists(fs::path(place).parent_path() / record.fields[0], ignored)) {
      header.names = record.fields;
      continue;
    }
    SMELT_TRY(PictureFile file, by_line(record, place, header, label));
    files.push_back(std::move(file));
  }
  if (files.empty()) return fail(ErrorKind::Input, fmt::format("{}: the list has no rows", printable(place)));
  return files;
}

Result<std::vector<PictureFile>> by_path(const std::string& place, PictureLabel label, const Limits& limits) {
  std::error_code ignored;
  if (is_pattern(place)) return by_pattern(place, label);
  if (is_list(place)) return by_list(place, label, limits);
  if (fs::is_directory(place, ignored))
    return fail(ErrorKind::Input, fmt::format("`{}` is a folder", printable(place)),
                "say which files of it: `folder/**/*.png`");
  if (label == PictureLabel::Folder)
    return fail(ErrorKind::Input, fmt::format("`label = folder` does not go with one file, `{}`", printable(place)),
                "write a pattern: `folder/*/*.png`");
  const fs::path path(place);
  return std::vector{PictureFile{place, path.filename().string(), {}}};
}

}  // namespace

Result<std::vector<PictureFile>> list_pictures(const SourceCall& source, std::span<const std::string> places,
                                               const Limits& limits) {
  std::vector<PictureFile> files;
  std::unordered_set<std::string> seen;
  for (const std::string& place : places) {
    if (source.pictures.label == PictureLabel::Column && !is_list(place))
      return fail(ErrorKind::Input, fmt::format("`label = column` takes a list, not `{}`", printable(place)),
                  "write the path of a .csv file of names and labels");
    SMELT_TRY(std::vector<PictureFile> more, by_path(place, source.pictures.label, limits));
    for (PictureFile& file : more) {
      const bool repeated = !seen.insert(file.path).second;
      if (!repeated || file.line != 0) files.push_back(std::move(file));  // who lists one twice wants it twice
    }
  }
  return files;
}

namespace {

/// The labels of one list.
struct ListLabels {
  std::string list, column;
  CsvLabels labels;
};

/// Of each list, in the order of the files; none where labels are folders.
Result<std::vector<ListLabels>> labels_of_lists(std::span<const PictureFile> files) {
  std::vector<ListLabels> lists;
  for (auto file = files.begin(); file != files.end();) {
    LabelInterner interner(1);
    const auto first = file;
    if (first->list.empty()) return std::vector<ListLabels>();
    for (; file != files.end() && file->list == first->list; ++file)
      if (!interner.add_known(file->label))
        SMELT_TRY_VOID(interner.add_new(file->label, {file->list, file->line, file->column}));
    lists.push_back({first->list, first->column, interner.take()});
  }
  return lists;
}

/// A number of a list as a class.
Result<int32_t> class_of_number(const ListLabels& list, size_t text, double number, const ColumnLimit* limit) {
  const std::string place = fmt::format("{}: row {}: {}", printable(list.list), list.labels.lines[text], list.column);
  const bool whole = number == std::floor(number) && std::abs(number) < 0x1p24;  // f32 skips larger ones
  if (limit != nullptr && (!whole || number < 0 || number >= static_cast<double>(limit->below)))
    return outside_of_dim(place, number, *limit, "rows are lines of the file");
  if (whole) return static_cast<int32_t>(number);
  return fail(ErrorKind::Input, fmt::format("{}: {} is no whole number below 16777216", place, number),
              "labels of pictures are whole numbers or words");
}

Result<std::vector<int32_t>> numbers_of_lists(std::span<const ListLabels> lists,
                                              const std::vector<std::string>& classes, const std::string& known,
                                              const ColumnLimit* limit) {
  const LabelWords words{classes.empty() ? nullptr : &classes, limit == nullptr ? "field(1)" : limit->dim, known};
  std::vector<int32_t> all;
  for (const ListLabels& list : lists) {
    SMELT_TRY(const std::vector<float> numbers, number_labels(list.labels, words, list.list, list.column));
    std::vector<int32_t> of_texts;
    for (size_t k = 0; k < numbers.size(); ++k) {
      SMELT_TRY(of_texts.emplace_back(), class_of_number(list, k, numbers[k], limit));
    }
    for (const uint32_t text : list.labels.rows) all.push_back(of_texts[text]);
  }
  return all;
}

}  // namespace

namespace {

/// Names of folders may be any bytes. Sorted, so that it is known which comes first.
Result<void> check_folders(std::span<const std::string> names) {
  size_t bytes = 0;
  for (const std::string& name : names) {
    SMELT_TRY_VOID(check_word(name, bytes, fmt::format("the class folder `{}`", printable(name, 40)),
                              "rename the folder: checkpoints keep the names of classes"));
    bytes += name.size();
  }
  return {};
}

}  // namespace

Result<std::vector<std::string>> class_names(std::span<const PictureFile> files) {
  SMELT_TRY(const std::vector<ListLabels> lists, labels_of_lists(files));
  const auto has_word = [](const ListLabels& list) { return list.labels.first_word().has_value(); };
  if (!lists.empty() && std::ranges::none_of(lists, has_word)) return std::vector<std::string>();
  std::vector<std::string> names;
  for (const PictureFile& file : files) names.push_back(file.label);
  std::ranges::sort(names);
  names.erase(std::unique(names.begin(), names.end()), names.end());
  if (lists.empty()) SMELT_TRY_VOID(check_folders(names));
  return names;
}

Result<std::vector<std::string>> notes_of_mixtures(std::span<const PictureFile> files) {
  SMELT_TRY(const std::vector<ListLabels> lists, labels_of_lists(files));
  std::vector<std::string> notes;
  for (const ListLabels& list : lists)
    if (std::string note = note_of_mixture(list.labels, list.list, list.column); !note.empty())
      notes.push_back(std::move(note));
  return notes;
}

Result<std::vector<int32_t>> class_numbers(std::span<const PictureFile> files, const std::vector<std::string>& classes,
                                           const std::string& known, const ColumnLimit* limit) {
  SMELT_TRY(const std::vector<ListLabels> lists, labels_of_lists(files));
  if (!lists.empty()) return numbers_of_lists(lists, classes, known, limit);
  std::vector<int32_t> numbers;
  for (const PictureFile& file : files) {
    const auto at = std::ranges::lower_bound(classes, file.label);
    if (at != classes.end() && *at == file.label) {
      numbers.push_back(static_cast<int32_t>(at - classes.begin()));
      continue;
    }
    std::vector<std::string> names;
    for (const std::string& name : std::span(classes).first(std::min(kShownClasses, classes.size())))
      names.push_back(printable(name, 40));
    return fail(ErrorKind::Input,
                fmt::format("`{}` is of class `{}`, which {} does not have", printable(file.name),
                            printable(file.label, 40), known),
                classes.empty() ? "its labels are numbers"
                                : fmt::format("its {} classes are {}{}", classes.size(), fmt::join(names, ", "),
                                              names.size() < classes.size() ? ", .." : ""));
  }
  return numbers;
}

}  // namespace smelt
