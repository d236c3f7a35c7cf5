// Files of a split, taken by threads one after the other.
#include "runtime/data/each_in_order.h"

#include <algorithm>
#include <atomic>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <optional>

#include "runtime/thread_pool.h"

namespace smelt {
namespace {

class Work {
 public:
  Work(size_t count, const std::function<Result<void>(size_t)>& read) : count_(count), read_(read) {}

  void run() {
    // Threads take the next file that no one has, so a large one delays nobody. Behind a failure nothing matters.
    for (size_t i = next_++; i < count_ && i < failed_at_; i = next_++) {
      if (auto done = guarded(i); !done) report(i, std::move(done).error());
    }
  }

  Result<void> result() {
    if (error_) return std::unexpected(std::move(*error_));
    return {};
  }

 private:
  Result<void> guarded(size_t index) const try {
    return read_(index);
  } catch (const std::bad_alloc&) {  // on a thread of the pool nobody else would catch it
    return fail(ErrorKind::Limit, "out of memory while the data are read");
  }

  /// Files are taken in order, so each one before the first failure is read, and the first failure is the same on any
  /// number of threads.
  void report(size_t index, Error error) {
    const std::lock_guard lock(mutex_);
    if (index >= failed_at_) return;
    failed_at_ = index;
    error_ = std::move(error);
  }

  const size_t count_;
  const std::function<Result<void>(size_t)>& read_;
  std::atomic<size_t> next_ = 0;
  std::atomic<size_t> failed_at_ = std::numeric_limits<size_t>::max();
  std::mutex mutex_;
  std::optional<Error> error_;
};

}  // namespace

Result<void> each_in_order(size_t count, int threads, const std::function<Result<void>(size_t)>& read) {
  Work work(count, read);
  threads = static_cast<int>(std::min(static_cast<size_t>(std::max(threads, 1)), count));
  std::unique_ptr<ThreadPool> pool;
  if (threads > 1) {
    if (auto made = ThreadPool::create(threads)) pool = std::move(*made);
  }
  if (pool)
    pool->parallel([](void* self, int32_t, int32_t) { static_cast<Work*>(self)->run(); }, &work);
  else
    work.run();
  return work.result();
}

}  // namespace smelt
