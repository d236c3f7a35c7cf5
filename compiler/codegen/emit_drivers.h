// The code around kernels: one driver a function, which runs its kernels on one thread of many with a barrier between
// them, and the entries that a host calls.
#pragma once

#include <llvm/IR/Module.h>

#include <string>
#include <vector>

#include "compiler/loops/kernel_identity.h"
#include "compiler/loops/loop_ir.h"
#include "compiler/schedule/target.h"

namespace smelt {

/// One kernel of a function: the code that runs it and what its frame is given.
struct KernelUse {
  std::string symbol;
  std::vector<int32_t> buffers;  // of the function
  std::vector<DrawSite> draws;
};

/// `uses`: of each function of the program, its kernels in order.
void emit_drivers(llvm::Module& module, const LoopProgram& program, const Target& target,
                  const std::vector<std::vector<KernelUse>>& uses);

}  // namespace smelt
