#include "runtime/measure_peak.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "ir/support/start_thread.h"

namespace smelt {
namespace {

using Clock = std::chrono::steady_clock;

// Independent sums: more than latency times throughput of any core so far. SMELT_EACH_CHAIN has the number again.
constexpr int kChains = 12;
constexpr int kTurns = 4096;
constexpr auto kWindow = std::chrono::milliseconds(10);
constexpr int kWindows = 3;

// One body for each vector width; the attribute lets the compiler use multiply-add at that width. Loops over the sums
// are unrolled by request, because sums that are indexed by a variable live in memory: g++ -O2 measured a fifth of the
// peak so. Each sum starts at a value of its own, because equal ones would be computed once: that measured twice the
// peak.
#define SMELT_EACH_CHAIN(i) _Pragma("GCC unroll 12") for (int i = 0; i < kChains; ++i)
#define SMELT_PEAK_BODY(name, bytes, features)                                      \
  typedef float name##_vector __attribute__((vector_size(bytes)));                  \
  __attribute__((target(features))) double name(float seed) {                       \
    name##_vector sums[kChains];                                                    \
    name##_vector factor, term;                                                     \
    SMELT_EACH_CHAIN(i) sums[i] = name##_vector{} + (seed + static_cast<float>(i)); \
    factor = name##_vector{} + 0.999f;                                              \
    term = name##_vector{} + 1e-3f;                                                 \
    for (int turn = 0; turn < kTurns; ++turn) {                                     \
      SMELT_EACH_CHAIN(i) sums[i] = sums[i] * factor + term;                        \
      asm volatile("" : "+x"(factor));                                              \
    }                                                                               \
    name##_vector total{};                                                          \
    SMELT_EACH_CHAIN(i) total += sums[i];                                           \
    asm volatile("" : : "x"(total));                                                \
    return 2.0 * kTurns * kChains * (bytes / sizeof(float));                        \
  }

SMELT_PEAK_BODY(flops_avx512, 64, "avx512f,fma")
SMELT_PEAK_BODY(flops_avx2, 32, "avx2,fma")
SMELT_PEAK_BODY(flops_sse, 16, "sse2")
#undef SMELT_PEAK_BODY
#undef SMELT_EACH_CHAIN

#define SMELT_EACH_SUM(i) _Pragma("GCC unroll 8") for (size_t i = 0; i < 8; ++i)
#define SMELT_READ_BODY(name, bytes, features)                                                       \
  typedef float name##_vector __attribute__((vector_size(bytes)));                                   \
  __attribute__((target(features))) void name(const char* data, size_t size) {                       \
    name##_vector sums[8] = {};                                                                      \
    for (size_t at = 0; at + 8 * (bytes) <= size; at += 8 * (bytes)) {                               \
      SMELT_EACH_SUM(i) sums[i] += *reinterpret_cast<const name##_vector*>(data + at + i * (bytes)); \
    }                                                                                                \
    SMELT_EACH_SUM(i) asm volatile("" : : "x"(sums[i]));                                             \
  }

SMELT_READ_BODY(read_avx512, 64, "avx512f")
SMELT_READ_BODY(read_avx2, 32, "avx2")
SMELT_READ_BODY(read_sse, 16, "sse2")
#undef SMELT_READ_BODY
#undef SMELT_EACH_SUM

/// Bytes a second, the best of a few windows.
double best_read_rate(size_t size, int64_t vector_bytes) {
  void (*body)(const char*, size_t) = read_sse;
  if (vector_bytes >= 32 && __builtin_cpu_supports("avx2")) body = read_avx2;
  if (vector_bytes >= 64 && __builtin_cpu_supports("avx512f")) body = read_avx512;
  size = std::max<size_t>(size / 512 * 512, 4096);
  const std::unique_ptr<char, decltype(&std::free)> data(static_cast<char*>(std::aligned_alloc(64, size)), &std::free);
  if (!data) return 0;
  std::memset(data.get(), 0, size);
  double best = 0;
  for (int window = 0; window < kWindows; ++window) {
    const auto start = Clock::now();
    double bytes = 0;
    while (Clock::now() - start < kWindow) {
      body(data.get(), size);
      bytes += static_cast<double>(size);
    }
    best = std::max(best, bytes / std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

/// The sum over `threads` threads at once of what `rate` gives on each.
template <typename Rate>
double on_threads(int threads, const Rate& rate) {
  std::vector<double> rates(static_cast<size_t>(std::max(threads, 1)));
  std::vector<std::thread> workers;
  for (size_t t = 1; t < rates.size(); ++t) {
    if (!start_thread(workers, [&, t] { rates[t] = rate(); })) break;  // the peak of those that run
  }
  rates[0] = rate();
  for (std::thread& worker : workers) worker.join();
  double sum = 0;
  for (const double each : rates) sum += each;
  return sum;
}

double best_rate(int64_t vector_bytes) {
  double (*body)(float) = flops_sse;
  if (vector_bytes >= 32 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) body = flops_avx2;
  if (vector_bytes >= 64 && __builtin_cpu_supports("avx512f")) body = flops_avx512;
  double best = 0;
  for (int window = 0; window < kWindows; ++window) {
    const auto start = Clock::now();
    double flops = 0;
    while (Clock::now() - start < kWindow) flops += body(1.0f);
    best = std::max(best, flops / std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

}  // namespace

double measure_peak_gflops(int threads, int64_t vector_bytes) {
  return on_threads(threads, [&] { return best_rate(vector_bytes); }) * 1e-9;
}

double measure_read_gbps(uint64_t bytes, int threads, int64_t vector_bytes) {
  const size_t share = static_cast<size_t>(bytes) / static_cast<size_t>(std::max(threads, 1));
  return on_threads(threads, [&] { return best_read_rate(share, vector_bytes); }) * 1e-9;
}

}  // namespace smelt
