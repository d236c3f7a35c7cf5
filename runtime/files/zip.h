// Zip archives as NumPy's .npz are, by libzip: members stored or deflated, none encrypted, of any size.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ir/support/result.h"
#include "runtime/buffer.h"

struct zip;

namespace smelt {

struct ZipMember {
  std::string name;
  uint64_t index = 0;  // in the directory
  uint64_t bytes = 0;  // unpacked
};

class ZipFile {
 public:
  /// Reads the directory at the end of the file. Errors: Input when it is no archive, damaged, or of a kind that is not
  /// read.
  static Result<ZipFile> open(const std::string& path);

  /// In the order of the directory.
  const std::vector<ZipMember>& members() const { return members_; }

  /// The content of a member, or its first bytes. The whole is compared with its checksum. Errors: Input, Limit.
  Result<Buffer> read(const ZipMember& member) const { return read_start(member, member.bytes); }
  Result<Buffer> read_start(const ZipMember& member, uint64_t bytes) const;

 private:
  struct Close {
    void operator()(::zip* archive) const;
  };

  explicit ZipFile(std::string path) : path_(std::move(path)) {}
  Result<void> read_directory();
  std::unexpected<Error> damaged(std::string_view what) const;

  std::string path_;
  std::unique_ptr<::zip, Close> archive_;
  std::vector<ZipMember> members_;
};

/// What a new member holds: its parts one after another.
struct ZipPart {
  std::string name;
  std::vector<std::span<const std::byte>> parts;
};
/// Writes an archive of stored members, as `write_output` does. The time of each is the first of 1980, so that equal
/// content gives equal bytes. Errors: Output.
Result<void> write_zip(const std::string& path, std::span<const ZipPart> members);

}  // namespace smelt
