// Halves as bits: every pattern there and back, and every place where rounding changes its mind.
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstdint>

#include "ir/half_bits.h"
#include "ir/host_scalar.h"

using namespace smelt;

namespace {

struct Layout {
  DType dtype;
  int mantissa_bits;
  int bias;
};
constexpr Layout kLayouts[] = {{DType::F16, 10, 15}, {DType::BF16, 7, 127}};

/// By the definition of the format, in double.
double value_of(const Layout& half, uint32_t bits) {
  const int exponent_bits = 15 - half.mantissa_bits;
  const int exponent = static_cast<int>(bits >> half.mantissa_bits) & ((1 << exponent_bits) - 1);
  const int mantissa = static_cast<int>(bits) & ((1 << half.mantissa_bits) - 1);
  const double sign = (bits & 0x8000) != 0 ? -1 : 1;
  if (exponent == (1 << exponent_bits) - 1) return mantissa != 0 ? NAN : sign * INFINITY;
  if (exponent == 0) return sign * std::ldexp(mantissa, 1 - half.bias - half.mantissa_bits);
  return sign * std::ldexp(mantissa + (1 << half.mantissa_bits), exponent - half.bias - half.mantissa_bits);
}

double widened(const Layout& half, uint32_t bits) {
  HostScalarBuilder s;
  return widen_half(s, half.dtype, s.integer(DType::I32, bits)).host;
}
int64_t narrowed(const Layout& half, float x) {
  HostScalarBuilder s;
  return narrow_to_half(s, half.dtype, HostScalarBuilder::value(DType::F32, static_cast<double>(x))).host_integer;
}

}  // namespace

TEST_CASE("all 65536 halves widen exactly and come back") {
  for (const Layout& half : kLayouts) {
    for (uint32_t bits = 0; bits < 65536; ++bits) {
      const double want = value_of(half, bits), got = widened(half, bits);
      if (std::isnan(want)) {
        CHECK(std::isnan(got));
        CHECK(std::isnan(widened(half, static_cast<uint32_t>(narrowed(half, static_cast<float>(got))))));
        continue;
      }
      CHECK(got == want);
      CHECK(std::signbit(got) == std::signbit(want));
      CHECK(narrowed(half, static_cast<float>(got)) == bits);
    }
  }
}

TEST_CASE("between two neighbours the nearer one is taken, half way the even one, and the last one leads to infinity") {
  for (const Layout& half : kLayouts) {
    const uint32_t infinity = ((1u << (15 - half.mantissa_bits)) - 1) << half.mantissa_bits;
    for (const uint32_t sign : {0u, 0x8000u}) {
      for (uint32_t bits = 0; bits < infinity; ++bits) {
        const double here = value_of(half, bits | sign);
        const double unit = std::fabs(value_of(half, bits == 0 ? 1 : bits) - value_of(half, bits == 0 ? 0 : bits - 1));
        // The step up is that of this exponent; a power of two has a smaller one below.
        const double next = bits + 1 < infinity ? value_of(half, (bits + 1) | sign)
                                                : here + std::copysign(unit, sign != 0 ? -1.0 : 1.0);
        const auto middle = static_cast<float>((here + next) / 2);
        const uint32_t even = bits % 2 == 0 ? bits : bits + 1;
        CHECK(narrowed(half, middle) == (even | sign));
        CHECK(narrowed(half, std::nextafter(middle, 0.0F)) == (bits | sign));
        CHECK(narrowed(half, std::nextafter(middle, sign != 0 ? -INFINITY : INFINITY)) == ((bits + 1) | sign));
      }
    }
    CHECK(narrowed(half, INFINITY) == infinity);
    CHECK(narrowed(half, -INFINITY) == (infinity | 0x8000));
    CHECK(std::isnan(widened(half, static_cast<uint32_t>(narrowed(half, std::bit_cast<float>(0xFFFFFFFFu))))));
  }
}

TEST_CASE("f64 goes through f32 by rounding to odd and is rounded once") {
  HostScalarBuilder s;
  for (const Layout& half : kLayouts) {
    const uint32_t infinity = ((1u << (15 - half.mantissa_bits)) - 1) << half.mantissa_bits;
    for (uint32_t bits = 1; bits + 1 < infinity; bits += 7) {
      const double middle = (value_of(half, bits) + value_of(half, bits + 1)) / 2;
      for (const double x : {std::nextafter(middle, 0.0), middle, std::nextafter(middle, 1e300)}) {
        const Scalar narrow = round_to_odd_f32(s, HostScalarBuilder::value(DType::F64, x));
        const uint32_t want = x < middle ? bits : x > middle ? bits + 1 : bits + bits % 2;
        CHECK(narrow_to_half(s, half.dtype, narrow).host_integer == want);
      }
    }
    for (const double x : {1e300, 1e39, static_cast<double>(INFINITY)}) {
      CHECK(narrow_to_half(s, half.dtype, round_to_odd_f32(s, HostScalarBuilder::value(DType::F64, x))).host_integer ==
            infinity);
    }
  }
}
