// What code is generated for: one value that holds all facts of the machine.
#pragma once

#include <cstdint>
#include <string>

#include "compiler/loops/choose_tile.h"
#include "ir/support/result.h"
#include "ir/type.h"

namespace smelt {

struct Target {
  std::string name;      // as asked for: native, x86-64-v2, x86-64-v3, x86-64-v4
  std::string cpu;       // LLVM's name
  std::string features;  // LLVM's list, such as "+avx2,+fma"
  int64_t vector_bytes = 16;
  bool has_fma = false;
  bool has_bf16_pairs = false;  // AVX512-BF16, in no named level
  int64_t vector_registers = 16;

  int64_t lanes(DType dtype) const { return vector_bytes / size_of(dtype); }
  /// What register tiles have: without fused multiply-add a product needs a register before it is added. The
  /// instruction for pairs of bf16 is left out, as programs choose it.
  VectorRegisters registers(DType dtype) const { return {vector_registers, lanes(dtype), has_fma ? 2 : 5}; }
};

/// Errors (Usage): an unknown name; (Unsupported) not an x86-64 machine.
Result<Target> make_target(const std::string& name);

/// Whether this machine can run code for `target`.
bool runs_here(const Target& target);

}  // namespace smelt
