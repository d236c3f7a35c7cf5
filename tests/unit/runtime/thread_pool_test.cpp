// Fork, join and barrier with fewer and more threads than processors.
#include "runtime/thread_pool.h"

#include <doctest/doctest.h>

#include <numeric>
#include <thread>
#include <vector>

using namespace smelt;

namespace {

struct Job {
  const smelt_threads* threads;
  std::vector<int64_t> partial;  // plain memory: the pool must order the accesses
  std::vector<int64_t> copies;
};

void add_one(void* arg, int32_t thread, int32_t) { ++static_cast<Job*>(arg)->partial[static_cast<size_t>(thread)]; }

// Each thread writes its part, then, behind the barrier, reads all parts.
void sum_behind_barrier(void* arg, int32_t thread, int32_t count) {
  Job& job = *static_cast<Job*>(arg);
  for (int round = 0; round < 20; ++round) {
    job.partial[static_cast<size_t>(thread)] += thread + 1;
    job.threads->barrier(job.threads->context, thread);
    job.copies[static_cast<size_t>(thread)] =
        std::accumulate(job.partial.begin(), job.partial.begin() + count, int64_t{0});
    job.threads->barrier(job.threads->context, thread);
  }
}

}  // namespace

TEST_CASE("every thread runs once in each of 10,000 sections") {
  for (const int32_t count : {1, 2, 3, 8}) {
    const auto pool = *ThreadPool::create(count);
    Job job{pool->threads(), std::vector<int64_t>(8), {}};
    for (int section = 0; section < 10'000; ++section) {
      job.threads->parallel(job.threads->context, add_one, &job);
    }
    for (int32_t thread = 0; thread < 8; ++thread) {
      CHECK(job.partial[static_cast<size_t>(thread)] == (thread < count ? 10'000 : 0));
    }
  }
}

TEST_CASE("a barrier shows every thread what the others wrote") {
  for (const int32_t count : {1, 2, 3, 8}) {
    const auto pool = *ThreadPool::create(count);
    Job job{pool->threads(), std::vector<int64_t>(8), std::vector<int64_t>(8)};
    for (int section = 0; section < 50; ++section) pool->parallel(sum_behind_barrier, &job);
    for (int32_t thread = 0; thread < count; ++thread) {
      CHECK(job.copies[static_cast<size_t>(thread)] == int64_t{1000} * count * (count + 1) / 2);
    }
  }
}

TEST_CASE("two callers share a pool by taking turns") {
  const auto pool = *ThreadPool::create(3);
  Job job{pool->threads(), std::vector<int64_t>(8), {}};
  const auto caller = [&] {
    for (int section = 0; section < 1000; ++section) pool->parallel(add_one, &job);
  };
  std::thread other(caller);
  caller();
  other.join();
  CHECK(job.partial[0] == 2000);
  CHECK(job.partial[2] == 2000);
}

TEST_CASE("pools start and stop, and refuse senseless sizes") {
  for (int i = 0; i < 100; ++i) CHECK(ThreadPool::create(1 + i % 4).has_value());
  for (const int32_t count : {0, -1, 1025, 1'000'000'000}) {
    const auto pool = ThreadPool::create(count);
    REQUIRE_FALSE(pool.has_value());
    CHECK(pool.error().kind == ErrorKind::Usage);
  }
}
