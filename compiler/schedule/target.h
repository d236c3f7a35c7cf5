// What loops are scheduled and code is generated for: one value that holds all facts of the machine.
#pragma once

#include <cstdint>
#include <string>

#include "ir/type.h"

namespace smelt {

/// What register tiles are made of.
struct VectorRegisters {
  int64_t count = 32;
  int64_t lanes = 16;   // elements of the function's vector type in one
  int64_t scratch = 2;  // not for sums or columns
};

/// How long depths are cut. Results depend on some of these numbers, so that they are the same on any machine;
/// `cache_bytes` decides no bits, and code for this machine has its own.
struct Blocking {
  int64_t cache_bytes = int64_t{512} << 10;  // of operands in a block: half of a second level of 1 MB
  int64_t stretch = 128;                     // steps of the depth that are copied at a time
  int64_t rows_apart = 2048;  // bytes: rows of b at multiples of it meet in two sets of the first-level cache, or one
  int64_t fewest_tiles = 4;   // of rows, that share what a copy costs
  int64_t pairs_pay = 32;     // rows, columns and steps for which packing pairs of bf16 pays
  int64_t strips_pay = 2048;  // rows times columns for which copying both operands pays
  // Rows of strips are read in place where they are not too far from step to step, and lines not too short. In place
  // and copied, GFLOP/s on one core of a Zen 4, `products weights` in turns: steps 256 bytes apart 103.6 and 100.7, 512
  // 105.1 and 100.4, 1,024 105.3 and 99.2; lines of 8 steps 103.9 and 102.2, of 4 steps 94.7 and 99.6.
  int64_t rows_far = 2048;  // bytes
  int64_t short_line = 8;
  int64_t turns = 8;        // of a linear recurrence in a block: 37 us with 4, 19 with 8, 32 with 16 (discount.smelt)
  int64_t streams_pay = 8;  // vectors of columns, and steps, from which b passes by few rows as it lies
  int64_t blocks_pay = 16;  // blocks of turns for which a recurrence passes in them
  int64_t lines = 64;  // of a cache that a nest goes across before it comes back to the first: 32 to 256 are as fast
};
inline constexpr Blocking kFineBlocking{.cache_bytes = 1,
                                        .stretch = 3,
                                        .rows_apart = 4,
                                        .fewest_tiles = 1,
                                        .pairs_pay = 1,
                                        .strips_pay = 1,
                                        .rows_far = 64,
                                        .short_line = 2,
                                        .turns = 2,
                                        .streams_pay = 1,
                                        .blocks_pay = 1,
                                        .lines = 2};  // for trying it on small shapes

// Below this many elements times operations one thread is faster than waking another and waiting for it.
inline constexpr double kSerialWork = 16384;

struct Target {
  std::string name;      // as asked for: native, x86-64-v2, x86-64-v3, x86-64-v4
  std::string cpu;       // LLVM's name
  std::string features;  // LLVM's list, such as "+avx2,+fma"
  int64_t vector_bytes = 16;
  bool has_fma = false;
  bool has_bf16_pairs = false;  // AVX512-BF16, in no named level
  int64_t vector_registers = 16;
  Blocking blocking;
  double serial_work = kSerialWork;  // 0: every kernel is shared among threads, for trying the sharing on small shapes

  int64_t lanes(DType dtype) const { return vector_bytes / size_of(dtype); }
  /// What register tiles have: without fused multiply-add a product needs a register before it is added.
  VectorRegisters registers(DType dtype) const { return {vector_registers, lanes(dtype), has_fma ? 2 : 5}; }
};

}  // namespace smelt
