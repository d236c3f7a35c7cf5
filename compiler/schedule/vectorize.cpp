#include "compiler/schedule/vectorize.h"

namespace smelt {

LoopFunction vectorize(LoopFunction function, const Target& target) {
  function.lanes = {.dtype = function.arithmetic, .count = target.lanes(function.arithmetic)};
  for (Kernel& kernel : function.kernels) {
    if (kernel.kind() != KernelKind::Nest) continue;
    kernel.vector_outer = kernel.by_columns;
    for (Sweep& sweep : kernel.sweeps) {
      const bool many = !sweep.loops.empty() && kernel.loops[static_cast<size_t>(sweep.loops.back())].only < 0;
      sweep.vectorize = many && !sweep.ordered && !kernel.vector_outer;
    }
  }
  return function;
}

}  // namespace smelt
