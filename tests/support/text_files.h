// Files of the repository that tests read, and golden files that SMELT_UPDATE=1 rewrites.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace smelt::test {

inline std::filesystem::path source_path(const std::string& relative) {
  return std::filesystem::path(SMELT_SOURCE_DIR) / relative;
}

inline std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Files below `folder` with this extension, sorted by name.
inline std::vector<std::filesystem::path> files_in(const std::string& folder, const std::string& extension) {
  std::vector<std::filesystem::path> found;
  for (const auto& entry : std::filesystem::directory_iterator(source_path(folder))) {
    if (entry.path().extension() == extension) found.push_back(entry.path());
  }
  std::ranges::sort(found);
  return found;
}

/// The stored text; with SMELT_UPDATE set, `actual` is stored first.
inline std::string golden(const std::filesystem::path& path, const std::string& actual) {
  if (std::getenv("SMELT_UPDATE") != nullptr) std::ofstream(path, std::ios::binary) << actual;
  return read_text(path);
}

}  // namespace smelt::test
