#include "compiler/compile_clock.h"

#include <fmt/format.h>

#include <utility>

namespace smelt {

static double in_seconds(uint64_t milliseconds) { return static_cast<double>(milliseconds) / 1000; }

CompileClock::CompileClock(CompileLimits limits)
    : limits_(std::move(limits)), start_(std::chrono::steady_clock::now()) {}

void CompileClock::check() {
  const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - start_;
  if (taken.count() > static_cast<double>(limits_.stop_after_ms)) throw CompileTooLong();
  if (taken.count() <= static_cast<double>(limits_.note_after_ms) || noted_.exchange(true) || !limits_.on_note) return;
  limits_.on_note(fmt::format("compiling has taken {} s, and stops at {} s: {}", in_seconds(limits_.note_after_ms),
                              in_seconds(limits_.stop_after_ms),
                              double_limit(&Limits::compile, {.compile = limits_.stop_after_ms})));
}

Error CompileClock::error() const {
  return {.kind = ErrorKind::Limit,
          .message = fmt::format("compiling takes longer than {} s", in_seconds(limits_.stop_after_ms)),
          .help = "make the model smaller, or leave out --memory-budget, whose plans take time; " +
                  double_limit(&Limits::compile, {.compile = limits_.stop_after_ms})};
}

}  // namespace smelt
