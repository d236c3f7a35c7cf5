// Zip archives as NumPy's .npz are: members stored or deflated, none encrypted, up to 4 GB. Source: PKWARE's
// APPNOTE 6.3.10; unpacking and checksums are zlib's.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ir/support/result.h"
#include "runtime/buffer.h"
#include "runtime/files/descriptor.h"

namespace smelt {

struct ZipMember {
  std::string name;
  bool deflated = false;
  uint32_t crc32 = 0;
  uint64_t packed_bytes = 0, bytes = 0;
  uint64_t header = 0;  // where its own header begins
};

class ZipFile {
 public:
  /// Reads the directory at the end of the file. Errors: Input when it is no archive, damaged, or of a kind that is not
  /// read.
  static Result<ZipFile> open(const std::string& path);

  /// In the order of the directory.
  const std::vector<ZipMember>& members() const { return members_; }

  /// The content of a member, or its first bytes. The whole is compared with its checksum. Errors: Input, Limit.
  Result<Buffer> read(const ZipMember& member) const;
  Result<Buffer> read_start(const ZipMember& member, uint64_t bytes) const;

 private:
  ZipFile(std::string path, FileDescriptor file, uint64_t size)
      : path_(std::move(path)), file_(std::move(file)), size_(size) {}
  Result<Buffer> read_range(uint64_t begin, uint64_t bytes) const;
  Result<void> read_directory();
  Result<ZipMember> read_entry(std::span<const std::byte> directory, uint64_t& at) const;
  Result<Buffer> unpack(const ZipMember& member, uint64_t bytes) const;
  std::unexpected<Error> damaged(std::string_view what) const;

  std::string path_;
  FileDescriptor file_;
  uint64_t size_ = 0;
  std::vector<ZipMember> members_;
};

/// What a new member holds: its parts one after another.
struct ZipPart {
  std::string name;
  std::vector<std::span<const std::byte>> parts;
};
/// Writes an archive of stored members, as `write_output` does. The time of each is the first of 1980, so that equal
/// content gives equal bytes. Errors: Output; Limit for more than 4 GB.
Result<void> write_zip(const std::string& path, std::span<const ZipPart> members);

}  // namespace smelt
