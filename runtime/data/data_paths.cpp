#include "runtime/data/data_paths.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "runtime/files/file.h"
#include "runtime/files/message.h"
#include "runtime/files/npz.h"
#include "runtime/files/pattern.h"

namespace smelt {

/// Two sections may call different files by one path.
static const std::string* recorded_place(const std::string& path, const std::string& section, const DataPaths& paths) {
  auto found = paths.recorded.find({section, path});
  if (found == paths.recorded.end()) found = paths.recorded.find({std::string(), path});
  return found == paths.recorded.end() ? nullptr : &found->second;
}

bool leaves_directory(const std::filesystem::path& path) {
  int depth = 0;
  for (const std::filesystem::path& part : path) {
    if (part == "..") {
      if (--depth < 0) return true;
    } else if (part != "." && !part.empty()) {
      ++depth;
    }
  }
  return false;
}

std::string why_outside(const std::string& path, const std::string& place, const std::string& section,
                        const DataPaths& paths) {
  namespace fs = std::filesystem;
  if (paths.directories.contains(section) || recorded_place(path, section, paths) != nullptr) return {};
  if (fs::path(path).is_absolute()) return "the model names it with an absolute path";
  std::error_code error;
  const fs::path real = fs::weakly_canonical(place, error), home = fs::weakly_canonical(paths.model_directory, error);
  const bool inside = std::ranges::mismatch(home, real).in1 == home.end();
  if (error || inside || place.starts_with(kSystemData)) return {};
  return fmt::format("a link beside the model leads to `{}`", printable(real.string()));
}

/// Where `candidate` is: a file, or for the folder of a pattern that folder.
static std::optional<std::string> find_place(const std::string& candidate, bool folder) {
  std::error_code ignored;
  if (!folder) return find_file(candidate);
  return std::filesystem::is_directory(candidate, ignored) ? std::optional(candidate) : std::nullopt;
}

/// What has to exist of a path, and what is behind it: the folder of a pattern, the archive of an array.
static Pattern parts_of(const std::string& path, bool pattern) {
  if (pattern) return split_pattern(path);
  const auto array = split_npz_path(path);
  return array ? Pattern{array->first, array->second} : Pattern{path, {}};
}

static std::optional<std::string> find_parts(const Pattern& parts, bool pattern) {
  const std::optional<std::string> found = find_place(parts.folder, pattern);
  if (!found || parts.rest.empty()) return found;
  return (std::filesystem::path(*found) / parts.rest).string();
}

Result<std::string> resolve_data_path(const std::string& path, const std::string& section, const DataPaths& paths) {
  namespace fs = std::filesystem;
  const bool pattern = is_pattern(path);
  const Pattern parts = parts_of(path, pattern);
  const fs::path wanted(parts.folder);
  std::vector<std::string> candidates;
  const auto directory = paths.directories.find(section);
  const std::string* const recorded = recorded_place(path, section, paths);
  const std::optional<std::string> known =
      recorded == nullptr ? std::nullopt : find_parts(parts_of(*recorded, pattern), pattern);
  if (directory != paths.directories.end()) {
    candidates.push_back((fs::path(directory->second) / wanted.filename()).lexically_normal().string());
  } else if (known) {
    return *known;  // also where the file was packed or unpacked since
  } else if (wanted.is_absolute()) {
    candidates.push_back(wanted.string());
  } else if (leaves_directory(wanted)) {
    return fail(ErrorKind::Input, fmt::format("data path `{}` leaves the model's directory", printable(path)),
                fmt::format("give the place with `--data {}=DIR`", section));
  } else {
    candidates.push_back((fs::path(paths.model_directory) / wanted).lexically_normal().string());
    candidates.push_back((fs::path(kSystemData) / wanted).lexically_normal().string());
  }
  for (const std::string& candidate : candidates) {
    if (const std::optional<std::string> found = find_parts({candidate, parts.rest}, pattern)) return *found;
  }
  const std::string holder = pattern ? "that it is in "
                             : wanted.has_parent_path()
                                 ? fmt::format("that holds `{}` ", printable(wanted.filename().string()))
                                 : std::string();
  std::vector<std::string> shown;
  for (const std::string& candidate : candidates) shown.push_back(fmt::format("`{}`", printable(candidate)));
  return fail(ErrorKind::Input,
              fmt::format("cannot find {}`{}`: looked for {}{}", pattern ? "the folder of " : "", printable(path),
                          fmt::join(shown, " and "), pattern ? "" : ", each with and without .gz"),
              fmt::format("give the directory {}with `--data {}=DIR`", holder, section));
}

}  // namespace smelt
