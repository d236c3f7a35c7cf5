// An open file of the system, and writing to it.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "ir/support/result.h"

namespace smelt {

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&&) = delete;
  ~FileDescriptor() { close_now(); }
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  /// For who closes it from now on.
  int release() { return std::exchange(fd_, -1); }
  int close_now() { return fd_ < 0 ? 0 : ::close(std::exchange(fd_, -1)); }

 private:
  int fd_;
};

/// A new file in `directory` that has no name, so that it is gone with the last who has it open. Not valid: errno says
/// why.
FileDescriptor unnamed_file(const std::string& directory);

/// All of `bytes`. Returns 0 or an errno.
int write_all(int fd, std::span<const std::byte> bytes);

/// Output, with the system's words; of a full disk also with how much was needed and is free.
std::unexpected<Error> write_failed(const std::string& path, std::string_view doing, int error, uint64_t bytes);

}  // namespace smelt
