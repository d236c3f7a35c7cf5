// How long a compile may take. It is asked between passes, plans of a memory budget and pieces of machine code, because
// nothing inside of them can be stopped.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <string>

#include "ir/support/limits.h"
#include "ir/support/result.h"

namespace smelt {

struct CompileLimits {
  uint64_t note_after_ms = 60'000;
  uint64_t stop_after_ms = Limits().compile;
  std::function<void(const std::string&)> on_note;  // called once, on any thread; may be empty
};

/// Thrown where a compile has taken too long.
class CompileTooLong : public std::exception {
 public:
  const char* what() const noexcept override { return "a compile has taken too long"; }
};

/// The time since it was made, which the threads of one compile share.
class CompileClock {
 public:
  explicit CompileClock(CompileLimits limits);

  /// Throws CompileTooLong behind the limit; notes once that it takes long.
  void check();
  /// The error (Limit) of a compile that was stopped.
  Error error() const;

 private:
  const CompileLimits limits_;
  const std::chrono::steady_clock::time_point start_;
  std::atomic<bool> noted_ = false;
};

/// For compiles that may take as long as they do.
inline void check_time(CompileClock* clock) {
  if (clock != nullptr) clock->check();
}

}  // namespace smelt
