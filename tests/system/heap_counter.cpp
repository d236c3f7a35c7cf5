#include "tests/system/heap_counter.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace {
std::atomic<int64_t> count = 0;
std::atomic<int64_t> first_failing = INT64_MAX, last_failing = -1;

/// Counts a call; false when it has to fail.
bool is_served() {
  const int64_t number = ++count;
  return number < first_failing || number > last_failing;
}
}  // namespace

// A sanitizer brings its own malloc; then nothing is counted.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// glibc's names for its own implementation; a definition in the program wins over that of every shared library.
extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t number, size_t size);
void* __libc_realloc(void* memory, size_t size);
void* __libc_memalign(size_t alignment, size_t size);

void* malloc(size_t size) noexcept { return is_served() ? __libc_malloc(size) : nullptr; }
void* calloc(size_t number, size_t size) noexcept { return is_served() ? __libc_calloc(number, size) : nullptr; }
void* realloc(void* memory, size_t size) noexcept { return is_served() ? __libc_realloc(memory, size) : nullptr; }
void* aligned_alloc(size_t alignment, size_t size) noexcept {
  return is_served() ? __libc_memalign(alignment, size) : nullptr;
}
int posix_memalign(void** memory, size_t alignment, size_t size) noexcept {
  *memory = is_served() ? __libc_memalign(alignment, size) : nullptr;
  return *memory == nullptr ? 12 : 0;  // ENOMEM
}
}
#endif

int64_t smelt::test::num_heap_calls() { return count; }

void smelt::test::fail_heap_calls(int64_t from, int64_t number) {
  last_failing = count + from + number;
  first_failing = count + from + 1;
}

void smelt::test::serve_heap_calls() { first_failing = INT64_MAX; }

bool smelt::test::skip_without_heap_counter() {
  const int64_t before = count;
  void* volatile memory = std::malloc(8);
  std::free(memory);
  if (count != before) return false;
  const auto* test = doctest::getContextOptions()->currentTest;
  fmt::print(stderr, "SKIPPED: \"{}\": malloc is the sanitizer's, so its calls are not counted\n", test->m_name);
  return true;
}
