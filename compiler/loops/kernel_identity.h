// Which kernels are the same code. A kernel finds its buffers through the frame that its caller fills, so layers of one
// shape, and training and evaluation of one layer, are compiled once.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "compiler/loops/loop_ir.h"

namespace smelt {

struct KernelIdentity {
  std::string key;               // equal keys: the same machine code
  std::vector<int32_t> buffers;  // the function's buffers that the kernel names, in the order of their first use
  std::vector<DrawSite> draws;   // where its random draws are, in the order of its statements
  std::set<int32_t> symbols;     // run-time dimensions whose sizes it reads
};

/// The key holds everything of a kernel that code generation reads, buffers and draws by their place in the lists.
/// Names of loops, spans and cost estimates are not in it.
KernelIdentity identify(const LoopFunction& function, const Kernel& kernel);

/// Everything of a program that its machine code depends on besides the target, as text: the key of a cached object.
std::string identify(const LoopProgram& program);

}  // namespace smelt
