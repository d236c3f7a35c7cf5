#include "compiler/schedule/read_in_place.h"

#include <algorithm>
#include <cstdlib>

#include "compiler/loops/walk.h"
#include "compiler/schedule/choose_tile.h"

namespace smelt {

bool reads_in_place(const LoopFunction& function, const Product& product, const Blocking& blocking, int64_t times) {
  constexpr int64_t kFarApart = int64_t{256} << 10;  // bytes from the first step of the depth to the last
  constexpr int64_t kManyRows = 512;
  const ProductAxis& depth = product.inner.back();
  if (product.schedule->form == ProductForm::Dot) return depth.b_stride == 1;
  if (product.column.extent == Extent(1) || product.schedule->form == ProductForm::Streamed) return true;
  if (product.column.b_stride != 1) return false;
  int64_t rows = usual_size(function, product.row.extent);
  if (lies_along_rows(product) && choose_stretch(product, blocking, rows) > 0) return true;
  for (const ProductAxis& axis : product.outer) rows *= axis.b_stride == 0 ? axis.extent.bound : 1;
  return depth.extent.bound * std::abs(depth.b_stride) * size_of(product.dtype) < kFarApart || rows * times < kManyRows;
}

PackPlace pack_place(const LoopFunction& function, const Product& product, size_t kernel) {
  PackPlace place{.at = kernel, .repeat = repeat_of(function, kernel)};
  const auto changed_inside = [&](int32_t repeat) {
    return std::ranges::any_of(product.pairs, [&](const ProductOperands& pair) {
      return is_inside(function, changed_in(function, pair.b, kernel), repeat);
    });
  };
  while (place.repeat >= 0 && !changed_inside(place.repeat)) {
    const Repeat& repeat = function.repeats[static_cast<size_t>(place.repeat)];
    place.times *= usual_size(function, repeat.steps);
    place.at = static_cast<size_t>(repeat.first);
    place.repeat = repeat.parent;
    place.once = true;
  }
  place.once |= function.is_step;
  return place;
}

}  // namespace smelt
