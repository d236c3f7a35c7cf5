#include "compiler/schedule/tile_products.h"

#include "compiler/schedule/choose_tile.h"

namespace smelt {

LoopFunction tile_products(LoopFunction function, const Target& target) {
  const VectorRegisters registers = target.registers(function.lanes->dtype);
  for (Kernel& kernel : function.kernels) {
    if (kernel.kind() != KernelKind::Product) continue;
    choose_tile(kernel.product(), registers, usual_size(function, kernel.product().row.extent));
  }
  return function;
}

}  // namespace smelt
