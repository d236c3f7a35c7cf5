#include "ir/type.h"

#include <fmt/format.h>

#include <array>
#include <limits>

#include "ir/support/check.h"

namespace smelt {
namespace {

struct DTypeInfo {
  std::string_view text;
  int64_t bytes;
  DTypeClass cls;
};

constexpr std::array kDTypes = {
#define DTYPE(name, text, bytes, cls) DTypeInfo{text, bytes, DTypeClass::cls},
#include "ir/dtypes.def"
#undef DTYPE
};

const DTypeInfo& info(DType dtype) { return kDTypes[static_cast<size_t>(dtype)]; }

}  // namespace

std::string_view to_string(DType dtype) { return info(dtype).text; }
int64_t size_of(DType dtype) { return info(dtype).bytes; }
DTypeClass class_of(DType dtype) { return info(dtype).cls; }

double largest_finite(DType dtype) {
  switch (dtype) {
    case DType::F16: return 65504;
    case DType::BF16: return 0x1.FEp127;
    case DType::F32: return std::numeric_limits<float>::max();
    default: return std::numeric_limits<double>::max();
  }
}

std::optional<DType> parse_dtype(std::string_view text) {
  for (size_t i = 0; i < kDTypes.size(); ++i) {
    if (kDTypes[i].text == text) return static_cast<DType>(i);
  }
  return std::nullopt;
}

std::optional<int64_t> num_elements(const Shape& shape) {
  int64_t product = 1;
  for (const Extent& extent : shape) {
    if (__builtin_mul_overflow(product, extent.bound, &product)) return std::nullopt;
  }
  return product;
}

std::vector<int64_t> row_major_strides(const Shape& shape) {
  std::vector<int64_t> strides(shape.size());
  int64_t stride = 1;
  for (size_t axis = shape.size(); axis-- > 0;) {
    strides[axis] = stride;
    // The bound of a leading data axis may be huge; its own stride is what matters, the product is not.
    if (axis > 0) {
      SMELT_CHECK(!__builtin_mul_overflow(stride, shape[axis].bound, &stride), "stride overflow");
    }
  }
  return strides;
}

bool is_static(const Shape& shape) {
  for (const Extent& extent : shape) {
    if (!extent.is_static()) return false;
  }
  return true;
}

std::string to_string(const Extent& extent, const std::vector<DimSymbol>& symbols) {
  if (extent.is_static()) return fmt::format("{}", extent.bound);
  const bool named = static_cast<size_t>(extent.symbol) < symbols.size();
  const std::string name = named ? symbols[static_cast<size_t>(extent.symbol)].name : fmt::format("${}", extent.symbol);
  const std::string scale = extent.scale == 1 ? "" : fmt::format("*{}", extent.scale);
  return fmt::format("{}{}<={}", name, scale, extent.bound);
}

std::string to_string(const Shape& shape, const std::vector<DimSymbol>& symbols) {
  std::string out = "[";
  for (size_t axis = 0; axis < shape.size(); ++axis) out += (axis > 0 ? ", " : "") + to_string(shape[axis], symbols);
  return out + "]";
}

std::string to_string(const TensorType& type, const std::vector<DimSymbol>& symbols) {
  std::string out(to_string(type.dtype));
  if (!type.shape.empty()) out += to_string(type.shape, symbols);
  return out;
}

std::optional<int64_t> byte_size(const TensorType& type) {
  const std::optional<int64_t> count = num_elements(type.shape);
  int64_t bytes = 0;
  if (!count || __builtin_mul_overflow(*count, size_of(type.dtype), &bytes)) return std::nullopt;
  return bytes;
}

}  // namespace smelt
