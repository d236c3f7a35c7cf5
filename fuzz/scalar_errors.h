// How far the compiled elementary functions are from correctly rounded ones (RELIABILITY F1): `smelt debug scalars`.
#pragma once

#include <cstdint>
#include <optional>

#include "fuzz/scalar_code.h"

namespace smelt::fuzz {

/// What a sweep over arguments saw. ulp: the distance to the exact value in units of the last place of the result that
/// is nearest to it; infinite for a wrong NaN, infinity or sign.
struct ScalarErrors {
  uint64_t count = 0;
  double max_ulp = 0;
  double worst_a = 0, worst_b = 0;   // where
  std::optional<double> falls_at;    // the first argument whose result is below that of the argument before it
  std::optional<double> outside_at;  // an argument whose result leaves the function's range
  double cycles = 0;  // of the time stamp counter for 16 elements, the best of many turns; 0: not measured

  bool within(const ScalarFunction& function, double bound) const;
};

struct SweepOptions {
  uint64_t stride = 257;  // f32: every so many of the 2^32 bit patterns, in order of their value
  int threads = 1;
  bool time = false;
};

/// f32 arguments of one operand run over all exponents, subnormals, infinities and NaN. f64, and pow: as many arguments
/// as f32 has, at most 2^26, half of them over all exponents and half where the function is neither flat nor its
/// argument.
ScalarErrors measure(const ScalarCode& code, const ScalarFunction& function, DType dtype, const SweepOptions& options);

}  // namespace smelt::fuzz
