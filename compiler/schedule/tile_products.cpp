#include "compiler/schedule/tile_products.h"

#include "compiler/loops/walk.h"
#include "compiler/schedule/choose_tile.h"
#include "compiler/schedule/streamed_line.h"

namespace smelt {

/// Pairs of bf16 read half of the bytes, from panels.
static bool may_pair(const LoopFunction& function, const Product& product, const Target& target) {
  return target.has_bf16_pairs && function.bf16_products && dtype_of(function, product.pairs[0].a) == DType::BF16;
}

LoopFunction tile_products(LoopFunction function, const Target& target) {
  const VectorRegisters registers = target.registers(function.lanes->dtype);
  for (Kernel& kernel : function.kernels) {
    if (kernel.kind() != KernelKind::Product) continue;
    Product& product = kernel.product();
    const int64_t rows = usual_size(function, product.row.extent);
    if (!may_pair(function, product, target) && is_streamed(product, registers, target.blocking, rows))
      product.schedule = {.form = ProductForm::Streamed, .tile = streamed_tile(product, registers, rows)};
    else
      choose_tile(product, registers, rows);
  }
  return function;
}

}  // namespace smelt
