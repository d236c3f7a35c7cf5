// LoopProgram -> object bytes.
//
// Each function becomes an entry (abi.h: smelt_entry) that runs its kernels on the threads of the arena's header, or
// on the caller's alone; the iteration runs its functions in order, as one parallel region.
#pragma once

#include <string>
#include <vector>

#include "compiler/codegen/target.h"
#include "compiler/loops/loop_ir.h"
#include "ir/support/result.h"

namespace smelt {

enum class CodeKind : uint8_t { Object, LlvmIr, Assembly };

struct CodegenOptions {
  bool optimize = true;  // false: no LLVM passes, for comparing
};

/// Errors: (Limit) LLVM ran out of memory or refused the module.
Result<std::vector<char>> emit_program(const LoopProgram& program, const Target& target, CodeKind kind,
                                       const CodegenOptions& options = {});

}  // namespace smelt
