#include "ir/support/stack.h"

#include <pthread.h>

#include <cstddef>
#include <cstdint>

namespace smelt {
namespace {

struct Stack {
  uintptr_t end = 0;  // the lowest address: stacks grow down
  size_t bytes = 0;
};

// Of the first thread the system reads a file for this, so it is asked once a thread; a stack stays where it is.
Stack stack_of_this_thread() {
  pthread_attr_t attributes;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return {};
  void* end = nullptr;
  Stack stack;
  if (pthread_attr_getstack(&attributes, &end, &stack.bytes) == 0) stack.end = reinterpret_cast<uintptr_t>(end);
  pthread_attr_destroy(&attributes);
  return stack;
}

}  // namespace

double stack_left() {
  thread_local const Stack stack = stack_of_this_thread();
  const auto here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  if (stack.end == 0 || here < stack.end || here - stack.end > stack.bytes) return 1;
  return static_cast<double>(here - stack.end) / static_cast<double>(stack.bytes);
}

}  // namespace smelt
