#include "runtime/thread_pool.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <system_error>
#include <vector>

namespace smelt {
namespace {

// Of `pause`, before a thread sleeps: about 30 us at 3 GHz between two jobs, longer than what lies between two steps;
// and 0.6 ms inside of one, where a thread that sleeps or gives way while other programs are busy comes back a time
// slice later. A step of examples/vae.smelt took 2.3 ms on two threads of a quiet machine. Beside two busy processes it
// took 35 to 44 ms with 1000 turns everywhere, 7.7 with 5000 and with 20000, which has shorter outliers (`smelt bench
// --threads 2`, November 2026).
constexpr int kSpinsBetweenJobs = 1000, kSpinsInJob = 20'000;
// Where threads share a processor they give way this often before they sleep: what keeps 8 threads on 2 processors
// moving.
constexpr int kYields = 16;

void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

/// Moves the calling thread to the processor that is `places` behind `from` among those it may run on; from there the
/// system moves it as it likes. Without it two threads began on one processor of two in 14 of 25 runs, and took 17
/// times as long for the first 100 ms: `smelt bench benchmarks/models/embedding.smelt --threads 2 --steps 60`, November
/// 2026.
void move_away(int from, int places) {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  std::vector<int> processors;
  for (int processor = 0; processor < CPU_SETSIZE; ++processor) {
    if (CPU_ISSET(processor, &allowed)) processors.push_back(processor);
  }
  const auto here = std::ranges::find(processors, from) - processors.begin();
  const auto count = static_cast<ptrdiff_t>(processors.size());
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(processors[static_cast<size_t>((here + places) % count)], &one);
  if (sched_setaffinity(0, sizeof one, &one) == 0) sched_setaffinity(0, sizeof allowed, &allowed);
}

}  // namespace

Result<std::unique_ptr<ThreadPool>> ThreadPool::create(int32_t count) {
  if (count < 1 || count > kMaxThreads) {
    return fail(ErrorKind::Usage, fmt::format("{} threads: 1 to {} are possible", count, kMaxThreads));
  }
  std::unique_ptr<ThreadPool> pool(new ThreadPool(count));
  try {
    for (int32_t thread = 1; thread < count; ++thread) {
      pool->workers_.emplace_back([p = pool.get(), thread, here = sched_getcpu()] {
        move_away(here, thread);
        p->work(thread);
      });
    }
  } catch (const std::system_error& error) {
    // The destructor counts on what is running: wake and join exactly those.
    return fail(
        ErrorKind::Limit,
        fmt::format("cannot start thread {} of {}: {}", pool->workers_.size() + 2, count, error.code().message()),
        "use fewer threads");
  }
  return pool;
}

ThreadPool::ThreadPool(int32_t count) {
  const unsigned processors = std::thread::hardware_concurrency();
  shares_processors_ = processors != 0 && static_cast<unsigned>(count) > processors;
  threads_.context = this;
  threads_.count = count;
  threads_.parallel = [](void* context, void (*fn)(void*, int32_t, int32_t), void* arg) {
    static_cast<ThreadPool*>(context)->parallel(fn, arg);
  };
  threads_.barrier = [](void* context, int32_t) { static_cast<ThreadPool*>(context)->barrier(); };
}

ThreadPool::~ThreadPool() {
  stopping_ = true;
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::wait_for_change(const std::atomic<uint32_t>& value, uint32_t old, int spins) const {
  for (int turn = 0; turn < (shares_processors_ ? kYields : spins); ++turn) {
    if (value.load(std::memory_order_acquire) != old) return;
    if (shares_processors_) {
      std::this_thread::yield();
    } else {
      relax();
    }
  }
  value.wait(old, std::memory_order_acquire);
}

void ThreadPool::parallel(void (*fn)(void*, int32_t, int32_t), void* arg) {
  if (threads_.count == 1) return fn(arg, 0, 1);
  const std::lock_guard lock(turn_);
  fn_ = fn;
  arg_ = arg;
  running_.store(static_cast<uint32_t>(workers_.size()), std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  fn(arg, 0, threads_.count);
  for (uint32_t left = running_.load(std::memory_order_acquire); left != 0;
       left = running_.load(std::memory_order_acquire)) {
    wait_for_change(running_, left, kSpinsInJob);
  }
}

void ThreadPool::work(int32_t thread) {
  uint32_t seen = 0;
  while (true) {
    wait_for_change(generation_, seen, kSpinsBetweenJobs);
    ++seen;  // a job starts only when all workers are done with the one before, so none is skipped
    if (stopping_) return;
    fn_(arg_, thread, threads_.count);
    if (running_.fetch_sub(1, std::memory_order_acq_rel) == 1) running_.notify_one();
  }
}

void ThreadPool::barrier() {
  const uint32_t phase = phase_.load(std::memory_order_acquire);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == static_cast<uint32_t>(threads_.count)) {
    arrived_.store(0, std::memory_order_relaxed);
    phase_.fetch_add(1, std::memory_order_release);
    phase_.notify_all();
  } else {
    wait_for_change(phase_, phase, kSpinsInJob);
  }
}

}  // namespace smelt
