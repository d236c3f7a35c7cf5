// Element types, extents and tensor types.
//
// An extent is static, or a run-time size under a static bound (`dim B <= 128`). Memory is laid out by bounds:
// strides are compile-time constants whatever the actual size is. Axis names live in the frontend only; here an
// axis is its position.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ir/sizes.h"
#include "ir/support/fields.h"
#include "ir/support/short_vector.h"

namespace smelt {

enum class DType : uint8_t {
#define DTYPE(name, text, bytes, cls) name,
#include "ir/dtypes.def"
#undef DTYPE
};

enum class DTypeClass : uint8_t { Bool, Int, Float };

std::string_view to_string(DType dtype);
std::optional<DType> parse_dtype(std::string_view text);
int64_t size_of(DType dtype);
DTypeClass class_of(DType dtype);
inline bool is_float(DType dtype) { return class_of(dtype) == DTypeClass::Float; }
/// The largest finite number of a type of floats.
double largest_finite(DType dtype);
/// Whether `to` has each number of `from`, or is a float, which rounds.
constexpr bool holds_all(DType to, DType from) {
  const auto rank = [](DType dtype) {  // of whole numbers, by their range; u8 is beside them
    switch (dtype) {
      case DType::Bool: return 0;
      case DType::I8: return 1;
      case DType::U8:
      case DType::I16: return 2;
      case DType::I32: return 3;
      case DType::I64: return 4;
      case DType::F16:
      case DType::BF16:
      case DType::F32:
      case DType::F64: break;
    }
    return 5;
  };
  if (to == from || rank(to) == 5) return true;
  if (to == DType::U8) return from == DType::Bool;
  return rank(from) < rank(to) || (from == DType::U8 && to == DType::I16);
}

/// What a function rounds with precision BF16.
enum class Rounds : uint8_t {
  Stores,    // what its kernels leave for others; in bodies of loops, what products by weights read
  Products,  // it is a step of a loop: as in a body
  Nothing    // its roundings are in its graph
};

/// The size of one axis: exactly `bound` when static, else 0..bound, `scale` times what symbol `symbol` is at run time.
/// Only loops have scales: an axis of theirs may be several of a tensor.
struct Extent {
  static constexpr int32_t kStatic = -1;
  int64_t bound = 1;
  int32_t symbol = kStatic;
  int64_t scale = 1;

  Extent() = default;
  Extent(int64_t size) : bound(size) {}  // NOLINT: an integer is an extent
  Extent(int64_t most, int32_t symbol_id, int64_t times = 1) : bound(most), symbol(symbol_id), scale(times) {}
  bool is_static() const { return symbol == kStatic; }
  friend bool operator==(const Extent&, const Extent&) = default;
};

template <>
inline constexpr size_t fields::kCount<Extent> = 3;

using Shape = ShortVector<Extent, 4>;

/// Product of the bounds; nullopt when it leaves int64.
std::optional<int64_t> num_elements(const Shape& shape);
/// Row-major strides in elements, by bounds.
std::vector<int64_t> row_major_strides(const Shape& shape);
bool is_static(const Shape& shape);

struct TensorType {
  DType dtype = DType::F32;
  Shape shape;

  size_t rank() const { return shape.size(); }
  friend bool operator==(const TensorType&, const TensorType&) = default;
};

/// `f32[B<=128, 784]`; a symbol prints as `name<=bound`, or `$k<=bound` when no table is given.
std::string to_string(const TensorType& type, const std::vector<DimSymbol>& symbols = {});
std::string to_string(const Shape& shape, const std::vector<DimSymbol>& symbols = {});
/// `128`, `name<=bound`, or `name*scale<=bound`.
std::string to_string(const Extent& extent, const std::vector<DimSymbol>& symbols = {});

/// Bytes of a tensor by bounds; nullopt on overflow.
std::optional<int64_t> byte_size(const TensorType& type);

}  // namespace smelt
