#include "runtime/host_tensor.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include <fmt/format.h>

namespace smelt {
namespace {

template <typename T>
T load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}
template <typename T>
void store(std::byte* at, T value) {
  std::memcpy(at, &value, sizeof value);
}

}  // namespace

double load_element(DType dtype, const std::byte* at) {
  switch (dtype) {
    case DType::Bool: return load<uint8_t>(at) != 0 ? 1 : 0;
    case DType::U8: return load<uint8_t>(at);
    case DType::I8: return load<int8_t>(at);
    case DType::I16: return load<int16_t>(at);
    case DType::I32: return load<int32_t>(at);
    case DType::I64: return static_cast<double>(load<int64_t>(at));
    case DType::F16: return half_to_float(load<uint16_t>(at));
    case DType::BF16: return bfloat16_to_float(load<uint16_t>(at));
    case DType::F32: return load<float>(at);
    case DType::F64: return load<double>(at);
  }
  return 0;
}

namespace {

int64_t load_integer(DType dtype, const std::byte* at) {
  return dtype == DType::I64 ? load<int64_t>(at) : static_cast<int64_t>(load_element(dtype, at));
}

template <typename T>
bool store_integer(std::byte* at, int64_t value) {
  if (value < std::numeric_limits<T>::min() || value > std::numeric_limits<T>::max()) return false;
  store(at, static_cast<T>(value));
  return true;
}

bool store_integer(DType dtype, std::byte* at, int64_t value) {
  switch (dtype) {
    case DType::Bool: store<uint8_t>(at, value != 0 ? 1 : 0); return value == 0 || value == 1;
    case DType::U8: return store_integer<uint8_t>(at, value);
    case DType::I8: return store_integer<int8_t>(at, value);
    case DType::I16: return store_integer<int16_t>(at, value);
    case DType::I32: return store_integer<int32_t>(at, value);
    case DType::I64: store(at, value); return true;
    case DType::F16:
    case DType::BF16:
    case DType::F32:
    case DType::F64: break;
  }
  return false;
}

/// The float from which a half is rounded as if from `value` itself, as compiled code does (`round_to_odd_f32` of
/// ir/half_bits.h): truncated, its last bit 1 unless exact.
float rounded_to_odd(double value) {
  const auto nearest = static_cast<float>(value);
  if (std::isnan(value) || static_cast<double>(nearest) == value) return nearest;
  const bool is_above = std::fabs(static_cast<double>(nearest)) > std::fabs(value);
  const float below = is_above ? std::nextafter(nearest, 0.0f) : nearest;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(below) | 1u);
}

void store_double(DType dtype, std::byte* at, double value) {
  switch (dtype) {
    case DType::F16: return store(at, float_to_half(rounded_to_odd(value)));
    case DType::BF16: return store(at, float_to_bfloat16(rounded_to_odd(value)));
    case DType::F32: return store(at, static_cast<float>(value));
    case DType::F64: return store(at, value);
    case DType::Bool:
    case DType::U8:
    case DType::I8:
    case DType::I16:
    case DType::I32:
    case DType::I64: break;
  }
}

// A float that is an integer int64 can hold.
std::optional<int64_t> exact_integer(double value) {
  if (!(value >= -0x1p63 && value < 0x1p63) || value != std::floor(value)) return std::nullopt;
  return static_cast<int64_t>(value);
}

}  // namespace

std::optional<int64_t> num_elements(std::span<const int64_t> shape) {
  int64_t product = 1;
  bool empty = false;
  for (const int64_t size : shape) {
    if (size < 0) return std::nullopt;
    if (size == 0) {
      empty = true;
    } else if (__builtin_mul_overflow(product, size, &product)) {
      return std::nullopt;
    }
  }
  return empty ? 0 : product;
}

std::optional<uint64_t> byte_size(DType dtype, std::span<const int64_t> shape) {
  const std::optional<int64_t> count = num_elements(shape);
  int64_t bytes = 0;
  if (!count || __builtin_mul_overflow(*count, size_of(dtype), &bytes)) return std::nullopt;
  return static_cast<uint64_t>(bytes);
}

