// Owned, 64-byte aligned, zero-filled memory. Large blocks come from mmap and ask for huge pages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "ir/support/result.h"

namespace smelt {

class Buffer {
 public:
  static constexpr uint64_t kAlignment = 64;

  Buffer() = default;
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Buffer();

  /// `bytes` zero bytes. Errors: Limit when the system has not that much, naming `what` and the size.
  static Result<Buffer> allocate(uint64_t bytes, std::string_view what = "buffer");

  /// The same in a file without a name in `directory`, which the system moves to the disk when memory is short and
  /// removes with the buffer. Errors: Output when there is no such file, or no room on the disk.
  static Result<Buffer> in_file(uint64_t bytes, const std::string& directory, std::string_view what = "buffer");

  /// A copy of `bytes`. Errors: as allocate.
  static Result<Buffer> copy_of(std::span<const std::byte> bytes, std::string_view what = "buffer");

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  uint64_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::span<std::byte> bytes() { return {data_, size_}; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }

  /// Changes the size and keeps the content; new bytes are zero. Errors: as allocate.
  Result<void> resize(uint64_t bytes, std::string_view what = "buffer");

  /// Removes the first `bytes` bytes; the rest moves to the front, so it is aligned again.
  void drop_front(uint64_t bytes);

  void swap(Buffer& other) noexcept;

  bool is_in_file() const { return in_file_; }
  /// That bytes `begin` to `end` will be read soon: of a file they are fetched beside what goes on.
  void ask_for(uint64_t begin, uint64_t end) const;

 private:
  std::byte* data_ = nullptr;
  uint64_t size_ = 0;
  uint64_t capacity_ = 0;
  bool mapped_ = false, in_file_ = false;
};

}  // namespace smelt
