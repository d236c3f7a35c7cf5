#include "runtime/data/picture_list.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <unordered_set>

#include "ir/support/suggest.h"
#include "runtime/data/data_paths.h"
#include "runtime/files/csv.h"
#include "runtime/files/message.h"
#include "runtime/files/pattern.h"

namespace smelt {
namespace {

namespace fs = std::filesystem;

constexpr size_t kShownClasses = 10;

std::optional<int32_t> whole_number(std::string_view text) {
  int32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && value >= 0 ? std::optional(value) : std::nullopt;
}

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
Result<PictureFile> by_line(const CsvRecord& record, const std::string& list, PictureLabel label) {
  const auto wrong = [&](std::string_view what, std::string help = {}) {
    return fail(ErrorKind::Input, fmt::format("{}: row {}: {}", printable(list), record.line, what), std::move(help));
  };
  const std::string& name = record.fields[0];
  if (name.empty()) return wrong("the name of the picture is empty");
  if (leaves_directory(name))
    return wrong(fmt::format("`{}` leaves the list's folder", printable(name)), "names are relative to the list");
  PictureFile file{(fs::path(list).parent_path() / name).string(), name, {}, record.line};
  std::error_code ignored;
  if (!fs::exists(file.path, ignored))
    return wrong(fmt::format("there is no picture `{}`", printable(file.path)), "names are relative to the list");
  if (label != PictureLabel::Column) return file;
  if (record.fields.size() < 2 || record.fields[1].empty())
    return wrong(fmt::format("`{}` has no label", printable(name)), "a line is a name, a comma and a label");
  file.label = record.fields[1];
  return file;
}

Result<std::vector<PictureFile>> by_list(const std::string& place, PictureLabel label) {
  if (label == PictureLabel::Folder)
    return fail(ErrorKind::Input, fmt::format("`label = folder` does not go with the list `{}`", printable(place)),
                "write `label = column`: the second column of the list");
  SMELT_TRY(const std::vector<CsvRecord> records, read_csv_texts(place));
  std::vector<PictureFile> files;
  std::error_code ignored;
  for (const CsvRecord& record : records) {
    // `name,label` in the first line is a header, unless there is a picture of that name.
    const bool first = &record == &records.front();
    if (first && record.fields[0].find('.') == std::string::npos &&
        !fs::exists(fs::path(place).parent_path() / record.fields[0], ignored))
      continue;
    SMELT_TRY(PictureFile file, by_line(record, place, label));
    files.push_back(std::move(file));
  }
  if (files.empty()) return fail(ErrorKind::Input, fmt::format("{}: the list has no rows", printable(place)));
  return files;
}

Result<std::vector<PictureFile>> by_path(const std::string& place, PictureLabel label) {
  std::error_code ignored;
  if (is_pattern(place)) return by_pattern(place, label);
  if (is_list(place)) return by_list(place, label);
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

Result<std::vector<PictureFile>> list_pictures(const SourceCall& source, std::span<const std::string> places) {
  std::vector<PictureFile> files;
  std::unordered_set<std::string> seen;
  for (const std::string& place : places) {
    if (source.pictures.label == PictureLabel::Column && !is_list(place))
      return fail(ErrorKind::Input, fmt::format("`label = column` takes a list, not `{}`", printable(place)),
                  "write the path of a .csv file of names and labels");
    SMELT_TRY(std::vector<PictureFile> more, by_path(place, source.pictures.label));
    for (PictureFile& file : more) {
      const bool repeated = !seen.insert(file.path).second;
      if (!repeated || file.line != 0) files.push_back(std::move(file));  // who lists one twice wants it twice
    }
  }
  return files;
}

std::vector<std::string> class_names(std::span<const PictureFile> files) {
  const bool listed = std::ranges::all_of(files, [](const PictureFile& file) { return file.line != 0; });
  if (listed &&
      std::ranges::all_of(files, [](const PictureFile& file) { return whole_number(file.label).has_value(); }))
    return {};
  std::vector<std::string> names;
  for (const PictureFile& file : files) names.push_back(file.label);
  std::ranges::sort(names);
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

Result<std::vector<int32_t>> class_numbers(std::span<const PictureFile> files, std::span<const std::string> classes,
                                           const std::string& known) {
  std::vector<int32_t> numbers;
  for (const PictureFile& file : files) {
    const auto at = std::ranges::lower_bound(classes, file.label);
    const std::optional<int32_t> number = classes.empty() ? whole_number(file.label) : std::nullopt;
    if (number) {
      numbers.push_back(*number);
    } else if (at != classes.end() && *at == file.label) {
      numbers.push_back(static_cast<int32_t>(at - classes.begin()));
    } else {
      const auto shown = classes.first(std::min(kShownClasses, classes.size()));
      std::vector<std::string> names;
      for (const std::string& name : shown) names.push_back(printable(name, 40));
      return fail(ErrorKind::Input,
                  fmt::format("`{}` is of class `{}`, which split `{}` does not have", printable(file.name),
                              printable(file.label, 40), known),
                  classes.empty() ? "its labels are numbers"
                                  : fmt::format("its {} classes are {}{}", classes.size(), fmt::join(names, ", "),
                                                shown.size() < classes.size() ? ", .." : ""));
    }
  }
  return numbers;
}

}  // namespace smelt
