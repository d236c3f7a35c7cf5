// Errors of the elementary functions over strided bit patterns, against the C library in the next wider
// format.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <string_view>

#include "fuzz/scalar_code.h"
#include "ir/host_scalar.h"
#include "ir/scalar_math.h"
#include "tests/support/op_samples.h"

using namespace smelt;

namespace {

using Function = Scalar (*)(ScalarBuilder&, Scalar);

struct Case {
  std::string_view name;
  Function function;
  long double (*exact)(long double, long double);
  double max_ulp_f32;
  double max_ulp_f64;
};

long double exact_of(OpKind op, long double x) {
  return std::ranges::find(fuzz::scalar_functions(), op, &fuzz::ScalarFunction::op)->exact_f64(x, 0);
}
// As act.smelt has it, where the distribution is a normal number.
constexpr double kGeluFrom = -12.9;
Scalar gelu(ScalarBuilder& s, Scalar x) {
  const Scalar in_range = s.compare(Compare::Lt, s.constant(x.dtype, kGeluFrom), x);
  return s.select(in_range, s.mul(x, scalar_math::normal_cdf(s, x)), s.constant(x.dtype, NAN));
}
long double exact_gelu(long double x, long double) {
  return x > kGeluFrom ? x * exact_of(OpKind::NormalCdf, x) : std::nanl("");
}

/// The exact formula is that of the fuzzer, which measures the same functions in compiled code.
Case case_of(OpKind op, Function function, double max_ulp_f32, double max_ulp_f64) {
  const auto found = std::ranges::find(fuzz::scalar_functions(), op, &fuzz::ScalarFunction::op);
  return {found->name(), function, found->exact_f64, max_ulp_f32, max_ulp_f64};
}

const std::array kCases = {
    case_of(OpKind::Exp, scalar_math::exp, 1.0, 1.0),
    case_of(OpKind::Expm1, scalar_math::expm1, 1.0, 1.5),
    case_of(OpKind::Log, scalar_math::log, 0.8, 0.8),
    case_of(OpKind::Log1p, scalar_math::log1p, 1.0, 1.0),
    case_of(OpKind::Tanh, scalar_math::tanh, 1.5, 1.6),
    case_of(OpKind::Sigmoid, scalar_math::sigmoid, 2.0, 2.0),
    case_of(OpKind::Softplus, scalar_math::softplus, 1.6, 1.6),
    case_of(OpKind::Erf, scalar_math::erf, 1.5, 1.5),
    case_of(OpKind::NormalCdf, scalar_math::normal_cdf, 3.5, 3.5),
    Case{"gelu", gelu, exact_gelu, 4.0, 4.0},
    case_of(OpKind::Sin, scalar_math::sin, 1.0, 1.2),
    case_of(OpKind::Cos, scalar_math::cos, 1.0, 1.2),
};

constexpr std::array<double, 7> kEdges = {0.0, -0.0, INFINITY, -INFINITY, NAN, 1e-45, -1e-45};

/// The distance in units of the last place of T at `want`; 0 for equal special values, infinite for different
/// ones.
template <typename T>
double ulp_distance(T got, long double want) {
  const T rounded = static_cast<T>(want);
  if (std::isnan(rounded)) return std::isnan(got) ? 0 : INFINITY;
  if (std::isinf(rounded) || std::isinf(got) || std::isnan(got)) return rounded == got ? 0 : INFINITY;
  if (rounded == 0 && got == 0) return std::signbit(rounded) == std::signbit(got) ? 0 : INFINITY;
  constexpr int kDigits = std::numeric_limits<T>::digits;
  constexpr int kLowest = std::numeric_limits<T>::min_exponent - kDigits;
  const int exponent = rounded == 0 ? kLowest : std::max(std::ilogb(rounded) + 1 - kDigits, kLowest);
  return static_cast<double>(std::fabs(static_cast<long double>(got) - want) / std::ldexp(1.0L, exponent));
}

template <typename T, typename Bits>
void check_bits(const Case& test, Bits first, Bits last, Bits step, double limit) {
  HostScalarBuilder builder;
  constexpr DType kDType = sizeof(T) == 4 ? DType::F32 : DType::F64;
  double worst = 0;
  T worst_at = 0;
  for (Bits bits = first; bits <= last && bits >= first; bits += step) {
    const T x = std::bit_cast<T>(bits);
    const T got = static_cast<T>(test.function(builder, HostScalarBuilder::value(kDType, x)).host);
    const double error = ulp_distance(got, test.exact(x, 0));
    if (error > worst) {
      worst = error;
      worst_at = x;
    }
    if (last - bits < step) break;
  }
  CHECK_MESSAGE(worst <= limit, fmt::format("{}: {} ulp at {:a} ({})", test.name, worst, worst_at, worst_at));
}

Scalar value(DType dtype, double x) { return HostScalarBuilder::value(dtype, x); }

}  // namespace

