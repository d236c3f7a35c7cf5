// The library's own implementation of smelt_threads (abi.h): persistent workers that spin briefly, then
// sleep.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "ir/support/result.h"
#include "runtime/abi.h"

namespace smelt {

/// `count` threads, the caller's included. Several sessions may share a pool: their parallel sections take
/// turns. A parallel section must not start another one on the same pool. Does not survive fork.
class ThreadPool {
 public:
  static constexpr int32_t kMaxThreads = 1024;

  /// Errors: Usage when `count` is outside 1..kMaxThreads; Limit when the system gives no more threads.
  static Result<std::unique_ptr<ThreadPool>> create(int32_t count);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int32_t count() const { return threads_.count; }
  /// Valid as long as the pool.
  const smelt_threads* threads() const { return &threads_; }

  /// Runs fn(arg, thread, count) once on each thread, on the caller's as thread 0; returns when all are done.
  void parallel(void (*fn)(void* arg, int32_t thread, int32_t count), void* arg);
  /// Called by every thread of a parallel section; none returns before all have called.
  void barrier();

 private:
  explicit ThreadPool(int32_t count);
  void work(int32_t thread);
  /// Sleeps after `spins` turns, or after a few in which others went first.
  void wait_for_change(const std::atomic<uint32_t>& value, uint32_t old, int spins) const;

  smelt_threads threads_{};
  bool shares_processors_ = false;  // there are more threads than processors
  std::mutex turn_;
  std::vector<std::thread> workers_;

  // The job: written before `generation_` rises, read after.
  void (*fn_)(void* arg, int32_t thread, int32_t count) = nullptr;
  void* arg_ = nullptr;
  bool stopping_ = false;
  alignas(64) std::atomic<uint32_t> generation_ = 0;  // of the job
  alignas(64) std::atomic<uint32_t> running_ = 0;     // workers that are not done with it
  alignas(64) std::atomic<uint32_t> arrived_ = 0;     // at the barrier
  alignas(64) std::atomic<uint32_t> phase_ = 0;       // of the barrier
};

}  // namespace smelt
