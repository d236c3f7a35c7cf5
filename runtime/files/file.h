// Whole files in and out of memory. Reading takes regular files only, so a FIFO or device cannot hang a run,
// and unpacks gzip whatever the name says. Writing is atomic: after a failure or a crash the old file is
// still there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/support/limits.h"
#include "ir/support/result.h"
#include "runtime/buffer.h"

namespace smelt {

/// The file's content, unpacked when it starts with the gzip magic. `stored`: which limit bounds the file as it is.
/// Errors: Input when it cannot be read, is no regular file, shrinks while being read, or is damaged gzip;
/// Limit beyond `limits` or memory.
Result<Buffer> read_file(const std::string& path, const Limits& limits = {}, Limit stored = &Limits::file);

/// The same of a file that Smelt writes for itself, which has at most `bytes` bytes: no flag moves that.
Result<Buffer> read_own_file(const std::string& path, uint64_t bytes);

/// At most the first `bytes` bytes of what read_file returns, reading little more than that. Errors: as
/// read_file.
Result<Buffer> read_file_start(const std::string& path, uint64_t bytes, const Limits& limits = {});

/// Bytes of a file that is not packed; nullopt when it is, or cannot be read.
std::optional<uint64_t> plain_size(const std::string& path);

/// `path`, else `path` with .gz, else without it: the first that exists.
std::optional<std::string> find_file(const std::string& path);

/// Synced: on the disk before the call returns. Lazy: when the system gets to it; a power cut may tear the file.
enum class Durability { Synced, Lazy };

/// Writes `parts` one after another to `path`: temporary file in the same directory, fsync, rename, fsync of
/// the directory. Errors: Output with the system's words; then `path` is as before and no temporary file is
/// left.
Result<void> write_file_atomic(const std::string& path, std::span<const std::span<const std::byte>> parts,
                               Durability durability = Durability::Synced);
Result<void> write_file_atomic(const std::string& path, std::string_view text);

/// Creates the directory and its parents. Errors: Output.
Result<void> make_directories(const std::string& path);

/// Names of the regular files in `directory`, sorted; empty when it cannot be read.
std::vector<std::string> list_files(const std::string& directory);

/// Removes what a killed process left of write_file_atomic in `directory`. Call it while no one writes there.
void remove_leftovers(const std::string& directory);

inline std::span<const std::byte> as_byte_span(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

}  // namespace smelt
