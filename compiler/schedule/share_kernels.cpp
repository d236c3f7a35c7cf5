#include "compiler/schedule/share_kernels.h"

#include <span>

#include "compiler/loops/walk.h"

namespace smelt {
namespace {

constexpr double kProductsAtOnce = 8;  // multiply-adds that take the time of one operation of a nest

double points(const Kernel& kernel, std::span<const int32_t> loops) {
  double product = 1;
  for (const int32_t l : loops) {
    const Loop& loop = kernel.loops[static_cast<size_t>(l)];
    if (loop.only < 0) product *= static_cast<double>(loop.extent.bound);
  }
  return product;
}

/// Elements times operations, at the bounds.
double work_of(const Kernel& kernel) {
  const double outer_points = points(kernel, outer_loops(kernel));
  double work = 0;
  for (const Sweep& sweep : kernel.sweeps) {
    work += outer_points * points(kernel, sweep.loops) * static_cast<double>(sweep.body.size() + sweep.setup.size());
  }
  if (kernel.kind() != KernelKind::Product) return work;
  auto terms = static_cast<double>(kernel.product().pairs.size());
  for (const ProductAxis& axis : kernel.product().inner) terms *= static_cast<double>(axis.extent.bound);
  return work + outer_points * terms / kProductsAtOnce;
}

}  // namespace

LoopFunction share_kernels(LoopFunction function, const Target& target) {
  for (Kernel& kernel : function.kernels) kernel.serial = work_of(kernel) < target.serial_work || kernel.num_outer == 0;
  return function;
}

}  // namespace smelt