std::string describe(DType dtype, std::span<const int64_t> shape) {
  std::string out(to_string(dtype));
  if (shape.empty()) return out;
  return out + fmt::format("[{}]", fmt::join(shape, ", "));
}

Result<HostTensor> HostTensor::zeros(DType dtype, std::vector<int64_t> shape, std::string_view what) {
  const std::optional<uint64_t> bytes = byte_size(dtype, shape);
  if (!bytes) {
    return fail(ErrorKind::Limit, fmt::format("{}: the size of {} leaves 64 bits", what, describe(dtype, shape)));
  }
  SMELT_TRY(Buffer data, Buffer::allocate(*bytes, what));
  return HostTensor{dtype, std::move(shape), std::move(data)};
}

float half_to_float(uint16_t bits) {
  const uint32_t sign = uint32_t{bits & 0x8000u} << 16;
  const uint32_t exponent = (bits >> 10) & 0x1F, mantissa = bits & 0x3FF;
  if (exponent == 0x1F) return std::bit_cast<float>(sign | 0x7F800000u | (mantissa << 13));
  if (exponent != 0) return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;  // subnormal: exact
  return sign != 0 ? -magnitude : magnitude;
}

float bfloat16_to_float(uint16_t bits) { return std::bit_cast<float>(uint32_t{bits} << 16); }

uint16_t float_to_half(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000u, magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return static_cast<uint16_t>(sign | 0x7E00u | ((magnitude >> 13) & 0x3FFu));
  if (magnitude >= 0x477FF000u) return static_cast<uint16_t>(sign | 0x7C00u);  // 65520 and above round to infinity
  if (magnitude < 0x38800000u) {                                               // below 2^-14: subnormal
    const float scaled = std::bit_cast<float>(magnitude) * 0x1p24f;
    return static_cast<uint16_t>(sign | static_cast<uint32_t>(std::nearbyint(scaled)));
  }
  const uint32_t rounded = magnitude + 0xFFFu + ((magnitude >> 13) & 1u);
  return static_cast<uint16_t>(sign | ((rounded - 0x38000000u) >> 13));
}

uint16_t float_to_bfloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

double element(const HostTensor& tensor, int64_t index) {
  return load_element(tensor.dtype, tensor.data.data() + index * size_of(tensor.dtype));
}

void store_element(DType dtype, double value, std::byte* at) {
  if (is_float(dtype))
    store_double(dtype, at, value);
  else
    store_integer(dtype, at, static_cast<int64_t>(value));
}

Result<void> convert_elements(DType from_type, std::span<const std::byte> from, DType to_type,
                              std::span<std::byte> to) {
  const auto source_size = static_cast<size_t>(size_of(from_type)), size = static_cast<size_t>(size_of(to_type));
  const auto refuse = [&](size_t i) {
    const double value = load_element(from_type, &from[i * source_size]);
    return fail(ErrorKind::Input, fmt::format("element {} is {}, which {} cannot hold", i, value, to_string(to_type)));
  };
  for (size_t i = 0; i < to.size() / size; ++i) {
    const std::byte* source = &from[i * source_size];
    std::byte* target = &to[i * size];
    if (is_float(to_type)) {
      const double value = load_element(from_type, source);
      store_double(to_type, target, value);
      const double stored = load_element(to_type, target);
      if (std::isfinite(value) && !std::isfinite(stored)) return refuse(i);
      if (!is_float(from_type) && exact_integer(stored) != load_integer(from_type, source)) return refuse(i);
      continue;
    }
    const std::optional<int64_t> value =
        is_float(from_type) ? exact_integer(load_element(from_type, source)) : load_integer(from_type, source);
    if (!value || !store_integer(to_type, target, *value)) return refuse(i);
  }
  return {};
}

Result<HostTensor> convert(const HostTensor& tensor, DType dtype) {
  SMELT_TRY(HostTensor out, HostTensor::zeros(dtype, tensor.shape));
  SMELT_TRY_VOID(convert_elements(tensor.dtype, tensor.data.bytes(), dtype, out.data.bytes()));
  return out;
}

}  // namespace smelt
