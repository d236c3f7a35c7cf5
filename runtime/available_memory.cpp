#include "runtime/available_memory.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace smelt {
namespace {

std::optional<uint64_t> number_in(std::string_view text) {
  const size_t begin = text.find_first_of("0123456789");
  uint64_t number = 0;
  if (begin == std::string_view::npos ||
      std::from_chars(text.data() + begin, text.data() + text.size(), number).ec != std::errc())
    return std::nullopt;
  return number;
}

/// The number of the line that begins with `key`, or of the first line. Nothing where there is none: `max` is no limit.
std::optional<uint64_t> number_of(const std::string& path, std::string_view key = {}) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(key)) return number_in(std::string_view(line).substr(key.size()));
  return std::nullopt;
}

/// Where a version of control groups has what (kernel documentation: admin-guide/cgroup-v2 and cgroup-v1/memory).
struct GroupFiles {
  std::string_view root, limit, usage, cache;
};
constexpr GroupFiles kSecond = {"/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file "};
constexpr GroupFiles kFirst = {"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
                               "total_inactive_file "};

/// What group `path` leaves of its limit. Pages of files that nobody reads make room.
uint64_t room_of(const GroupFiles& files, const std::string& path) {
  const std::string folder = std::string(files.root) + path + "/";
  const std::optional<uint64_t> limit = number_of(folder + std::string(files.limit));
  const std::optional<uint64_t> usage = number_of(folder + std::string(files.usage));
  if (!limit || !usage) return std::numeric_limits<uint64_t>::max();
  const uint64_t cache = number_of(folder + "memory.stat", files.cache).value_or(0);
  const uint64_t taken = *usage - std::min(cache, *usage);
  return *limit - std::min(taken, *limit);
}

/// Of the groups of this process and those around them. Inside of a container the outermost is its own, whatever path
/// the host calls it by.
uint64_t room_of_groups() {
  uint64_t room = std::numeric_limits<uint64_t>::max();
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {  // number:controllers:path
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const bool is_first = controllers.find(",memory,") != std::string::npos;
    if (!is_first && controllers != ",,") continue;
    std::string path = line.substr(second + 1);
    while (!path.empty()) {
      room = std::min(room, room_of(is_first ? kFirst : kSecond, path == "/" ? "" : path));
      path = path == "/" ? "" : path.substr(0, std::max<size_t>(path.rfind('/'), 1));
    }
  }
  return room;
}

}  // namespace

uint64_t available_memory() {
  const std::optional<uint64_t> kibibytes = number_of("/proc/meminfo", "MemAvailable:");
  return kibibytes ? std::min(*kibibytes * 1024, room_of_groups()) : 0;
}

}  // namespace smelt
