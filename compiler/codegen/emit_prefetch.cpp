// Asking for memory before it is read: what an epilogue will load, the next columns of b, the next rows of a; and for
// results before they are written.
#include <llvm/IR/Intrinsics.h>

#include <algorithm>
#include <cstdlib>

#include "compiler/codegen/product_emitter.h"

namespace smelt {

constexpr int64_t kLine = 64;  // bytes

/// Asks for what the epilogue will read at the tile: it arrives while the sums are computed. An optimiser's update
/// reads a parameter and its moments, which no cache holds since the last step. What it will write is not asked for:
/// a step of examples/gpt.smelt took 0.91 to 1.26 times as long, 1.18 in the middle of six rounds (`smelt bench`, with
/// and without in turns, a noisy machine). Stores drain behind the next tile by themselves.
void ProductEmitter::emit_prefetch(const Tile& tile) {
  const Product& product = this->product();
  set_outer_loops(tile);
  for (const Stmt& stmt : kernel_.sweeps[0].body) {
    const Access& access = stmt.access;
    if (stmt.kind != StmtKind::Load || access.row >= 0 || product.row.loop < 0 || product.column.loop < 0) continue;
    if (access.offset.coefficient(product.column.loop) != 1 || access.offset.coefficient(product.row.loop) == 0)
      continue;
    for_range(tile.done != nullptr ? tile.done : i64(0), tile.rows, 1, [&](llvm::Value* r) {
      set_row_loops(ir_.CreateAdd(tile.row, r));
      loop_values_[static_cast<size_t>(product.column.loop)] = tile.column;
      llvm::Value* at = element_pointer(buffer_pointer(access.buffer), stmt.dtype, affine(access.offset));
      prefetch_row(at, stmt.dtype);
    });
  }
}

/// Whether micro-kernels ask for what the next tile reads of a: where a lies so that they can, and no second level
/// holds it.
bool ProductEmitter::asks_for_rows() const {
  const Product& product = this->product();
  if (schedule().left != LeftOperand::InPlace) return false;
  if (lies_along_rows(product)) return std::holds_alternative<CopiedColumns>(schedule().right);
  int64_t elements = product.row.extent.bound * std::abs(product.row.a_stride);
  for (const ProductAxis& axis : product.outer)
    elements = std::max(elements, axis.extent.bound * std::abs(axis.a_stride));
  return product.inner.back().a_stride == 1 && elements * size_of(product.dtype) > target_.blocking.cache_bytes;
}

/// Whether they ask for what they write: where no second level holds all results.
bool ProductEmitter::asks_for_results() const {
  const Product& product = this->product();
  int64_t elements = product.row.extent.bound * product.column.extent.bound;
  for (const ProductAxis& axis : product.outer) elements *= axis.extent.bound;
  return elements * size_of(product.dtype) > target_.blocking.cache_bytes;
}

/// `count` elements of a buffer, from element `first` on.
void ProductEmitter::prefetch_elements(int32_t buffer, llvm::Value* first, int64_t count) {
  const DType stored = operand_dtype(buffer);
  llvm::Value* from = ir_.CreateGEP(memory_type(stored), buffer_pointer(buffer), first);
  for_range(i64(0), i64(count * size_of(stored)), kLine,
            [&](llvm::Value* byte) { prefetch(ir_.CreateGEP(ir_.getInt8Ty(), from, byte)); });
}

/// A tile's columns from `at` on.
void ProductEmitter::prefetch_row(llvm::Value* at, DType dtype) {
  for (int64_t byte = 0; byte < tile_columns() * size_of(dtype); byte += kLine) {
    prefetch(ir_.CreateConstGEP1_64(ir_.getInt8Ty(), at, static_cast<uint64_t>(byte)));
  }
}

/// Each tile of rows asks for its part of the next panel of columns: weights that no cache has held since the last step
/// arrive while this panel is used.
void ProductEmitter::emit_panel_prefetch(const Tile& tile, const TileGrid& grid) {
  const Product& product = this->product();
  const Extent depth = product.inner.back().extent;
  constexpr int64_t kFewestTiles = 4;
  const bool reads_panels_in_place = schedule().form == ProductForm::Broadcast && !is_packed(schedule()) &&
                                     product.column.b_stride == 1 && product.inner.size() == 1 && product.outer.empty();
  if (!reads_panels_in_place || !depth.is_static() || grid.split.tiles < kFewestTiles) return;
  if (product.column.extent.bound <= tile_columns()) return;
  const auto prefetch = [&] {
    llvm::Value* next = ir_.CreateAdd(tile.column, i64(tile_columns() + product.b_start));
    prefetch_part(product.pairs[0].b, next, depth.bound, tile.in_block, grid.row_tiles());
  };
  // A run-time number of rows may be few all the same: the export of examples/mlp.smelt for 8 rows took 28 us where its
  // one tile asked for whole panels, and 22 without.
  if (product.row.extent.is_static()) return prefetch();
  if_then(ir_.CreateICmpSGE(grid.row_tiles(), i64(kFewestTiles)), prefetch);
}

/// Part `number` of `parts` of a panel of so many steps of the depth, whose columns begin at element `first` of the
/// right operand. Behind its last panel there is nothing, and nothing is read.
void ProductEmitter::prefetch_part(int32_t right, llvm::Value* first, int64_t steps, llvm::Value* number,
                                   llvm::Value* parts) {
  const Product& product = this->product();
  const DType stored = operand_dtype(right);
  const auto begin_of = [&](llvm::Value* part) { return ir_.CreateSDiv(ir_.CreateMul(part, i64(steps)), parts); };
  for_range(begin_of(number), begin_of(ir_.CreateAdd(number, i64(1))), 1, [&](llvm::Value* k) {
    llvm::Value* element = ir_.CreateAdd(first, ir_.CreateMul(k, i64(product.inner.back().b_stride)));
    prefetch_row(ir_.CreateGEP(memory_type(stored), buffer_pointer(right), element), stored);
  });
}

}  // namespace smelt
