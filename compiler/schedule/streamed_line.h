// Products of few rows, such as those of a model that serves one request or writes one position: what they take is
// the bandwidth at which b passes by. It passes fastest as it lies in memory.
#pragma once

#include <cstdint>

#include "compiler/loops/loop_ir.h"
#include "compiler/schedule/target.h"

namespace smelt {

// GB/s at which weights pass by one row, an AMD Zen 5, a C program that does the same: 256 x 256 to 784 x 256 from the
// second level, four layers of examples/gpt.smelt from the third, 4096 x 4096 from memory.
//   panels of 4 vectors, all of the depth each   118   88   17
//   panels of 16 vectors                         160   98   36
//   8 vectors of 2 steps, then the next 8        185  105   40
//   8 vectors of 4 steps                         187  105   51
//   4 vectors of 8 steps                         128  105   56
// Asking for the next steps made 120 of the 105 there, and no difference in the step of that file.
inline constexpr int64_t kStreamedSteps = 4;    // of the depth at a time
inline constexpr int64_t kStreamedVectors = 8;  // of columns, for one row

/// Columns of b that lie side by side at a step of the depth: those of the column axis, and of an outer axis of columns
/// around it, such as the heads of a projection.
struct StreamedLine {
  static constexpr int32_t kColumns = -1;
  int32_t axis = kColumns;  // of `outer`, whose positions are pieces of the line; or pieces are some of the columns
  int64_t width = 0;        // columns of a piece
  int64_t columns = 0;      // of the line
  int64_t pieces() const { return (columns + width - 1) / width; }
};
/// `lanes`: of a vector. The column axis is of a known size.
StreamedLine streamed_line(const Product& product, int64_t lanes);

/// Vectors of columns whose sums are in registers while a few steps of b pass by.
int64_t streamed_vectors(int64_t rows, const VectorRegisters& registers);

/// Whether b passes by as it lies: its lines are long and so few rows meet it that their sums stay in the first level.
bool is_streamed(const Product& product, const VectorRegisters& registers, const Blocking& blocking,
                 int64_t usual_rows);
/// Rows that meet b together, and columns of a line whose sums they keep.
TileShape streamed_tile(const Product& product, const VectorRegisters& registers, int64_t usual_rows);

}  // namespace smelt
