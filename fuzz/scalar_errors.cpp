#include "fuzz/scalar_errors.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <thread>
#include <type_traits>
#include <vector>

#include "ir/support/start_thread.h"

namespace smelt::fuzz {
namespace {

template <typename T>
using BitsOf = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;

/// Patterns in the order of their values: -NaN, -infinity, .., -0, 0, .., infinity, NaN.
template <typename T>
T from_order(BitsOf<T> order) {
  constexpr auto kTop = BitsOf<T>{1} << (8 * sizeof(T) - 1);
  return std::bit_cast<T>((order & kTop) != 0 ? order ^ kTop : static_cast<BitsOf<T>>(~order));
}

/// Distance of `got` to `want` in units of the last place at `want`. An infinite result counts as the power of two that
/// comes after the largest number.
template <typename T, typename Wide>
double ulp_distance(T got, Wide want) {
  using Limits = std::numeric_limits<T>;
  if (std::isnan(want) || std::isnan(got)) return std::isnan(want) == std::isnan(got) ? 0 : INFINITY;
  if (std::signbit(got) != std::signbit(want)) return INFINITY;
  if (static_cast<Wide>(got) == want) return 0;
  const Wide limit = std::ldexp(Wide{1}, Limits::max_exponent);
  const Wide exact = std::min(std::fabs(want), limit), near = std::min(static_cast<Wide>(std::fabs(got)), limit);
  if (exact == near) return 0;
  int exponent = 0;
  std::frexp(exact, &exponent);
  exponent = std::clamp(exponent, Limits::min_exponent, Limits::max_exponent);
  return static_cast<double>(std::ldexp(std::fabs(near - exact), Limits::digits - exponent));
}

uint64_t scrambled(uint64_t x) {  // Steele, Lea, Flood 2014, SplitMix
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}
double unit_interval(uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1p-53; }

/// a^b with b log a evenly over what has a finite result and a little more; every 64th pair is of special values.
template <typename T>
void draw_powers(uint64_t number, T& a, T& b) {
  constexpr T kSpecial[] = {0,
                            1,
                            2,
                            0.5,
                            3,
                            2.5,
                            std::numeric_limits<T>::infinity(),
                            std::numeric_limits<T>::quiet_NaN(),
                            static_cast<T>(1e30),
                            static_cast<T>(1e-40),
                            static_cast<T>(16777217)};
  constexpr uint64_t kNumSpecial = std::size(kSpecial);
  const uint64_t bits = scrambled(2 * number), more = scrambled(2 * number + 1);
  if (number % 64 == 0) {
    a = kSpecial[bits % kNumSpecial] * static_cast<T>((bits >> 40) % 2 == 0 ? 1 : -1);
    b = kSpecial[more % kNumSpecial] * static_cast<T>((more >> 40) % 2 == 0 ? 1 : -1);
    return;
  }
  const double low = std::is_same_v<T, float> ? -105 : -746, high = std::is_same_v<T, float> ? 90 : 711;
  const double size = std::exp2(16 * unit_interval(scrambled(more)) - 6);
  b = static_cast<T>((bits & 1) != 0 ? size : -size);
  if ((more & 7) == 0) b = std::floor(b);
  a = static_cast<T>(std::exp((low + (high - low) * unit_interval(bits)) / static_cast<double>(b)));
  if ((more & 63) == 0) a = -a;
}

/// A share of the arguments, by number; blocks go through the compiled code.
template <typename T>
class Sweep {
 public:
  using Wide = std::conditional_t<sizeof(T) == 4, double, long double>;
  enum class Arguments { AllPatterns, Middle, Powers };

  Sweep(const ScalarCode& code, const ScalarFunction& function, Arguments arguments, uint64_t count)
      : code_(code), function_(function), arguments_(arguments), count_(count) {}

  /// Numbers first..last, the argument before the first one included for the order.
  ScalarErrors run(uint64_t first, uint64_t last) {
    ScalarErrors errors;
    T before = std::numeric_limits<T>::quiet_NaN();
    for (uint64_t at = first > 0 ? first - 1 : 0; at < last; at += ScalarCode::kBlock) {
      const size_t size = std::min<uint64_t>(ScalarCode::kBlock, last - at);
      for (size_t i = 0; i < size; ++i) draw(at + i, a_[i], b_[i]);
      code_.run(function_, a_.data(), b_.data(), results_.data());
      for (size_t i = 0; i < size; ++i) {
        check(i, before, errors);
        if (arguments_ != Arguments::Powers) before = results_[i];
      }
      errors.count += size;
    }
    return errors;
  }

 private:
  void draw(uint64_t number, T& a, T& b) const {
    using Bits = BitsOf<T>;
    constexpr int kBits = 8 * sizeof(T);
    if (arguments_ == Arguments::Powers) return draw_powers(number, a, b);
    if (arguments_ == Arguments::AllPatterns) {
      a = from_order<T>(static_cast<Bits>(number * stride()));
      return;
    }
    // 2^-8 .. 2^11 of both signs, evenly in the bit pattern.
    const uint64_t half = count_ / 2;
    const auto top = static_cast<double>(std::bit_cast<Bits>(static_cast<T>(2048)));
    const auto bottom = static_cast<double>(std::bit_cast<Bits>(static_cast<T>(0x1p-8)));
    const double share =
        static_cast<double>(number < half ? half - 1 - number : number - half) / static_cast<double>(half);
    const Bits low_bits = kBits == 64 ? static_cast<Bits>(scrambled(number) >> 54) : 0;
    const T magnitude = std::bit_cast<T>(static_cast<Bits>(bottom + share * (top - bottom)) + low_bits);
    a = number < half ? -magnitude : magnitude;
  }

