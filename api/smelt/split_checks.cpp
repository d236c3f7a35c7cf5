#include "api/smelt/split_checks.h"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/data/data_readers.h"
#include "runtime/files/message.h"

namespace smelt {

/// `--data` looks for the last part of a path alone, so that `train/x.npy` and `valid/x.npy` would be one file: a run
/// would be evaluated on what it was trained on.
Result<void> SplitChecks::check_distinct(const std::string& section, const std::string& path, const std::string& place,
                                         const DataPaths& paths) {
  const auto directory = paths.directories.find(section);
  if (directory == paths.directories.end()) return {};
  const auto [first, fresh] = paths_.try_emplace(place, path);
  if (fresh || first->second == path) return {};
  return fail(ErrorKind::Input,
              fmt::format("`--data {}={}` finds `{}` for `{}` and for `{}`", section, printable(directory->second),
                          printable(place), printable(first->second), printable(path)),
              "it looks for the last part of a path alone: give the files names of their own");
}

/// Columns are read by their places: a name that stands elsewhere would be read as another one. Other names in the same
/// places are no mistake.
Result<void> SplitChecks::check_columns(const std::string& section, const std::string& place, const Limits& limits) {
  Result<CsvHeader> header = read_csv_header(place, limits);
  if (!header || header->names.empty()) return {};
  const auto [first, fresh] = columns_.try_emplace(section, Columns{place, header->names});
  if (fresh) return {};
  const Columns& known = first->second;
  for (size_t k = 0; k < header->names.size(); ++k) {
    const std::string& name = header->names[k];
    const auto there = static_cast<size_t>(std::ranges::find(known.names, name) - known.names.begin());
    if (name.empty() || there == known.names.size() || there == k) continue;
    return fail(ErrorKind::Input,
                fmt::format("column `{}` is number {} of `{}` and number {} of `{}`", printable(name, 64), k + 1,
                            printable(place), there + 1, printable(known.file)),
                "columns are read by their places: bring the files of a section into one order");
  }
  return {};
}

Result<void> SplitChecks::check(const std::string& section, const SourceCall& source, const DataPaths& paths) {
  for (const std::string& path : source.paths) {
    const Result<std::string> place = resolve_data_path(path, section, paths);
    if (!place) continue;
    SMELT_TRY_VOID(check_distinct(section, path, *place, paths));
    if (source.reader == "csv") SMELT_TRY_VOID(check_columns(section, *place, paths.limits));
  }
  return {};
}

}  // namespace smelt
