// A dense tensor in the host's memory: row-major, 64-byte aligned, of any of the language's element types.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ir/support/result.h"
#include "ir/type.h"
#include "runtime/buffer.h"

namespace smelt {

struct HostTensor {
  DType dtype = DType::F32;
  std::vector<int64_t> shape;
  Buffer data;

  /// Zeros. Errors: Limit when the size overflows or memory is short.
  static Result<HostTensor> zeros(DType dtype, std::vector<int64_t> shape, std::string_view what = "tensor");

  template <typename T>
  std::span<T> as() {
    return {reinterpret_cast<T*>(data.data()), data.size() / sizeof(T)};
  }
  template <typename T>
  std::span<const T> as() const {
    return {reinterpret_cast<const T*>(data.data()), data.size() / sizeof(T)};
  }
};

/// Number of elements; nullopt when a size is negative or the product leaves int64.
std::optional<int64_t> num_elements(std::span<const int64_t> shape);
/// Bytes, with the same checks.
std::optional<uint64_t> byte_size(DType dtype, std::span<const int64_t> shape);

/// `f32[2, 3]`.
std::string describe(DType dtype, std::span<const int64_t> shape);

/// IEEE half and bfloat16, as bits, to float: exact.
float half_to_float(uint16_t bits);
float bfloat16_to_float(uint16_t bits);
/// To the nearest, ties to even; NaN stays NaN.
uint16_t float_to_half(float value);
uint16_t float_to_bfloat16(float value);

/// One element as a double, from an address of any alignment: exact but for i64 above 2^53.
double load_element(DType dtype, const std::byte* at);
/// Stores a double at any alignment: rounded to the nearest, for integers towards zero.
void store_element(DType dtype, double value, std::byte* at);
/// Element `index` as a double.
double element(const HostTensor& tensor, int64_t index);

/// Elements of one type as those of another, as many. Floats are rounded to the nearest, integers convert exactly or
/// not at all. Errors: Input when the other type cannot hold an element, a float becomes an integer and is not one, or
/// a finite number would become infinite; then `to` is changed up to that element.
Result<void> convert_elements(DType from_type, std::span<const std::byte> from, DType to_type, std::span<std::byte> to);
/// A copy of another element type. Errors: as convert_elements.
Result<HostTensor> convert(const HostTensor& tensor, DType dtype);

}  // namespace smelt
