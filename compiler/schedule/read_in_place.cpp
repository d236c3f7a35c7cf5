#include "compiler/schedule/read_in_place.h"

#include <cstdlib>

namespace smelt {

bool reads_in_place(const LoopFunction& function, const Product& product) {
  constexpr int64_t kFarApart = int64_t{256} << 10;  // bytes from the first step of the depth to the last
  constexpr int64_t kManyRows = 512;
  const ProductAxis& depth = product.inner.back();
  if (product.schedule->form == ProductForm::Dot) return depth.b_stride == 1;
  if (product.column.extent == Extent(1)) return true;
  if (product.column.b_stride != 1) return false;
  int64_t rows = usual_size(function, product.row.extent);
  for (const ProductAxis& axis : product.outer) rows *= axis.b_stride == 0 ? axis.extent.bound : 1;
  return depth.extent.bound * std::abs(depth.b_stride) * size_of(product.dtype) < kFarApart || rows < kManyRows;
}

}  // namespace smelt
