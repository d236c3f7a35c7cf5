// Where the files of a data section are.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "ir/support/limits.h"
#include "ir/support/result.h"

namespace smelt {

/// Where the system's packages put data sets.
inline constexpr std::string_view kSystemData = "/usr/share/datasets";

/// Where files of a data section are looked for: by base name in the directory given for the section with
/// `--data`, else beside the model file, else among the system's data sets; each with and without .gz.
struct DataPaths {
  std::map<std::string, std::string> directories;  // section name -> directory
  std::string model_directory = ".";
  /// Where a run found a path of the model, by section and path; asked after `directories`. A record without names of
  /// sections, of an older version, has empty ones.
  std::map<std::pair<std::string, std::string>, std::string> recorded = {};
  Limits limits = {};                          // of what is read there: ModelOptions::limits
  std::string scratch_directory = "/var/tmp";  // for decoded pictures that memory has no room for
};

/// The place of `path`. Of a pattern (runtime/files/pattern.h) the folder is looked for, and the place is a pattern
/// too. Errors: Input, listing the places that were looked at; or when a relative path leaves its directory.
Result<std::string> resolve_data_path(const std::string& path, const std::string& section, const DataPaths& paths);

/// `a/../../x` leaves its directory: a model file that came from elsewhere must not read around.
bool leaves_directory(const std::filesystem::path& path);

/// Why a file is not where a model's files are expected, when nobody but the model said so (decision 14); else empty.
std::string why_outside(const std::string& path, const std::string& place, const std::string& section,
                        const DataPaths& paths);

}  // namespace smelt
