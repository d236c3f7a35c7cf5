// Independent work on as many threads as the machine has.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <thread>
#include <vector>

#include "ir/support/start_thread.h"

namespace smelt {

/// Calls work(0) .. work(count - 1), in any order and side by side. What they throw is thrown again: of several, that
/// of the least number.
template <typename Work>
void on_threads(size_t count, const Work& work) {
  std::atomic<size_t> next = 0;
  std::vector<std::exception_ptr> failures(count);
  const auto take_turns = [&] {
    for (size_t k = next++; k < count; k = next++) {
      try {
        work(k);
      } catch (...) {
        failures[k] = std::current_exception();
      }
    }
  };
  const size_t threads = std::min<size_t>(count, std::max(std::thread::hardware_concurrency(), 1u));
  std::vector<std::thread> others;
  for (size_t t = 1; t < threads; ++t) {
    if (!start_thread(others, take_turns)) break;
  }
  take_turns();
  for (std::thread& other : others) other.join();
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
}

}  // namespace smelt
