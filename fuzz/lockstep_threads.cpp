#include "fuzz/lockstep_threads.h"

#include <algorithm>

namespace smelt::fuzz {
namespace {

constexpr size_t kStackBytes = 256 << 10;  // generated code keeps register tiles on its stack

}  // namespace

LockstepThreads::LockstepThreads(int count, bool reversed)
    : count_(count), reversed_(reversed), fibers_(static_cast<size_t>(count)) {
  hooks_ = {this, count, &parallel, &barrier};
  for (Fiber& fiber : fibers_) fiber.stack = std::make_unique_for_overwrite<char[]>(kStackBytes);
}

void LockstepThreads::parallel(void* context, void (*fn)(void*, int32_t, int32_t), void* argument) {
  static_cast<LockstepThreads*>(context)->run(fn, argument);
}

void LockstepThreads::barrier(void* context, int32_t thread) {
  auto* self = static_cast<LockstepThreads*>(context);
  Fiber& fiber = self->fibers_[static_cast<size_t>(thread)];
  fiber.state = State::Waiting;
  swapcontext(&fiber.context, &self->scheduler_);
}

// makecontext passes ints only, so the pointer comes in two halves.
void LockstepThreads::fiber_main(uint32_t low, uint32_t high, int32_t thread) {
  auto* self = reinterpret_cast<LockstepThreads*>(static_cast<uintptr_t>(high) << 32 | low);
  self->fn_(self->argument_, thread, self->count_);
  self->fibers_[static_cast<size_t>(thread)].state = State::Done;
}

void LockstepThreads::run(void (*fn)(void*, int32_t, int32_t), void* argument) {
  fn_ = fn;
  argument_ = argument;
  const auto address = reinterpret_cast<uintptr_t>(this);
  for (int thread = 0; thread < count_; ++thread) {
    Fiber& fiber = fibers_[static_cast<size_t>(thread)];
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = kStackBytes;
    fiber.context.uc_link = &scheduler_;
    fiber.state = State::Ready;
    makecontext(&fiber.context, reinterpret_cast<void (*)()>(&fiber_main), 3, static_cast<uint32_t>(address),
                static_cast<uint32_t>(address >> 32), thread);
  }
  const auto is = [](State state) { return [state](const Fiber& fiber) { return fiber.state == state; }; };
  while (!std::ranges::all_of(fibers_, is(State::Done))) {
    for (Fiber& fiber : fibers_) fiber.state = fiber.state == State::Waiting ? State::Ready : fiber.state;
    for (int turn = 0; turn < count_; ++turn) {
      Fiber& fiber = fibers_[static_cast<size_t>(reversed_ ? count_ - 1 - turn : turn)];
      if (fiber.state == State::Ready) swapcontext(&scheduler_, &fiber.context);
    }
    torn_ =
        torn_ || (std::ranges::any_of(fibers_, is(State::Done)) && std::ranges::any_of(fibers_, is(State::Waiting)));
  }
}

}  // namespace smelt::fuzz
