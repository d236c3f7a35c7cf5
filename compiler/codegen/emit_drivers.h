// The code around kernels: one driver a function, which runs its kernels on one thread of many with a barrier between
// them, and the entries that a host calls.
#pragma once

#include <llvm/IR/Module.h>

#include <functional>
#include <string>
#include <vector>

#include "compiler/codegen/machine_code.h"
#include "compiler/codegen/shared_functions.h"
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

/// Where drivers are written. Long ones are in parts, so that several cores compile them.
struct DriverModules {
  const Target& target;
  SharedFunctions& shared;
  std::function<llvm::Module&(Effort)> next;  // the module for the next part
};

/// `uses`: the function's kernels in order.
void emit_driver(const DriverModules& modules, const LoopFunction& function, const std::vector<KernelUse>& uses);
/// What runs the functions of an iteration, when the program trains.
void emit_iteration(const DriverModules& modules, const LoopProgram& program);

}  // namespace smelt
