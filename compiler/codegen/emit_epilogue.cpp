// What becomes of a tile's sums: the body of the product's only sweep at each of its elements.
#include <utility>

#include "compiler/codegen/product_emitter.h"

namespace smelt {

void ProductEmitter::set_outer_loops(const Tile& tile) {
  const Product& product = this->product();
  for (size_t axis = 0; axis < product.outer.size(); ++axis) {
    loop_values_[static_cast<size_t>(product.outer[axis].loop)] = tile.outer[axis];
  }
}

/// Rows may be two loops in one.
void ProductEmitter::set_row_loops(llvm::Value* row) {
  const ProductAxis& axis = product().row;
  if (axis.loop < 0) return;
  if (axis.outer_loop >= 0) {
    loop_values_[static_cast<size_t>(axis.outer_loop)] = ir_.CreateUDiv(row, i64(axis.inner));
    row = ir_.CreateURem(row, i64(axis.inner));
  }
  loop_values_[static_cast<size_t>(axis.loop)] = row;
}

/// The sweep's body at each element of the tile, vectors along the result's innermost axis.
void ProductEmitter::emit_epilogue(const Tile& tile) {
  const Product& product = this->product();
  set_outer_loops(tile);
  if (schedule().form == ProductForm::Transposed) {
    llvm::Value* sums = emit_transposed_tile(tile);
    for_range(i64(0), tile.columns, 1, [&](llvm::Value* c) {
      if (product.column.loop >= 0)
        loop_values_[static_cast<size_t>(product.column.loop)] = ir_.CreateAdd(tile.column, c);
      tile_row_ = element_pointer(sums, product.dtype, ir_.CreateMul(c, i64(lanes_)));
      emit_epilogue_row(product.row, tile.row, tile.rows);
    });
    return;
  }
  for_range(tile.done != nullptr ? tile.done : i64(0), tile.rows, 1, [&](llvm::Value* r) {
    set_row_loops(ir_.CreateAdd(tile.row, r));
    tile_row_ = element_pointer(tile.sums, product.dtype, ir_.CreateMul(r, i64(tile_columns())));
    emit_epilogue_row(product.column, tile.column, tile.columns);
  });
}

/// `count` elements from `first` on along `axis`, whose sums stand side by side at tile_row_.
void ProductEmitter::emit_epilogue_row(const ProductAxis& axis, llvm::Value* first, llvm::Value* count) {
  const std::vector<Stmt>& body = kernel_.sweeps[0].body;
  if (axis.loop < 0) {
    tile_column_ = i64(0);
    emit_statements(body);
    return;
  }
  // One body, masked on every turn when the last one needs it: a tile has few turns and the body may be long.
  const bool masked = !axis.extent.is_static() || axis.extent.bound % lanes_ != 0;
  vector_loop_ = axis.loop;
  for_range(i64(0), count, lanes_, [&](llvm::Value* c) {
    if (masked) mask_ = mask_below(ir_.CreateSub(count, c));
    tile_column_ = c;
    loop_values_[static_cast<size_t>(axis.loop)] = ir_.CreateAdd(first, c);
    emit_statements(body);
    mask_ = nullptr;
  });
  vector_loop_ = -1;
}

/// [columns, lanes]: each column's sums side by side, rows that do not exist are 0.
llvm::Value* ProductEmitter::emit_transposed_tile(const Tile& tile) {
  const Product& product = this->product();
  llvm::Value* turned = stack(scalars_.element_type(product.dtype), tile_columns() * lanes_, "turned");
  llvm::Type* vector = llvm::FixedVectorType::get(scalars_.element_type(product.dtype), static_cast<unsigned>(lanes_));
  const llvm::Align align(static_cast<uint64_t>(size_of(product.dtype)));
  for_range(i64(0), i64(tile_columns()), lanes_, [&](llvm::Value* c) {
    std::vector<llvm::Value*> square(static_cast<size_t>(lanes_), llvm::Constant::getNullValue(vector));
    for (int64_t r = 0; r < product.row.extent.bound; ++r) {
      llvm::Value* from = element_pointer(tile.sums, product.dtype, ir_.CreateAdd(c, i64(r * tile_columns())));
      square[static_cast<size_t>(r)] = ir_.CreateAlignedLoad(vector, from, align);
    }
    square = transposed(std::move(square));
    for (int64_t i = 0; i < lanes_; ++i) {
      llvm::Value* to = element_pointer(turned, product.dtype, ir_.CreateMul(ir_.CreateAdd(c, i64(i)), i64(lanes_)));
      ir_.CreateAlignedStore(square[static_cast<size_t>(i)], to, align);
    }
  });
  return turned;
}

llvm::Value* ProductEmitter::load_sum(const Stmt& stmt) {
  llvm::Type* element = scalars_.element_type(stmt.dtype);
  llvm::Value* at = ir_.CreateInBoundsGEP(element, tile_row_, tile_column_);
  llvm::Type* type = vector_loop_ < 0 ? element : llvm::FixedVectorType::get(element, static_cast<unsigned>(lanes_));
  return ir_.CreateAlignedLoad(type, at, llvm::Align(static_cast<uint64_t>(size_of(stmt.dtype))));
}

}  // namespace smelt
