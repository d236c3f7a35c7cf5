#include "compiler/schedule/copy_columns.h"

#include "compiler/schedule/choose_tile.h"

namespace smelt {

LoopFunction copy_columns(LoopFunction function, const Target& target) {
  for (Kernel& kernel : function.kernels) {
    if (kernel.kind() != KernelKind::Product || is_packed(*kernel.product().schedule)) continue;
    Product& product = kernel.product();
    const int64_t steps = choose_stretch(product, target.blocking, usual_size(function, product.row.extent));
    if (steps == 0) continue;
    product.schedule->right = CopiedColumns{steps};
    if (passes_in_strips(product, target.blocking)) product.schedule->left = LeftOperand::InStrips;
  }
  return function;
}

}  // namespace smelt
