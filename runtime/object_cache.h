// Compiled programs on disk, so that a second start compiles nothing.
//
// A directory of files, one an entry, named by its key: machine code, or the description of a program that names its
// code (api/smelt/cached_program.h). Processes share it without locks: an entry appears by rename, whole, and is never
// changed after. Entries carry their SHA-256; a damaged one is removed and counts as missing. The oldest entries go
// when the directory grows over its limit.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ir/support/result.h"

namespace smelt {

struct CacheStatus {
  int64_t entries = 0;
  uint64_t bytes = 0;
};

class ObjectCache {
 public:
  static constexpr uint64_t kDefaultMaxBytes = uint64_t{256} << 20;

  /// Creates the directory when it is missing. Errors (Output): it cannot be created, or others may write to it: it
  /// holds code that will be run, so it has to be this user's alone.
  static Result<ObjectCache> open(std::string directory, uint64_t max_bytes = kDefaultMaxBytes);

  /// What is stored under `key` (64 hexadecimal digits). An entry that is found counts as new again.
  std::optional<std::vector<char>> find(const std::string& key) const;
  /// Errors (Output): as write_file_atomic.
  Result<void> store(const std::string& key, const std::vector<char>& bytes) const;

  CacheStatus status() const;
  /// Removes all entries; returns how many there were.
  int64_t clear() const;
  const std::string& directory() const { return directory_; }
  uint64_t max_bytes() const { return max_bytes_; }

 private:
  ObjectCache(std::string directory, uint64_t max_bytes) : directory_(std::move(directory)), max_bytes_(max_bytes) {}
  std::string path_of(const std::string& key) const;
  void evict() const;

  std::string directory_;
  uint64_t max_bytes_;
};

/// $SMELT_CACHE_DIR, else $XDG_CACHE_HOME/smelt, else $HOME/.cache/smelt. Empty: no cache, because SMELT_CACHE_DIR is
/// set to nothing or none of the three is set.
std::string default_cache_directory();

/// What tells this build of Smelt from any other: the build id of the running binary. Empty when it has none; then
/// nothing may be cached, because code of another build could be taken for this one's.
std::string build_identity();

}  // namespace smelt
