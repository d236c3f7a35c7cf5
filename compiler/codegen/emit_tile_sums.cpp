// The sums of one register tile: which operands, which micro-kernel.
#include <functional>
#include <utility>

#include "compiler/codegen/dot_kernel.h"
#include "compiler/codegen/product_emitter.h"

namespace smelt {

constexpr int64_t kMaxRowAddresses = 9;  // general registers that a micro-kernel has for them

/// Pairs of operands, and axes of the depth but the last two, are loops around the micro-kernel, which adds to the tile
/// then.
void ProductEmitter::emit_tile_sums(const Tile& tile) {
  const Product& product = this->product();
  if (adds_up(product) && !schedule().blocks) clear_sums(tile);
  using Positions = std::function<void(const ProductOperands&, size_t, llvm::Value*, llvm::Value*)>;
  const Positions inner = [&](const ProductOperands& pair, size_t axis, llvm::Value* a, llvm::Value* b) {
    if (axis + kMicroKernelAxes >= product.inner.size()) return emit_sums(tile, pair, a, b);
    const bool in_block = axis == 0 && tile.block_begin != nullptr;
    llvm::Value* first = in_block ? tile.block_begin : i64(0);
    llvm::Value* end = in_block ? tile.block_end : extent(product.inner[axis].extent);
    for_range(first, end, 1, [&](llvm::Value* i) {
      inner(pair, axis + 1, advance(a, i, product.inner[axis].a_stride), advance(b, i, product.inner[axis].b_stride));
    });
  };
  for (const ProductOperands& pair : product.pairs) inner(pair, 0, left_start(tile), right_start(tile));
}

llvm::Value* ProductEmitter::advance(llvm::Value* at, llvm::Value* position, int64_t stride) {
  return stride == 0 ? at : ir_.CreateAdd(at, ir_.CreateMul(position, i64(stride)));
}

/// The element of a at which a tile's rows begin.
llvm::Value* ProductEmitter::left_start(const Tile& tile) {
  const Product& product = this->product();
  llvm::Value* at = advance(i64(product.a_start), tile.row, product.row.a_stride);
  for (size_t axis = 0; axis < product.outer.size(); ++axis)
    at = advance(at, tile.outer[axis], product.outer[axis].a_stride);
  return at;
}

/// The element of b, or of its panels, at which a tile's columns begin.
llvm::Value* ProductEmitter::right_start(const Tile& tile) {
  const Product& product = this->product();
  const auto* packed = std::get_if<PackedColumns>(&schedule().right);
  llvm::Value* at = packed != nullptr ? ir_.CreateMul(tile.panel, i64(packed->panel_elements))
                                      : advance(i64(product.b_start), tile.column, product.column.b_stride);
  for (size_t axis = 0; axis < product.outer.size(); ++axis)
    at = advance(at, tile.outer[axis], product.outer[axis].b_stride);
  return at;
}

/// No memset: the code calls nothing outside itself.
void ProductEmitter::clear_sums(const Tile& tile) {
  const Product& product = this->product();
  llvm::Type* vector = llvm::FixedVectorType::get(scalars_.element_type(product.dtype), static_cast<unsigned>(lanes_));
  for_range(i64(0), i64(sums_of_tile()), lanes_, [&](llvm::Value* at) {
    ir_.CreateAlignedStore(llvm::Constant::getNullValue(vector), element_pointer(tile.sums, product.dtype, at),
                           llvm::Align(static_cast<uint64_t>(size_of(product.dtype))));
  });
}

/// Long depths in blocks of kSumBlock steps, each of which begins at 0 and is added to the tile's sums.
void ProductEmitter::emit_sums(const Tile& tile, const ProductOperands& pair, llvm::Value* a, llvm::Value* b) {
  const Product& product = this->product();
  if (!sums_in_blocks(product)) return emit_block_sums(tile, pair, a, b);
  const ProductAxis& depth = product.inner.back();
  Tile block = tile;
  block.sums = stack(scalars_.element_type(product.dtype), sums_of_tile(), "block");
  block.sums_stride = i64(tile_columns());
  llvm::Value* steps = tile.steps != nullptr ? tile.steps : extent(depth.extent);
  for_range(i64(0), steps, kSumBlock, [&](llvm::Value* first) {
    block.steps = at_most(kSumBlock, ir_.CreateSub(steps, first));
    if (tile.copied != nullptr)
      block.copied = element_pointer(tile.copied, product.dtype, ir_.CreateMul(first, i64(tile_columns())));
    clear_sums(block);
    emit_block_sums(block, pair, advance(a, first, depth.a_stride),
                    b == nullptr ? b : advance(b, first, depth.b_stride));
    add_sums(block, tile);
  });
}

void ProductEmitter::add_sums(const Tile& from, const Tile& to) {
  const DType dtype = product().dtype;
  llvm::Type* vector = llvm::FixedVectorType::get(scalars_.element_type(dtype), static_cast<unsigned>(lanes_));
  const llvm::Align align(static_cast<uint64_t>(size_of(dtype)));
  for_range(i64(0), i64(sums_of_tile()), lanes_, [&](llvm::Value* at) {
    llvm::Value *sums = element_pointer(to.sums, dtype, at), *added = element_pointer(from.sums, dtype, at);
    ir_.CreateAlignedStore(
        ir_.CreateFAdd(ir_.CreateAlignedLoad(vector, sums, align), ir_.CreateAlignedLoad(vector, added, align)), sums,
        align);
  });
}

/// All rows of the tile by the micro-kernels for as many.
void ProductEmitter::emit_block_sums(const Tile& tile, const ProductOperands& pair, llvm::Value* a, llvm::Value* b) {
  const Product& product = this->product();
  llvm::Value* a_pointer =
      tile.left != nullptr ? tile.left : element_pointer(buffer_pointer(pair.a), operand_dtype(pair.a), a);
  llvm::Value* b_pointer =
      tile.copied != nullptr ? tile.copied : element_pointer(buffer_pointer(pair.b), operand_dtype(pair.b), b);
  const auto rows = [&](int64_t count) {
    return [&, count] { call_micro_kernel(tile, pair, count, a_pointer, b_pointer, tile.sums); };
  };
  if (product.row.extent.is_static()) {
    const EvenSplit split = split_evenly(product.row.extent.bound, schedule().tile.rows);
    if (tile.longer == nullptr) return rows(split.base)();
    return if_else(tile.longer, rows(split.base + 1), rows(split.base));
  }
  if_else(ir_.CreateICmpEQ(tile.rows, i64(schedule().tile.rows)), rows(schedule().tile.rows), [&] {
    for_range(i64(0), tile.rows, 1, [&](llvm::Value* r) {
      call_micro_kernel(tile, pair, 1,
                        element_pointer(a_pointer, operand_dtype(pair.a), ir_.CreateMul(r, i64(product.row.a_stride))),
                        b_pointer, element_pointer(tile.sums, product.dtype, ir_.CreateMul(r, tile.sums_stride)));
    });
  });
}

void ProductEmitter::call_dot_kernel(const Tile& tile, int64_t rows, llvm::Value* a, llvm::Value* b,
                                     llvm::Value* sums) {
  const Product& product = this->product();
  const DotKernelForm form{.dtype = product.dtype,
                           .left = operand_dtype(product.pairs[0].a),
                           .right = operand_dtype(product.pairs[0].b),
                           .rows = rows,
                           .columns = product.column.extent.bound,
                           .turns = product.inner.size() > 1};
  llvm::Function* dot = shared_.declare(module_, form.name(), DotKernelEmitter::type(context_),
                                        [&target = target_, lanes = lanes_, form](llvm::Module& module) {
                                          DotKernelEmitter(module, target, lanes, form).emit();
                                        });
  llvm::Value* steps = tile.steps != nullptr ? tile.steps : extent(product.inner.back().extent);
  const bool turns = product.inner.size() > 1;
  const ProductAxis& turn = product.inner[0];
  ir_.CreateCall(
      dot, {a, b, sums, steps, i64(product.row.a_stride), i64(product.column.b_stride), tile.sums_stride,
            turns ? extent(turn.extent) : i64(1), i64(turns ? turn.a_stride : 0), i64(turns ? turn.b_stride : 0)});
}

void ProductEmitter::call_micro_kernel(const Tile& tile, const ProductOperands& pair, int64_t rows, llvm::Value* a,
                                       llvm::Value* b, llvm::Value* sums) {
  const Product& product = this->product();
  if (schedule().form == ProductForm::Dot) return call_dot_kernel(tile, rows, a, b, sums);
  if (schedule().form == ProductForm::Streamed) return call_streamed_kernel(tile, pair, rows, a, b, sums);
  using Columns = MicroKernelForm::Columns;
  const bool packed = is_packed(schedule()) || tile.copied != nullptr;
  const bool padded =
      packed && only_store() == nullptr;  // panels end with zeros, and the tile has room for sums of them
  const ProductAxis& step = product.inner.back();
  llvm::Value *turns = i64(1), *a_turn = i64(0), *b_turn = i64(0);
  if (product.inner.size() >= kMicroKernelAxes && (tile.left == nullptr || tile.turns != nullptr)) {
    const size_t axis = product.inner.size() - kMicroKernelAxes;
    turns = tile.turns != nullptr ? tile.turns : extent(product.inner[axis].extent);
    a_turn = i64(product.inner[axis].a_stride);
    b_turn =
        tile.copied != nullptr ? ir_.CreateMul(tile.steps, i64(tile_columns())) : i64(product.inner[axis].b_stride);
  }
  const auto call = [&](int64_t vectors, Columns columns) {
    const int64_t at_once = schedule().multiply == Multiply::Bf16Pairs ? 2 : 1;
    const int64_t b_step = tile.copied != nullptr ? tile_columns() : step.b_stride * at_once;
    const int64_t a_step = tile.left != nullptr ? tile.left_step : step.a_stride * at_once;
    llvm::Value* steps = tile.steps != nullptr ? tile.steps : extent(step.extent);
    // The kernel makes one turn at least: without any, one of no steps.
    if (!llvm::isa<llvm::ConstantInt>(turns)) steps = ir_.CreateSelect(ir_.CreateICmpSGT(turns, i64(0)), steps, i64(0));
    ir_.CreateCall(micro_kernel(pair, rows, vectors, columns),
                   {a, b, sums, steps, tile.columns, i64(product.row.a_stride), i64(a_step), i64(b_step), turns, a_turn,
                    b_turn, tile.sums_stride});
  };
  const auto whole = [&] { call(tile_columns() / lanes_, Columns::Whole); };
  const Extent size = product.column.extent;
  const int64_t rest = size.is_static() ? size.bound % tile_columns() : 0;
  const auto partial = [&] {
    if (!size.is_static()) {
      call(tile_columns() / lanes_, Columns::AllMasked);
    } else {
      const bool whole_vectors = padded || rest % lanes_ == 0;
      call((rest + lanes_ - 1) / lanes_, whole_vectors ? Columns::Whole : Columns::LastMasked);
    }
  };
  if ((size.is_static() && rest == 0) || (!size.is_static() && padded)) {
    whole();
  } else if (size.is_static() && size.bound < tile_columns()) {
    partial();
  } else {
    if_else(ir_.CreateICmpEQ(tile.columns, i64(tile_columns())), whole, partial);
  }
}

llvm::Function* ProductEmitter::micro_kernel(const ProductOperands& pair, int64_t rows, int64_t vectors,
                                             MicroKernelForm::Columns columns) {
  const Product& product = this->product();
  const bool in_strips = schedule().left == LeftOperand::InStrips;
  const bool is_copied = in_strips && shape_of_strips().copies_rows;
  const bool far_rows = rows > kMaxRowAddresses && product.row.a_stride != 1;
  const MicroKernelForm form{
      .dtype = product.dtype,
      .left = is_copied ? product.dtype : operand_dtype(pair.a),
      .right = std::holds_alternative<CopiedColumns>(schedule().right) ? product.dtype : operand_dtype(pair.b),
      .rows = rows,
      .vectors = vectors,
      .columns = columns,
      .unit_steps = product.inner.back().a_stride == 1,
      .unit_rows = product.row.a_stride == 1,
      .row_stride = far_rows || schedule().left == LeftOperand::PairPanel ? product.row.a_stride : 0,
      .fetch_rows = asks_for_rows(),
      .accumulate = adds_up(product) && !in_strips,
      .add_last = in_strips,
      .direct = only_store() != nullptr,
      .fetch_results = only_store() != nullptr && asks_for_results(),
      .pairs = schedule().multiply == Multiply::Bf16Pairs,
      .turns = product.inner.size() >= kMicroKernelAxes && !is_copied};
  return shared_.declare(module_, form.name(), MicroKernelEmitter::type(context_),
                         [&target = target_, lanes = lanes_, form](llvm::Module& module) {
                           MicroKernelEmitter(module, target, lanes, form).emit();
                         });
}

}  // namespace smelt
