#include "compiler/schedule/streamed_line.h"

#include <algorithm>

#include "compiler/schedule/choose_tile.h"

namespace smelt {
namespace {

constexpr int64_t kFewRows = 2;
constexpr int64_t kSumsBytes = int64_t{16} << 10;  // half of the smallest first-level cache

}  // namespace

StreamedLine streamed_line(const Product& product, int64_t lanes) {
  const int64_t columns = product.column.extent.bound;
  for (size_t axis = 0; axis < product.outer.size(); ++axis) {
    const ProductAxis& outer = product.outer[axis];
    if (outer.a_stride == 0 && outer.b_stride == columns && outer.extent.is_static() && outer.extent.bound > 1)
      return {static_cast<int32_t>(axis), columns, columns * outer.extent.bound};
  }
  return {StreamedLine::kColumns, kStreamedVectors * lanes, columns};
}

int64_t streamed_vectors(int64_t rows, const VectorRegisters& registers) {
  return std::clamp<int64_t>((registers.count - registers.scratch - kStreamedSteps * rows) / rows, 1, kStreamedVectors);
}

bool is_streamed(const Product& product, const VectorRegisters& registers, const Blocking& blocking,
                 int64_t usual_rows) {
  constexpr int64_t kShortDepth = 16;
  if (!product.column.extent.is_static() || product.column.b_stride != 1 || product.inner.size() > kMicroKernelAxes)
    return false;
  int64_t rows = usual_rows, depth = 1;
  for (const ProductAxis& axis : product.outer) rows *= is_free(axis) ? axis.extent.bound : 1;
  for (const ProductAxis& axis : product.inner) depth *= axis.extent.bound;
  return rows <= kFewRows && depth >= std::min(kShortDepth, blocking.streams_pay) &&
         streamed_line(product, registers.lanes).columns >= blocking.streams_pay * registers.lanes;
}

TileShape streamed_tile(const Product& product, const VectorRegisters& registers, int64_t usual_rows) {
  const StreamedLine line = streamed_line(product, registers.lanes);
  const int64_t rows = std::clamp<int64_t>(usual_rows, 1, kFewRows);
  const int64_t most = kSumsBytes / (size_of(product.dtype) * rows);
  const int64_t pieces = std::clamp<int64_t>(most / line.width, 1, line.pieces());
  const int64_t columns = std::min(pieces * line.width, line.columns);
  return {rows, (columns + registers.lanes - 1) / registers.lanes * registers.lanes};
}

}  // namespace smelt
