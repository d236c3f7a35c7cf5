// LoopProgram -> object bytes.
//
// Each function becomes an entry (abi.h: smelt_entry) that runs its kernels on the threads of the arena's header, or
// on the caller's alone; the iteration runs its functions in order, as one parallel region.
#pragma once

#include <cstdint>
#include <vector>

#include "compiler/compile_clock.h"
#include "compiler/loops/loop_ir.h"
#include "compiler/schedule/target.h"

namespace smelt {

enum class CodeKind : uint8_t { Object, LlvmIr, Assembly };

struct CodegenOptions {
  bool optimize = true;           // false: no LLVM passes, for comparing
  CompileClock* clock = nullptr;  // null: it may take as long as it does
};

/// Object: bytes as runtime/object_file.h describes them. Otherwise the text of all parts, one after the other.
std::vector<char> emit_program(const LoopProgram& program, const Target& target, CodeKind kind,
                               const CodegenOptions& options = {});

/// Name and version of what makes machine code of the parts.
const char* code_generator();

}  // namespace smelt
