#include "runtime/measure_peak.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

namespace smelt {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kChains = 12;  // independent sums: more than latency times throughput of any core so far
constexpr int kTurns = 4096;
constexpr auto kWindow = std::chrono::milliseconds(10);
constexpr int kWindows = 3;

// One body for each vector width; the attribute lets the compiler use multiply-add at that width.
#define SMELT_PEAK_BODY(name, bytes, features)                                        \
  typedef float name##_vector __attribute__((vector_size(bytes)));                    \
  __attribute__((target(features))) double name(float seed) {                         \
    name##_vector sums[kChains];                                                      \
    name##_vector factor, term;                                                       \
    for (auto& sum : sums) sum = name##_vector{} + seed;                              \
    factor = name##_vector{} + 0.999f;                                                \
    term = name##_vector{} + 1e-3f;                                                   \
    for (int turn = 0; turn < kTurns; ++turn) {                                       \
      for (auto& sum : sums) sum = sum * factor + term;                               \
      asm volatile("" : "+x"(factor));                                                \
    }                                                                                 \
    name##_vector total = sums[0];                                                    \
    for (int i = 1; i < kChains; ++i) total += sums[i];                               \
    asm volatile("" : : "x"(total));                                                  \
    return 2.0 * kTurns * kChains * (bytes / sizeof(float));                          \
  }

SMELT_PEAK_BODY(flops_avx512, 64, "avx512f,fma")
SMELT_PEAK_BODY(flops_avx2, 32, "avx2,fma")
SMELT_PEAK_BODY(flops_sse, 16, "sse2")
#undef SMELT_PEAK_BODY

double best_rate() {
  double (*body)(float) = flops_sse;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) body = flops_avx2;
  if (__builtin_cpu_supports("avx512f")) body = flops_avx512;
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

double measure_peak_gflops(int threads) {
  std::vector<double> rates(static_cast<size_t>(std::max(threads, 1)));
  std::vector<std::thread> workers;
  for (size_t t = 1; t < rates.size(); ++t) workers.emplace_back([&rates, t] { rates[t] = best_rate(); });
  rates[0] = best_rate();
  for (std::thread& worker : workers) worker.join();
  double sum = 0;
  for (const double rate : rates) sum += rate;
  return sum * 1e-9;
}

}  // namespace smelt
