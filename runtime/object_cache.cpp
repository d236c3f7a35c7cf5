#include "runtime/object_cache.h"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <link.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <span>

#include "runtime/files/file.h"
#include "runtime/files/message.h"
#include "runtime/files/sha256.h"

namespace smelt {
namespace {

constexpr std::string_view kEntryMagic = "smelt-object-1\n";
constexpr size_t kDigestSize = 64;
constexpr std::string_view kSuffix = ".o";
constexpr uint64_t kMaxEntryBytes = uint64_t{1} << 30;

struct CacheEntry {
  std::string path;
  uint64_t bytes = 0;
  timespec used{};
};

std::vector<CacheEntry> entries_of(const std::string& directory) {
  std::vector<CacheEntry> entries;
  for (const std::string& name : list_files(directory)) {
    struct stat status{};
    std::string path = directory + "/" + name;
    if (!name.ends_with(kSuffix) || ::stat(path.c_str(), &status) != 0) continue;
    entries.push_back({std::move(path), static_cast<uint64_t>(status.st_size), status.st_mtim});
  }
  return entries;
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

/// The GNU build id among the notes of one loaded binary.
std::string build_id(const dl_phdr_info& binary) {
  for (size_t h = 0; h < binary.dlpi_phnum; ++h) {
    const ElfW(Phdr)& header = binary.dlpi_phdr[h];
    if (header.p_type != PT_NOTE) continue;
    const char* notes = reinterpret_cast<const char*>(binary.dlpi_addr + header.p_vaddr);
    for (size_t at = 0; at + sizeof(ElfW(Nhdr)) <= header.p_memsz;) {
      ElfW(Nhdr) note;
      std::memcpy(&note, notes + at, sizeof(note));
      const size_t name = at + sizeof(note), value = name + (note.n_namesz + 3) / 4 * 4;
      if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && std::memcmp(notes + name, "GNU", 4) == 0) {
        std::string id;
        for (size_t i = 0; i < note.n_descsz; ++i)
          id += fmt::format("{:02x}", static_cast<unsigned char>(notes[value + i]));
        return id;
      }
      at = value + (note.n_descsz + 3) / 4 * 4;
    }
  }
  return {};
}

bool holds(const dl_phdr_info& binary, uintptr_t address) {
  return std::ranges::any_of(std::span(binary.dlpi_phdr, binary.dlpi_phnum), [&](const ElfW(Phdr) & header) {
    const uintptr_t begin = binary.dlpi_addr + header.p_vaddr;
    return header.p_type == PT_LOAD && address >= begin && address < begin + header.p_memsz;
  });
}

}  // namespace

Result<ObjectCache> ObjectCache::open(std::string directory, uint64_t max_bytes) {
  struct stat status{};
  if (::stat(directory.c_str(), &status) != 0) {
    const std::string parent = std::filesystem::path(directory).parent_path().string();
    if (!parent.empty()) SMELT_TRY_VOID(make_directories(parent));
    if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
      return fail(ErrorKind::Output,
                  fmt::format("cannot create the cache directory `{}`: {}", printable(directory), errno_text(errno)));
    }
    if (::stat(directory.c_str(), &status) != 0)
      return fail(ErrorKind::Output, fmt::format("cannot read `{}`", printable(directory)));
  }
  if (!S_ISDIR(status.st_mode))
    return fail(ErrorKind::Output, fmt::format("`{}` is no directory", printable(directory)));
  if (status.st_uid != ::geteuid() || (status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return fail(ErrorKind::Output,
                fmt::format("others may write to the cache directory `{}`, and it holds code that would be run",
                            printable(directory)),
                fmt::format("chmod 700 {}, or set SMELT_CACHE_DIR to a directory of your own", printable(directory)));
  }
  return ObjectCache(std::move(directory), max_bytes);
}

std::string ObjectCache::path_of(const std::string& key) const {
  return fmt::format("{}/{}{}", directory_, key, kSuffix);
}

std::optional<std::vector<char>> ObjectCache::find(const std::string& key) const {
  const std::string path = path_of(key);
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return std::nullopt;
  const Result<Buffer> bytes = read_own_file(path, kMaxEntryBytes);
  if (!bytes) return std::nullopt;
  const std::string_view text(reinterpret_cast<const char*>(bytes->data()), bytes->size());
  const size_t head = kEntryMagic.size() + kDigestSize;
  if (text.size() <= head || !text.starts_with(kEntryMagic) ||
      text.substr(kEntryMagic.size(), kDigestSize) != sha256_hex(text.substr(head))) {
    ::unlink(path.c_str());
    return std::nullopt;
  }
  ::utimensat(AT_FDCWD, path.c_str(), nullptr, 0);
  return std::vector<char>(text.begin() + static_cast<std::ptrdiff_t>(head), text.end());
}

Result<void> ObjectCache::store(const std::string& key, const std::vector<char>& bytes) const {
  const std::string digest = sha256_hex({bytes.data(), bytes.size()});
  const std::array parts = {as_byte_span(kEntryMagic), as_byte_span(digest),
                            as_byte_span({bytes.data(), bytes.size()})};
  // Not waited for: an entry that a power cut tears fails its digest.
  SMELT_TRY_VOID(write_file_atomic(path_of(key), parts, Durability::Lazy));
  evict();
  return {};
}

void ObjectCache::evict() const {
  std::vector<CacheEntry> entries = entries_of(directory_);
  uint64_t bytes = 0;
  for (const CacheEntry& entry : entries) bytes += entry.bytes;
  if (bytes <= max_bytes_) return;
  std::ranges::sort(entries, {},
                    [](const CacheEntry& entry) { return std::pair(entry.used.tv_sec, entry.used.tv_nsec); });
  for (const CacheEntry& entry : entries) {
    if (bytes <= max_bytes_) break;
    ::unlink(entry.path.c_str());
    bytes -= entry.bytes;
  }
}

CacheStatus ObjectCache::status() const {
  CacheStatus status;
  for (const CacheEntry& entry : entries_of(directory_)) {
    ++status.entries;
    status.bytes += entry.bytes;
  }
  return status;
}

int64_t ObjectCache::clear() const {
  int64_t removed = 0;
  for (const CacheEntry& entry : entries_of(directory_)) removed += ::unlink(entry.path.c_str()) == 0 ? 1 : 0;
  remove_leftovers(directory_);
  return removed;
}

std::string default_cache_directory() {
  if (const char* chosen = std::getenv("SMELT_CACHE_DIR")) return chosen;
  if (const std::string cache = environment("XDG_CACHE_HOME"); !cache.empty()) return cache + "/smelt";
  if (const std::string home = environment("HOME"); !home.empty()) return home + "/.cache/smelt";
  return {};
}

std::string build_identity() {
  std::string id;
  dl_iterate_phdr(
      [](dl_phdr_info* binary, size_t, void* result) {
        if (!holds(*binary, reinterpret_cast<uintptr_t>(&build_identity))) return 0;
        *static_cast<std::string*>(result) = build_id(*binary);
        return 1;
      },
      &id);
  return id;
}

}  // namespace smelt
