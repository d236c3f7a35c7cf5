#include "compiler/lower/estimate_work.h"

#include <span>
#include <vector>

#include "compiler/loops/walk.h"

namespace smelt {
namespace {

constexpr double kDrawFlops = 40;  // ten rounds of Philox for four words, and what makes a number of one

double usual(const LoopFunction& function, const Extent& extent) {
  return static_cast<double>(usual_size(function, extent));
}

double points(const LoopFunction& function, const Kernel& kernel, std::span<const int32_t> loops) {
  double product = 1;
  for (const int32_t l : loops) {
    const Loop& loop = kernel.loops[static_cast<size_t>(l)];
    if (loop.only < 0) product *= usual(function, loop.extent);
  }
  return product;
}

double usual_bytes(const LoopFunction& function, int32_t buffer) {
  const TensorType& type = function.buffers[static_cast<size_t>(buffer)].type;
  double bytes = static_cast<double>(size_of(type.dtype));
  for (const Extent& extent : type.shape) bytes *= usual(function, extent);
  return bytes;
}

struct KernelWork {
  double flops = 0, bytes = 0;

  void add(const std::vector<Stmt>& body, double times) {
    for (const Stmt& stmt : body) {
      if (stmt.kind == StmtKind::Compute) flops += times;
      if (stmt.kind == StmtKind::Random) flops += kDrawFlops * times;
      if (stmt.kind == StmtKind::Load || stmt.kind == StmtKind::Store)
        bytes += times * static_cast<double>(size_of(stmt.dtype));
    }
  }
};

KernelWork work_of(const LoopFunction& function, const Kernel& kernel) {
  KernelWork work;
  const double outer_points = points(function, kernel, outer_loops(kernel));
  for (const Sweep& sweep : kernel.sweeps) {
    const double times = outer_points * points(function, kernel, sweep.loops);
    work.add(sweep.setup, outer_points);
    work.add(sweep.body, times);
    work.flops += times * static_cast<double>(sweep.folds.size());
  }
  if (kernel.kind() != KernelKind::Product) return work;
  const Product& product = kernel.product();
  auto terms = static_cast<double>(product.pairs.size());
  for (const ProductAxis& axis : product.inner) terms *= usual(function, axis.extent);
  work.flops += 2 * outer_points * terms;
  for (const ProductOperands& pair : product.pairs)
    work.bytes += usual_bytes(function, pair.a) + usual_bytes(function, pair.b);
  return work;
}

}  // namespace

LoopFunction estimate_work(LoopFunction function) {
  for (size_t k = 0; k < function.kernels.size(); ++k) {
    Kernel& kernel = function.kernels[k];
    const KernelWork work = work_of(function, kernel);
    const double times = usual_times(function, k);
    kernel.flops = work.flops * times;
    kernel.bytes = work.bytes * times;
  }
  return function;
}

}  // namespace smelt
