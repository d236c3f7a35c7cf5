// Replaces operator new for the whole test program. Alone in its file, so that no call of it is inlined.
#include "tests/unit/runtime/allocation_counter.h"

#include <doctest/doctest.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>

namespace {
std::atomic<int64_t> count = 0;
}

// Clang links the thread sanitizer's own operators into the program: there is no place for others.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SMELT_OPERATOR_NEW_IS_TAKEN
#endif
#endif

#ifndef SMELT_OPERATOR_NEW_IS_TAKEN
void* operator new(size_t size) {
  ++count;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
// What std::stable_sort asks for: a sanitizer's own would not fit to the delete below.
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  ++count;
  return std::malloc(size);
}
// Not inlined: the compiler would see `free` of what it takes for the library's `new`.
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }
#endif

int64_t smelt::test::num_allocations() { return count; }

// A sanitizer's runtime may be bound before the operator above.
bool smelt::test::skip_without_allocation_counter() {
  const int64_t before = count;
  ::operator delete(::operator new(8));  // by name: never left out
  if (count != before) return false;
  const auto* test = doctest::getContextOptions()->currentTest;
  std::fprintf(stderr, "SKIPPED: \"%s\": operator new is the sanitizer's, so allocations are not counted\n",
               test->m_name);
  return true;
}

TEST_CASE("the allocation counter counts") {
  if (smelt::test::skip_without_allocation_counter()) return;
  const int64_t before = smelt::test::num_allocations();
  const auto value = std::make_unique<int64_t>(before);
  CHECK(smelt::test::num_allocations() > *value);
}
