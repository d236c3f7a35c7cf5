// What makes two inner kernels different code, and the names under which the products of a program share them: forms
// that are different code have different names, so no part of a name is made of others.
#pragma once

#include <cstdint>
#include <string>

#include "ir/type.h"

namespace smelt {

/// What makes two micro-kernels (micro_kernel.h) different code. Strides are run-time arguments, so that all products
/// of a module share a few kernels; only a stride of 1, which decides the addressing of the left operand, is part of
/// the code, and the distance of rows where they are more than there are registers for their addresses.
struct MicroKernelForm {
  enum class Columns : uint8_t { Whole, LastMasked, AllMasked };

  DType dtype = DType::F32;                     // of the sums and of all arithmetic
  DType left = DType::F32, right = DType::F32;  // of the operands in memory: `dtype`, or a half that is widened
  int64_t rows = 1, vectors = 1;
  Columns columns = Columns::Whole;
  bool unit_steps = false;     // the left operand is contiguous along the depth
  bool unit_rows = false;      // ... along its rows
  int64_t row_stride = 0;      // of the left operand; 0: the argument says
  bool fetch_rows = false;     // asks for what the next tile reads of the left operand
  bool accumulate = false;     // start from the tile in memory, not from zero
  bool add_last = false;       // start from zero, and add to the tile in memory at the end
  bool direct = false;         // the tile is in the result itself: columns that do not exist are not written
  bool fetch_results = false;  // of direct: asks for what it will write
  bool pairs = false;  // two steps of the depth at a time: a along the depth and panels of b in pairs, both bf16
  bool turns = false;  // two axes of the depth; without it kTurns and the two behind it do not count

  std::string name() const;
};

/// What makes two dot kernels (dot_kernel.h) different code.
struct DotKernelForm {
  DType dtype = DType::F32;                     // of the sums and of all arithmetic
  DType left = DType::F32, right = DType::F32;  // of the operands in memory: `dtype`, or a half that is widened
  int64_t rows = 1, columns = 1;                // columns: at most the lanes of a vector
  bool turns = false;                           // two axes of the depth

  std::string name() const;
};

/// What makes two streamed kernels (streamed_kernel.h) different code.
struct StreamedKernelForm {
  DType dtype = DType::F32;                     // of the sums and of all arithmetic
  DType left = DType::F32, right = DType::F32;  // of the operands in memory: `dtype`, or a half that is widened
  int64_t rows = 1, vectors = 1;                // vectors: of columns whose sums are in registers at a time
  bool accumulate = false;                      // start from the sums in memory, not from zero

  std::string name() const;
};

}  // namespace smelt
