#include "compiler/compile_clock.h"

#include <fmt/format.h>

#include <utility>

namespace smelt {

CompileClock::CompileClock(CompileLimits limits)
    : limits_(std::move(limits)), start_(std::chrono::steady_clock::now()) {}

void CompileClock::check() {
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start_;
  if (taken.count() > limits_.stop_after) throw CompileTooLong();
  if (taken.count() <= limits_.note_after || noted_.exchange(true) || !limits_.on_note) return;
  limits_.on_note(fmt::format("compiling has taken {} s, and stops at {} s (--compile-limit)", limits_.note_after,
                              limits_.stop_after));
}

Error CompileClock::error() const {
  return {.kind = ErrorKind::Limit,
          .message = fmt::format("compiling takes longer than {} s", limits_.stop_after),
          .help = "raise --compile-limit, make the model smaller, or leave out --memory-budget, whose plans take time"};
}

}  // namespace smelt
