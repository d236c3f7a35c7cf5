// Products of few rows, such as those of a model that serves one request or writes one position: what they take is
// the bandwidth at which b passes by. It passes fastest as it lies in memory.
#pragma once

#include <cstdint>

#include "compiler/loops/loop_ir.h"
#include "compiler/schedule/target.h"

namespace smelt {

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
