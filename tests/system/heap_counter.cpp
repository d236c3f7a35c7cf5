#include "tests/system/heap_counter.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <atomic>
#include <cstddef>
#include <cstdio>
#include <cstdlib>

namespace {
std::atomic<int64_t> count = 0;
}

// A sanitizer brings its own malloc; then nothing is counted.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// glibc's names for its own implementation; a definition in the program wins over that of every shared library.
extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t number, size_t size);
void* __libc_realloc(void* memory, size_t size);
void* __libc_memalign(size_t alignment, size_t size);

void* malloc(size_t size) noexcept {
  ++count;
  return __libc_malloc(size);
}
void* calloc(size_t number, size_t size) noexcept {
  ++count;
  return __libc_calloc(number, size);
}
void* realloc(void* memory, size_t size) noexcept {
  ++count;
  return __libc_realloc(memory, size);
}
void* aligned_alloc(size_t alignment, size_t size) noexcept {
  ++count;
  return __libc_memalign(alignment, size);
}
int posix_memalign(void** memory, size_t alignment, size_t size) noexcept {
  ++count;
  *memory = __libc_memalign(alignment, size);
  return *memory == nullptr ? 12 : 0;  // ENOMEM
}
}
#endif

int64_t smelt::test::num_heap_calls() { return count; }

bool smelt::test::skip_without_heap_counter() {
  const int64_t before = count;
  void* volatile memory = std::malloc(8);
  std::free(memory);
  if (count != before) return false;
  const auto* test = doctest::getContextOptions()->currentTest;
  fmt::print(stderr, "SKIPPED: \"{}\": malloc is the sanitizer's, so its calls are not counted\n", test->m_name);
  return true;
}
