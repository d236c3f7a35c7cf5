#include "compiler/schedule/block_products.h"

#include <fmt/format.h>

#include "compiler/schedule/choose_tile.h"

namespace smelt {

LoopFunction block_products(LoopFunction function, const Target& target) {
  for (size_t k = 0; k < function.kernels.size(); ++k) {
    if (function.kernels[k].kind() != KernelKind::Product) continue;
    Product& product = function.kernels[k].product();
    const int64_t positions = choose_block(product, target.blocking, usual_size(function, product.row.extent));
    if (positions == 0) continue;
    LoopBuffer sums{.name = fmt::format("partials{}", k), .type = {product.dtype, {tile_elements(product)}}};
    sums.repeat = repeat_of(function, k);
    sums.span = function.kernels[k].span;
    product.schedule->blocks = {.positions = positions, .sums = add_buffer(function, std::move(sums))};
  }
  return function;
}

}  // namespace smelt
