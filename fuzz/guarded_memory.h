// Buffers that abut pages nobody may touch, and running code that may touch them all the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace smelt::fuzz {

/// Where a buffer lies in its pages; the other side is filled with canaries.
enum class Placement : uint8_t {
  EndAtGuard,   // the byte after the last one is out of bounds
  StartAtGuard  // the byte before the first one is
};

/// One reservation of address space; buffers open pages of it, with an unreachable page between any two.
class GuardedMemory {
 public:
  explicit GuardedMemory(size_t bytes);
  ~GuardedMemory();
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;

  std::byte* base() { return base_; }
  /// A buffer filled with 0xFF, which is NaN as a float; with EndAtGuard its end is rounded down to `alignment`.
  std::byte* allocate(size_t bytes, size_t alignment, Placement placement);
  /// No writes from here on.
  void make_read_only(const std::byte* buffer);
  /// The first buffer whose canaries were overwritten, by its number in the order of allocation.
  std::optional<size_t> overwritten() const;

  static size_t page();
  /// Bytes that `allocate` takes for a buffer, guard included.
  static size_t footprint(size_t bytes);

 private:
  struct Block {
    std::byte *pages, *buffer;
    size_t num_pages, bytes;
  };
  std::byte* base_ = nullptr;
  size_t bytes_ = 0, used_ = 0;
  std::vector<Block> blocks_;
};

/// Runs `body` and returns what stopped it, such as `SIGSEGV at 16 bytes after ..`; nothing when it returned. No object
/// of the stack between is destroyed on a signal: `body` calls generated code and owns nothing.
std::optional<std::string> run_guarded(const std::function<void()>& body);

}  // namespace smelt::fuzz