  uint64_t stride() const {
    if constexpr (sizeof(T) == 4) return (uint64_t{1} << 32) / count_;
    return std::numeric_limits<uint64_t>::max() / count_;
  }

  void check(size_t i, T before, ScalarErrors& errors) const {
    const T got = results_[i];
    const Wide want =
        sizeof(T) == 4 ? static_cast<Wide>(function_.exact_f32(static_cast<double>(a_[i]), static_cast<double>(b_[i])))
                       : static_cast<Wide>(function_.exact_f64(a_[i], b_[i]));
    const double error = ulp_distance(got, want);
    if (error > errors.max_ulp) {
      errors.max_ulp = error;
      errors.worst_a = static_cast<double>(a_[i]);
      errors.worst_b = static_cast<double>(b_[i]);
    }
    if (got < before && !errors.falls_at) errors.falls_at = static_cast<double>(a_[i]);
    // The reciprocal root of -0 is outside of its range in earnest.
    if (is_outside(static_cast<double>(got)) && !is_outside(static_cast<double>(want)) && !errors.outside_at)
      errors.outside_at = static_cast<double>(a_[i]);
  }

  bool is_outside(double y) const { return y < function_.range.low || y > function_.range.high; }

  const ScalarCode& code_;
  const ScalarFunction& function_;
  const Arguments arguments_;
  const uint64_t count_;
  std::vector<T> a_ = std::vector<T>(ScalarCode::kBlock, 1), b_ = std::vector<T>(ScalarCode::kBlock, 1),
                 results_ = std::vector<T>(ScalarCode::kBlock);
};

void merge(ScalarErrors& all, const ScalarErrors& part) {
  all.count += part.count;
  if (part.max_ulp > all.max_ulp) {
    all.max_ulp = part.max_ulp;
    all.worst_a = part.worst_a;
    all.worst_b = part.worst_b;
  }
  if (!all.falls_at) all.falls_at = part.falls_at;
  if (!all.outside_at) all.outside_at = part.outside_at;
}

template <typename T>
ScalarErrors sweep(const ScalarCode& code, const ScalarFunction& function, typename Sweep<T>::Arguments arguments,
                   uint64_t count, int num_threads) {
  const auto parts = static_cast<uint64_t>(num_threads);
  std::vector<ScalarErrors> results(parts);
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < parts; ++t) {
    const auto work = [&, t] {
      results[t] = Sweep<T>(code, function, arguments, count)
                       .run(count / parts * t, t + 1 == parts ? count : count / parts * (t + 1));
    };
    if (!start_thread(threads, work)) work();
  }
  for (std::thread& thread : threads) thread.join();
  ScalarErrors all;
  for (const ScalarErrors& part : results) merge(all, part);
  return all;
}

/// Arguments between 1/4 and 4, where every function does all of its work.
template <typename T>
double time_block(const ScalarCode& code, const ScalarFunction& function) {
  constexpr int kTurns = 300;
  std::vector<T> a(ScalarCode::kBlock), results(ScalarCode::kBlock);
  for (size_t i = 0; i < a.size(); ++i) a[i] = static_cast<T>(std::exp2(4 * unit_interval(scrambled(i)) - 2));
  uint64_t best = std::numeric_limits<uint64_t>::max();
  for (int turn = 0; turn < kTurns; ++turn) {
    const uint64_t start = __builtin_ia32_rdtsc();
    code.run(function, a.data(), a.data(), results.data());
    best = std::min<uint64_t>(best, __builtin_ia32_rdtsc() - start);
  }
  return static_cast<double>(best) * 16 / static_cast<double>(ScalarCode::kBlock);
}

template <typename T>
ScalarErrors measure_as(const ScalarCode& code, const ScalarFunction& function, const SweepOptions& options) {
  using Arguments = typename Sweep<T>::Arguments;
  constexpr uint64_t kPatterns = uint64_t{1} << 32, kMostSamples = uint64_t{1} << 26;
  const uint64_t all = kPatterns / std::max<uint64_t>(options.stride, 1), samples = std::min(all, kMostSamples);
  ScalarErrors errors;
  if (function.binary) {
    errors = sweep<T>(code, function, Arguments::Powers, samples, options.threads);
  } else if (sizeof(T) == 4) {
    errors = sweep<T>(code, function, Arguments::AllPatterns, all, options.threads);
  } else {
    errors = sweep<T>(code, function, Arguments::AllPatterns, samples / 2, options.threads);
    merge(errors, sweep<T>(code, function, Arguments::Middle, samples / 2, options.threads));
  }
  if (options.time) errors.cycles = time_block<T>(code, function);
  return errors;
}

}  // namespace

bool ScalarErrors::within(const ScalarFunction& function, double bound) const {
  return max_ulp <= bound && !outside_at && !(function.rises && falls_at);
}

ScalarErrors measure(const ScalarCode& code, const ScalarFunction& function, DType dtype, const SweepOptions& options) {
  return dtype == DType::F32 ? measure_as<float>(code, function, options) : measure_as<double>(code, function, options);
}

}  // namespace smelt::fuzz
