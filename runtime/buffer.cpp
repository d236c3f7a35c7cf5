#include "runtime/buffer.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "runtime/files/descriptor.h"
#include "runtime/files/message.h"

namespace smelt {
namespace {

constexpr uint64_t kHugePage = uint64_t{2} << 20;
constexpr uint64_t kMaxBytes = uint64_t{1} << 47;  // the user half of the address space

struct Block {
  std::byte* data = nullptr;
  uint64_t capacity = 0;
  bool mapped = false;
};

Block take_block(uint64_t bytes) {
  if (bytes >= kHugePage) {
    const uint64_t capacity = (bytes + kHugePage - 1) / kHugePage * kHugePage;
    void* data = mmap(nullptr, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED) return {};
    madvise(data, capacity, MADV_HUGEPAGE);  // a hint: failure costs speed only
    return {static_cast<std::byte*>(data), capacity, true};
  }
  const uint64_t capacity = (bytes + Buffer::kAlignment - 1) / Buffer::kAlignment * Buffer::kAlignment;
  void* data = std::aligned_alloc(Buffer::kAlignment, capacity);
  if (data == nullptr) return {};
  std::memset(data, 0, capacity);
  return {static_cast<std::byte*>(data), capacity, false};
}

}  // namespace

Buffer::~Buffer() {
  if (mapped_) {
    munmap(data_, capacity_);
  } else {
    std::free(data_);
  }
}

void Buffer::swap(Buffer& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(capacity_, other.capacity_);
  std::swap(mapped_, other.mapped_);
  std::swap(in_file_, other.in_file_);
}

Result<Buffer> Buffer::allocate(uint64_t bytes, std::string_view what) {
  Buffer buffer;
  if (bytes == 0) return buffer;
  const Block block = bytes <= kMaxBytes ? take_block(bytes) : Block{};
  if (block.data == nullptr) {
    return fail(ErrorKind::Limit, fmt::format("out of memory: need {} for {}", human_bytes(bytes), what));
  }
  buffer.data_ = block.data;
  buffer.size_ = bytes;
  buffer.capacity_ = block.capacity;
  buffer.mapped_ = block.mapped;
  return buffer;
}

Result<Buffer> Buffer::in_file(uint64_t bytes, const std::string& directory, std::string_view what) {
  Buffer buffer;
  if (bytes == 0) return buffer;
  const FileDescriptor file = unnamed_file(directory);
  // Room is taken at once: a disk that is full later would end the process where it writes to the memory.
  const int error = !file.valid() ? errno : posix_fallocate(file.get(), 0, static_cast<off_t>(bytes));
  void* const data = error != 0 ? MAP_FAILED : mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (data == MAP_FAILED) {
    auto failed = write_failed(directory + "/", fmt::format("keep {}", what), error != 0 ? error : errno, bytes);
    failed.error().help = "set TMPDIR to a directory of a disk that has room";
    return failed;
  }
  buffer.data_ = static_cast<std::byte*>(data);
  buffer.size_ = buffer.capacity_ = bytes;
  buffer.mapped_ = buffer.in_file_ = true;
  return buffer;
}

void Buffer::ask_for(uint64_t begin, uint64_t end) const {
  if (!in_file_) return;
  constexpr uint64_t kPage = 4096;
  const uint64_t first = begin / kPage * kPage;
  madvise(data_ + first, end - first, MADV_WILLNEED);  // a hint: failure costs time only
}

Result<Buffer> Buffer::copy_of(std::span<const std::byte> bytes, std::string_view what) {
  SMELT_TRY(Buffer buffer, allocate(bytes.size(), what));
  std::copy(bytes.begin(), bytes.end(), buffer.data());
  return buffer;
}

Result<void> Buffer::resize(uint64_t bytes, std::string_view what) {
  if (bytes > capacity_) {
    SMELT_TRY(Buffer larger, allocate(bytes, what));
    std::copy_n(data_, size_, larger.data_);
    swap(larger);
  } else if (bytes < size_) {
    std::memset(data_ + bytes, 0, size_ - bytes);  // so that growing again shows zeros
  }
  size_ = bytes;
  return {};
}

void Buffer::drop_front(uint64_t bytes) {
  const uint64_t dropped = std::min(bytes, size_);
  if (dropped == 0) return;
  std::memmove(data_, data_ + dropped, size_ - dropped);
  std::memset(data_ + size_ - dropped, 0, dropped);
  size_ -= dropped;
}

}  // namespace smelt
