// Who owns an object of LLVM, also when memory runs out.
#pragma once

#include <exception>
#include <memory>
#include <utility>

namespace smelt {

/// Leaks while an exception is on its way. LLVM is built without exceptions: std::bad_alloc passes through its frames
/// and leaves objects half changed, so that their destructors would crash (tests/system/process_test.cpp).
struct LlvmDelete {
  template <typename T>
  void operator()(T* object) const noexcept {
    if (std::uncaught_exceptions() == 0) delete object;
  }
};

template <typename T>
using LlvmPointer = std::unique_ptr<T, LlvmDelete>;

template <typename T, typename... Args>
LlvmPointer<T> make_llvm(Args&&... args) {
  return LlvmPointer<T>(new T(std::forward<Args>(args)...));
}

}  // namespace smelt
