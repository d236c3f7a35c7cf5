// Products of few rows: all of b passes by as it lies, and the sums of a line of columns lie on the stack
// (streamed_kernel.h). Threads share the pieces of a line.
#include <algorithm>
#include <vector>

#include "compiler/codegen/product_emitter.h"
#include "compiler/codegen/streamed_kernel.h"

namespace smelt {

void ProductEmitter::emit_streamed() {
  const Product& product = this->product();
  const StreamedLine line = streamed_line(product, lanes_);
  std::vector<llvm::Value*> extents;  // of the loops around a line
  std::vector<size_t> axes;
  for (size_t axis = 0; axis < product.outer.size(); ++axis) {
    if (static_cast<int32_t>(axis) == line.axis) continue;
    axes.push_back(axis);
    extents.push_back(extent(product.outer[axis].extent));
  }
  const EvenSplit split = split_evenly(product.row.extent.bound, schedule().tile.rows);
  extents.push_back(row_tiles(split));
  llvm::Value* lines = i64(1);
  for (llvm::Value* size : extents) lines = ir_.CreateMul(lines, size);
  // A piece that ends within a vector is read beyond its end.
  llvm::Value* sums = stack(scalars_.element_type(product.dtype), sums_of_tile() + lanes_, "line");
  for_range(i64(0), lines, 1, [&](llvm::Value* unit) {
    const std::vector<llvm::Value*> position = decompose(unit, extents);
    Tile tile;
    tile.outer.resize(product.outer.size());
    for (size_t at = 0; at < axes.size(); ++at) tile.outer[axes[at]] = position[at];
    tile.number = position.back();
    tile.sums = sums;
    tile.sums_stride = i64(tile_columns());
    set_rows(tile, split, tile.number);
    emit_line(tile, line);
  });
}

/// As many pieces at a time as the tile has room for.
void ProductEmitter::emit_line(const Tile& tile, const StreamedLine& line) {
  const int64_t at_once = std::max<int64_t>(tile_columns() / line.width, 1);
  for_range(i64(0), i64(line.pieces()), at_once, [&](llvm::Value* first) {
    const auto [begin, end] = my_share(at_most(at_once, ir_.CreateSub(i64(line.pieces()), first)));
    if_then(ir_.CreateICmpSLT(begin, end), [&, begin = begin, end = end] {
      emit_pieces(tile, line, ir_.CreateAdd(first, begin), ir_.CreateAdd(first, end));
    });
  });
}

void ProductEmitter::emit_pieces(Tile tile, const StreamedLine& line, llvm::Value* begin, llvm::Value* end) {
  const auto columns_before = [&](llvm::Value* piece) { return ir_.CreateMul(piece, i64(line.width)); };
  llvm::Value* from = columns_before(begin);
  tile.columns = ir_.CreateSub(at_most(line.columns, columns_before(end)), from);
  if (line.axis == StreamedLine::kColumns) {
    tile.column = from;
    emit_tile_sums(tile);
    return emit_epilogue(tile);
  }
  const auto axis = static_cast<size_t>(line.axis);
  tile.outer[axis] = begin;
  tile.column = i64(0);
  emit_tile_sums(tile);
  for_range(begin, end, 1, [&](llvm::Value* piece) {
    Tile part = tile;
    part.outer[axis] = piece;
    part.columns = i64(line.width);
    part.sums = element_pointer(tile.sums, product().dtype, columns_before(ir_.CreateSub(piece, begin)));
    emit_epilogue(part);
  });
}

void ProductEmitter::call_streamed_kernel(const Tile& tile, const ProductOperands& pair, int64_t rows, llvm::Value* a,
                                          llvm::Value* b, llvm::Value* sums) {
  const Product& product = this->product();
  const StreamedKernelForm form{.dtype = product.dtype,
                                .left = operand_dtype(pair.a),
                                .right = operand_dtype(pair.b),
                                .rows = rows,
                                .vectors = streamed_vectors(rows, target_.registers(product.dtype)),
                                .accumulate = adds_up(product)};
  llvm::Function* kernel = shared_.declare(module_, form.name(), StreamedKernelEmitter::type(context_),
                                           [&target = target_, lanes = lanes_, form](llvm::Module& module) {
                                             StreamedKernelEmitter(module, target, lanes, form).emit();
                                           });
  const ProductAxis &step = product.inner.back(), &turn = product.inner[0];
  const bool turns = product.inner.size() > 1;
  llvm::Value* steps = tile.steps != nullptr ? tile.steps : extent(step.extent);
  ir_.CreateCall(kernel, {a, b, sums, steps, tile.columns, i64(product.row.a_stride), i64(step.a_stride),
                          i64(step.b_stride), turns ? extent(turn.extent) : i64(1), i64(turns ? turn.a_stride : 0),
                          i64(turns ? turn.b_stride : 0), tile.sums_stride});
}

}  // namespace smelt