TEST_CASE("f32 functions stay within their bounds over all exponents") {
  for (const Case& test : kCases) check_bits<float, uint32_t>(test, 0, UINT32_MAX, 19'937, test.max_ulp_f32);
}

TEST_CASE("f64 functions stay within their bounds over all exponents") {
  for (const Case& test : kCases) {
    check_bits<double, uint64_t>(test, 0, UINT64_MAX, 0x0001'0003'2F9A'B671u, test.max_ulp_f64);
  }
}

TEST_CASE("special values: zeros keep their sign, edges are exact") {
  HostScalarBuilder builder;
  for (const DType dtype : {DType::F32, DType::F64}) {
    for (const Case& test : kCases) {
      for (const double x : kEdges) {
        INFO(std::string(test.name), " ", x);
        const double got = test.function(builder, value(dtype, x)).host;
        const long double want = test.exact(value(dtype, x).host, 0);
        CHECK((dtype == DType::F32 ? ulp_distance(static_cast<float>(got), want) : ulp_distance(got, want)) <= 1);
      }
    }
    CHECK(scalar_math::exp(builder, value(dtype, 0)).host == 1);
    CHECK(scalar_math::log(builder, value(dtype, 1)).host == 0);
    CHECK(scalar_math::cos(builder, value(dtype, 0)).host == 1);
  }
}

TEST_CASE("exp and tanh never decrease") {
  HostScalarBuilder builder;
  for (const Function function : {scalar_math::exp, scalar_math::tanh}) {
    double last = -INFINITY;
    for (float x = -2.0F; x < 2.0F; x = std::nextafter(x + 1e-5F, 3.0F)) {
      const double y = function(builder, value(DType::F32, x)).host;
      CHECK(y >= last);
      last = y;
    }
  }
}

TEST_CASE("pow is accurate for large powers and follows the C standard at the edges") {
  HostScalarBuilder builder;
  testing::Numbers numbers(11);
  for (const DType dtype : {DType::F32, DType::F64}) {
    const bool narrow = dtype == DType::F32;
    for (int trial = 0; trial < 100'000; ++trial) {
      const double spread = trial % 3 == 0 ? 0.1 : trial % 3 == 1 ? 4 : 40;
      const Scalar a = value(dtype, std::exp(numbers.uniform(-spread, spread)));
      const Scalar b = value(dtype, numbers.uniform(-150, 150) / (trial % 5 == 0 ? 1 : 10));
      const long double want = std::pow(static_cast<long double>(a.host), static_cast<long double>(b.host));
      if (want > (narrow ? 3e38L : 1e308L) || want < (narrow ? 1.2e-38L : 1e-307L)) continue;
      const double got = scalar_math::pow(builder, a, b).host;
      const double error = narrow ? ulp_distance(static_cast<float>(got), want) : ulp_distance(got, want);
      CHECK_MESSAGE(error <= (narrow ? 0.51 : 2), fmt::format("pow({:a}, {:a}): {} ulp", a.host, b.host, error));
    }
    const std::array<double, 19> special = {0.0,      -0.0,      1,   -1,   2,     -2,    0.5,        -0.5, 3,   -3,
                                            INFINITY, -INFINITY, NAN, 1e30, -1e30, 1e-40, 16777217.0, 2.5,  -2.5};
    for (const double a : special) {
      for (const double b : special) {
        const Scalar x = value(dtype, a), y = value(dtype, b);
        const double got = scalar_math::pow(builder, x, y).host;
        const long double want = std::pow(static_cast<long double>(x.host), static_cast<long double>(y.host));
        const double error = narrow ? ulp_distance(static_cast<float>(got), want) : ulp_distance(got, want);
        CHECK_MESSAGE(error <= 2,
                      fmt::format("pow({}, {}) = {}, not {}", x.host, y.host, got, static_cast<double>(want)));
      }
    }
  }
}
