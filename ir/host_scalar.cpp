#include "ir/host_scalar.h"

#include <bit>
#include <cmath>
#include <limits>

#include "ir/support/check.h"

namespace smelt {
namespace {

bool is_integral(Scalar a) { return !is_float(a.dtype); }

Scalar make_float(DType dtype, double value) {
  SMELT_CHECK(dtype == DType::F32 || dtype == DType::F64, "no host arithmetic on {}", to_string(dtype));
  return {.host = dtype == DType::F32 ? static_cast<float>(value) : value, .dtype = dtype};
}

/// Wraps to the dtype's width.
Scalar make_integer(DType dtype, uint64_t bits) {
  int64_t value = static_cast<int64_t>(bits);
  switch (dtype) {
    case DType::Bool: value = value != 0; break;
    case DType::U8: value = static_cast<uint8_t>(bits); break;
    case DType::I8: value = static_cast<int8_t>(bits); break;
    case DType::I16: value = static_cast<int16_t>(bits); break;
    case DType::I32: value = static_cast<int32_t>(bits); break;
    case DType::I64: break;
    case DType::F16:
    case DType::BF16:
    case DType::F32:
    case DType::F64: SMELT_CHECK(false, "{} is not an integer", to_string(dtype));
  }
  return {.dtype = dtype, .host_integer = value};
}

Scalar make_bool(bool value) { return {.dtype = DType::Bool, .host_integer = value}; }

/// Applies `on_float` in the operands' own precision, or `on_bits` modulo 2^64.
template <typename OnFloat, typename OnBits>
Scalar arithmetic(Scalar a, Scalar b, OnFloat on_float, OnBits on_bits) {
  SMELT_CHECK(a.dtype == b.dtype, "operands of {} and {}", to_string(a.dtype), to_string(b.dtype));
  if (is_integral(a)) {
    return make_integer(a.dtype, on_bits(static_cast<uint64_t>(a.host_integer), static_cast<uint64_t>(b.host_integer)));
  }
  if (a.dtype == DType::F32) {
    return make_float(a.dtype, on_float(static_cast<float>(a.host), static_cast<float>(b.host)));
  }
  return make_float(a.dtype, on_float(a.host, b.host));
}

/// Truncates and saturates; NaN becomes 0, and true as a bool.
int64_t to_integer(DType dtype, double value) {
  if (dtype == DType::Bool) return value != 0;  // NaN is not 0
  if (std::isnan(value)) return 0;
  const auto clamp = [value](auto low, auto high) -> int64_t {
    if (value <= static_cast<double>(low)) return low;
    if (value >= static_cast<double>(high)) return high;
    return static_cast<int64_t>(value);
  };
  switch (dtype) {
    case DType::U8: return clamp(std::numeric_limits<uint8_t>::min(), std::numeric_limits<uint8_t>::max());
    case DType::I8: return clamp(std::numeric_limits<int8_t>::min(), std::numeric_limits<int8_t>::max());
    case DType::I16: return clamp(std::numeric_limits<int16_t>::min(), std::numeric_limits<int16_t>::max());
    case DType::I32: return clamp(std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max());
    case DType::I64: return clamp(std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max());
    case DType::F16:
    case DType::BF16:
    case DType::F32:
    case DType::F64:
    case DType::Bool: break;
  }
  SMELT_CHECK(false, "{} is not an integer", to_string(dtype));
  return 0;
}

template <typename T>
bool holds(Compare predicate, T a, T b) {
  switch (predicate) {
    case Compare::Eq: return a == b;
    case Compare::Ne: return a != b;
    case Compare::Lt: return a < b;
    case Compare::Le: return a <= b;
    case Compare::Gt: return a > b;
    case Compare::Ge: return a >= b;
  }
  return false;
}

int width_of(Scalar a) { return static_cast<int>(size_of(a.dtype)) * 8; }

}  // namespace

Scalar HostScalarBuilder::value(DType dtype, double number) {
  if (is_float(dtype)) return make_float(dtype, number);
  return {.dtype = dtype, .host_integer = to_integer(dtype, number)};
}

double HostScalarBuilder::to_double(Scalar a) { return is_integral(a) ? static_cast<double>(a.host_integer) : a.host; }

Scalar HostScalarBuilder::constant(DType dtype, double number) { return value(dtype, number); }
Scalar HostScalarBuilder::integer(DType dtype, int64_t number) {
  return make_integer(dtype, static_cast<uint64_t>(number));
}

Scalar HostScalarBuilder::add(Scalar a, Scalar b) {
  const auto sum = [](auto x, auto y) { return x + y; };
  return arithmetic(a, b, sum, sum);
}
Scalar HostScalarBuilder::sub(Scalar a, Scalar b) {
  const auto difference = [](auto x, auto y) { return x - y; };
  return arithmetic(a, b, difference, difference);
}
Scalar HostScalarBuilder::mul(Scalar a, Scalar b) {
  const auto product = [](auto x, auto y) { return x * y; };
  return arithmetic(a, b, product, product);
}
Scalar HostScalarBuilder::div(Scalar a, Scalar b) {
  if (is_integral(a)) {
    SMELT_CHECK(b.host_integer != 0, "integer division by zero");
    return make_integer(a.dtype, static_cast<uint64_t>(a.host_integer / b.host_integer));
  }
  return arithmetic(a, b, [](auto x, auto y) { return x / y; }, [](uint64_t x, uint64_t) { return x; });
}
Scalar HostScalarBuilder::fma(Scalar a, Scalar b, Scalar c) {
  if (is_integral(a)) return add(mul(a, b), c);
  if (a.dtype == DType::F32) {
    return make_float(a.dtype,
                      std::fma(static_cast<float>(a.host), static_cast<float>(b.host), static_cast<float>(c.host)));
  }
  return make_float(a.dtype, std::fma(a.host, b.host, c.host));
}
Scalar HostScalarBuilder::neg(Scalar a) {
  if (is_integral(a)) return make_integer(a.dtype, uint64_t{0} - static_cast<uint64_t>(a.host_integer));
  return make_float(a.dtype, -a.host);
}
Scalar HostScalarBuilder::abs(Scalar a) {
  if (is_integral(a)) return a.host_integer < 0 ? neg(a) : a;
  return make_float(a.dtype, std::fabs(a.host));
}
Scalar HostScalarBuilder::sqrt(Scalar a) {
  // Rounding the double root to float equals the float root: 53 >= 2 * 24 + 2 bits.
  return make_float(a.dtype, std::sqrt(a.host));
}
Scalar HostScalarBuilder::floor(Scalar a) { return make_float(a.dtype, std::floor(a.host)); }
Scalar HostScalarBuilder::round_even(Scalar a) { return make_float(a.dtype, std::nearbyint(a.host)); }
Scalar HostScalarBuilder::min(Scalar a, Scalar b) {
  if (is_integral(a)) return a.host_integer < b.host_integer ? a : b;
  if (std::isnan(a.host) || std::isnan(b.host)) return make_float(a.dtype, std::numeric_limits<double>::quiet_NaN());
  if (a.host == b.host) return std::signbit(a.host) ? a : b;
  return a.host < b.host ? a : b;
}
Scalar HostScalarBuilder::max(Scalar a, Scalar b) {
  if (is_integral(a)) return a.host_integer > b.host_integer ? a : b;
  if (std::isnan(a.host) || std::isnan(b.host)) return make_float(a.dtype, std::numeric_limits<double>::quiet_NaN());
  if (a.host == b.host) return std::signbit(a.host) ? b : a;
  return a.host > b.host ? a : b;
}

Scalar HostScalarBuilder::compare(Compare predicate, Scalar a, Scalar b) {
  return make_bool(is_integral(a) ? holds(predicate, a.host_integer, b.host_integer)
                                  : holds(predicate, a.host, b.host));
}
Scalar HostScalarBuilder::select(Scalar condition, Scalar a, Scalar b) { return condition.host_integer != 0 ? a : b; }
Scalar HostScalarBuilder::logical_and(Scalar a, Scalar b) {
  return make_bool(a.host_integer != 0 && b.host_integer != 0);
}
Scalar HostScalarBuilder::logical_or(Scalar a, Scalar b) {
  return make_bool(a.host_integer != 0 || b.host_integer != 0);
}
Scalar HostScalarBuilder::logical_not(Scalar a) { return make_bool(a.host_integer == 0); }

Scalar HostScalarBuilder::cast(DType dtype, Scalar a) {
  if (is_float(dtype)) {
    // From i64 straight to float: going through double would round twice.
    if (is_integral(a) && dtype == DType::F32) return make_float(dtype, static_cast<float>(a.host_integer));
    return make_float(dtype, to_double(a));
  }
  if (is_integral(a)) return make_integer(dtype, static_cast<uint64_t>(a.host_integer));
  return {.dtype = dtype, .host_integer = to_integer(dtype, a.host)};
}

Scalar HostScalarBuilder::bit_cast(DType dtype, Scalar a) {
  SMELT_CHECK(size_of(dtype) == size_of(a.dtype), "bits of {} as {}", to_string(a.dtype), to_string(dtype));
  if (dtype == DType::F32) return make_float(dtype, std::bit_cast<float>(static_cast<int32_t>(a.host_integer)));
  if (dtype == DType::F64) return make_float(dtype, std::bit_cast<double>(a.host_integer));
  if (a.dtype == DType::F32) {
    return {.dtype = dtype, .host_integer = std::bit_cast<int32_t>(static_cast<float>(a.host))};
  }
  return {.dtype = dtype, .host_integer = std::bit_cast<int64_t>(a.host)};
}
Scalar HostScalarBuilder::bit_and(Scalar a, Scalar b) {
  return make_integer(a.dtype, static_cast<uint64_t>(a.host_integer & b.host_integer));
}
Scalar HostScalarBuilder::shift_left(Scalar a, int bits) {
  return make_integer(a.dtype, static_cast<uint64_t>(a.host_integer) << bits);
}
Scalar HostScalarBuilder::shift_right_logical(Scalar a, int bits) {
  const int unused = 64 - width_of(a);
  return make_integer(a.dtype, (static_cast<uint64_t>(a.host_integer) << unused >> unused) >> bits);
}
Scalar HostScalarBuilder::shift_right_arithmetic(Scalar a, int bits) {
  return make_integer(a.dtype, static_cast<uint64_t>(a.host_integer >> bits));
}

}  // namespace smelt
