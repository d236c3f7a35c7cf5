// Which instruction set decides the bits of a run: a run that goes on elsewhere has to compute as it did.
#pragma once

#include <cstdint>
#include <string>

#include "ir/support/result.h"
#include "ir/type.h"

namespace smelt::cli {

/// Of code for this machine: `x86-64-v3` and the like, with `+bf16` where products take pairs of bf16.
std::string machine_level(DType precision);

/// Bytes of the vectors that code for `--cpu` is made of; empty: this machine's.
int64_t vector_bytes(const std::string& cpu);

/// The `--cpu` with which this machine computes what one of `level` computed. Errors (Usage): it cannot.
Result<std::string> cpu_of_level(std::string level, DType precision);

}  // namespace smelt::cli
