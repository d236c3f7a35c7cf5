#include "fuzz/tensor_memory.h"

#include <cstring>

#include "ir/support/check.h"
#include "runtime/host_tensor.h"

namespace smelt::fuzz {
namespace {

/// visit(element number by bounds, element number by actual sizes)
template <typename Visit>
void for_each_element(const Shape& shape, const std::vector<int64_t>& sizes, const Visit& visit) {
  const std::vector<int64_t> strides = row_major_strides(shape);
  int64_t count = 1;
  for (const int64_t size : sizes) count *= size;
  for (int64_t dense = 0; dense < count; ++dense) {
    int64_t rest = dense, at = 0;
    for (size_t axis = sizes.size(); axis-- > 0;) {
      at += rest % sizes[axis] * strides[axis];
      rest /= sizes[axis];
    }
    visit(static_cast<size_t>(at), static_cast<size_t>(dense));
  }
}

// Through memcpy: buffers that end at a guard page may have any alignment.
template <typename T>
void put(std::byte* memory, size_t at, double value) {
  const T number = static_cast<T>(value);
  std::memcpy(memory + at * sizeof(T), &number, sizeof(T));
}
template <typename T>
double get(const std::byte* memory, size_t at) {
  T number;
  std::memcpy(&number, memory + at * sizeof(T), sizeof(T));
  return static_cast<double>(number);
}

uint16_t to_bits(double value, DType half) {
  const auto narrow = static_cast<float>(value);  // exact: it is a half's
  return half == DType::F16 ? float_to_half(narrow) : float_to_bfloat16(narrow);
}
template <DType half>
void put_half(std::byte* memory, size_t at, double value) {
  const uint16_t bits = to_bits(value, half);
  std::memcpy(memory + at * sizeof(bits), &bits, sizeof(bits));
}
template <DType half>
double get_half(const std::byte* memory, size_t at) {
  return load_element(half, memory + at * sizeof(uint16_t));
}

struct Accessors {
  void (*put)(std::byte*, size_t, double);
  double (*get)(const std::byte*, size_t);
};

Accessors accessors(DType dtype) {
  switch (dtype) {
    case DType::Bool:
    case DType::U8: return {put<uint8_t>, get<uint8_t>};
    case DType::I8: return {put<int8_t>, get<int8_t>};
    case DType::I16: return {put<int16_t>, get<int16_t>};
    case DType::I32: return {put<int32_t>, get<int32_t>};
    case DType::I64: return {put<int64_t>, get<int64_t>};
    case DType::F32: return {put<float>, get<float>};
    case DType::F64: return {put<double>, get<double>};
    case DType::F16: return {put_half<DType::F16>, get_half<DType::F16>};
    case DType::BF16: return {put_half<DType::BF16>, get_half<DType::BF16>};
  }
  SMELT_CHECK(false, "no host values of {}", to_string(dtype));
}

}  // namespace

void write_tensor(std::byte* memory, const RefTensor& tensor) {
  const Accessors access = accessors(tensor.type.dtype);
  for_each_element(tensor.type.shape, tensor.sizes,
                   [&](size_t at, size_t dense) { access.put(memory, at, tensor.values[dense]); });
}

RefTensor read_tensor(const std::byte* memory, const TensorType& type, std::span<const int64_t> extents) {
  RefTensor tensor{type, actual_sizes(type.shape, extents), {}};
  tensor.values.resize(static_cast<size_t>(tensor.count()));
  const Accessors access = accessors(type.dtype);
  for_each_element(type.shape, tensor.sizes,
                   [&](size_t at, size_t dense) { tensor.values[dense] = access.get(memory, at); });
  return tensor;
}

}  // namespace smelt::fuzz
