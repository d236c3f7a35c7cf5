// Threads of generated code, one after the other: each runs until its next barrier while the others wait. A value that
// is read without a barrier after it is written is then surely not there yet, so a missing barrier is a wrong result in
// each run, not in one of a million.
#pragma once

#include <ucontext.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "runtime/abi.h"

namespace smelt::fuzz {

class LockstepThreads {
 public:
  /// `reversed`: the last thread runs first.
  LockstepThreads(int count, bool reversed);
  const smelt_threads* hooks() const { return &hooks_; }
  /// Threads left while others waited at a barrier.
  bool torn() const { return torn_; }

 private:
  enum class State : uint8_t { Ready, Waiting, Done };
  struct Fiber {
    ucontext_t context{};
    std::unique_ptr<char[]> stack;
    State state = State::Ready;
  };
  static void parallel(void* context, void (*fn)(void*, int32_t, int32_t), void* argument);
  static void barrier(void* context, int32_t thread);
  static void fiber_main(uint32_t low, uint32_t high, int32_t thread);
  void run(void (*fn)(void*, int32_t, int32_t), void* argument);

  int count_;
  bool reversed_, torn_ = false;
  smelt_threads hooks_{};
  ucontext_t scheduler_{};
  std::vector<Fiber> fibers_;
  void (*fn_)(void*, int32_t, int32_t) = nullptr;
  void* argument_ = nullptr;
};

}  // namespace smelt::fuzz
