// Threads that a program can do without.
#pragma once

#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace smelt {

/// Adds a thread that runs `work`. False when the system has none to give (`ulimit -u`, no memory for its stack).
template <typename Work>
bool start_thread(std::vector<std::thread>& threads, Work&& work) {
  try {
    threads.emplace_back(std::forward<Work>(work));
    return true;
  } catch (const std::system_error&) {
    return false;
  }
}

}  // namespace smelt
