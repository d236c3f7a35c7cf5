// The packing of a product's right operand into panels of its register tile's width.
#include <llvm/IR/Intrinsics.h>

#include <fmt/format.h>

#include <utility>

#include "compiler/codegen/kernel_emitter.h"
#include "compiler/loops/lower_product.h"

namespace smelt {

void KernelEmitter::emit_pack() {
  const Product& product = kernel_->product;
  const PanelLayout layout = panel_layout(product);
  llvm::Value* columns = extent(product.column.extent);
  if (is_left_panel(product)) {
    llvm::Value* depth = extent(product.inner.back().extent);
    const PairPanel panel{element_pointer(buffer_pointer(product.b), operand_dtype(product.b), i64(product.b_start)),
                          buffer_pointer(product.packed), depth, columns};
    const auto [begin, end] = my_share(ir_.CreateLShr(ir_.CreateAdd(depth, i64(1)), i64(1)));
    for_range(begin, end, 1, [&](llvm::Value* pair) { emit_pair_step(panel, pair); });
    return;
  }
  std::vector<llvm::Value*> extents;
  std::vector<std::pair<int64_t, int64_t>> strides;  // of b, of the panels
  for (size_t axis = 0; axis < product.outer.size(); ++axis) {
    if (product.outer[axis].b_stride == 0) continue;
    extents.push_back(extent(product.outer[axis].extent));
    strides.emplace_back(product.outer[axis].b_stride, layout.outer_strides[axis]);
  }
  for (size_t axis = 0; axis + 1 < product.inner.size(); ++axis) {
    extents.push_back(extent(product.inner[axis].extent));
    strides.emplace_back(product.inner[axis].b_stride, layout.inner_strides[axis]);
  }
  extents.push_back(
      ir_.CreateSDiv(ir_.CreateAdd(columns, i64(tile_columns() - 1)), i64(tile_columns())));  // 1 in the dot form
  strides.emplace_back(tile_columns() * product.column.b_stride, layout.panel_elements);
  llvm::Value* total = i64(1);
  for (llvm::Value* size : extents) total = ir_.CreateMul(total, size);
  const auto [begin, end] = my_share(total);
  for_range(begin, end, 1, [&](llvm::Value* unit) {
    const std::vector<llvm::Value*> position = decompose(unit, extents);
    llvm::Value *from = i64(product.b_start), *to = i64(0);
    for (size_t axis = 0; axis < position.size(); ++axis) {
      from = ir_.CreateAdd(from, ir_.CreateMul(position[axis], i64(strides[axis].first)));
      to = ir_.CreateAdd(to, ir_.CreateMul(position[axis], i64(strides[axis].second)));
    }
    llvm::Value* left = ir_.CreateSub(columns, ir_.CreateMul(position.back(), i64(tile_columns())));
    llvm::Value* here = ir_.CreateSelect(ir_.CreateICmpSLT(left, i64(tile_columns())), left, i64(tile_columns()));
    emit_panel(element_pointer(buffer_pointer(product.b), operand_dtype(product.b), from),
               element_pointer(buffer_pointer(product.packed), operand_dtype(product.packed), to),
               extent(product.inner.back().extent), here);
  });
}

/// What was loaded from an operand of dtype `from`, in the dtype that the product is computed in.
llvm::Value* KernelEmitter::as_product(llvm::Value* loaded, DType from) {
  return LlvmScalars::value(scalars_.cast(kernel_->product.dtype, LlvmScalars::wrap(loaded, from)));
}

/// panel[k, c] = source[c * column_stride + k * depth_stride], 0 from `columns` on.
void KernelEmitter::emit_panel(llvm::Value* source, llvm::Value* panel, llvm::Value* depth, llvm::Value* columns) {
  const Product& product = kernel_->product;
  const DType from = operand_dtype(product.b);
  llvm::Type* element = scalars_.element_type(from);
  const int64_t column_stride = product.column.b_stride, depth_stride = product.inner.back().b_stride;
  if (product.form == ProductForm::Dot) return emit_dot_panel(source, panel, depth);
  if (product.bf16_pairs) return emit_pair_panel({source, panel, depth, columns});
  if (depth_stride == 1) {
    ir_.CreateCall(pack_transposed(), {source, panel, depth, columns, i64(column_stride)});
    return;
  }
  if (column_stride == 1) {
    copy_panel(source, from, panel, depth, columns);
    return;
  }
  for_range(i64(0), depth, 1, [&](llvm::Value* k) {
    for_range(i64(0), i64(tile_columns()), 1, [&](llvm::Value* c) {
      llvm::Value* exists = ir_.CreateICmpSLT(c, columns);
      llvm::Value* safe = ir_.CreateSelect(exists, c, i64(0));
      llvm::Value* at = ir_.CreateAdd(ir_.CreateMul(safe, i64(column_stride)), ir_.CreateMul(k, i64(depth_stride)));
      llvm::Value* value = ir_.CreateLoad(element, element_pointer(source, from, at));
      value = ir_.CreateSelect(exists, value, llvm::Constant::getNullValue(element));
      ir_.CreateStore(as_product(value, from),
                      element_pointer(panel, product.dtype, ir_.CreateAdd(ir_.CreateMul(k, i64(tile_columns())), c)));
    });
  });
}

/// panel[c, k] = source[c * column_stride + k * depth_stride], a square of lanes x lanes at a time where columns lie
/// side by side.
void KernelEmitter::emit_dot_panel(llvm::Value* source, llvm::Value* panel, llvm::Value* depth) {
  const Product& product = kernel_->product;
  const int64_t columns = product.column.extent.bound, column_stride = product.column.b_stride,
                padded = panel_layout(product).depth;
  const auto from = [&](llvm::Value* k, int64_t c) {
    return element_pointer(source, operand_dtype(product.b),
                           ir_.CreateAdd(ir_.CreateMul(k, i64(product.inner.back().b_stride)), i64(c * column_stride)));
  };
  const auto to = [&](int64_t c, llvm::Value* k) {
    return element_pointer(panel, product.dtype, ir_.CreateAdd(k, i64(c * padded)));
  };
  const DType dtype = operand_dtype(product.b);
  llvm::Type* element = scalars_.element_type(dtype);
  if (column_stride != 1) {
    for_range(i64(0), depth, 1, [&](llvm::Value* k) {
      for (int64_t c = 0; c < columns; ++c)
        ir_.CreateStore(as_product(ir_.CreateLoad(element, from(k, c)), dtype), to(c, k));
    });
    return;
  }
  llvm::Type* vector = llvm::FixedVectorType::get(element, static_cast<unsigned>(lanes_));
  llvm::Value* zero = llvm::Constant::getNullValue(vector);
  const llvm::Align from_align(static_cast<uint64_t>(size_of(dtype))),
      align(static_cast<uint64_t>(size_of(product.dtype)));
  llvm::Value* mask = mask_below(i64(columns));
  for_range(i64(0), depth, lanes_, [&](llvm::Value* k) {
    std::vector<llvm::Value*> square;
    for (int64_t i = 0; i < lanes_; ++i) {
      llvm::Value* step = ir_.CreateAdd(k, i64(i));
      llvm::Value* exists = ir_.CreateICmpSLT(step, depth);
      llvm::Value* row =
          ir_.CreateMaskedLoad(vector, from(ir_.CreateSelect(exists, step, i64(0)), 0), from_align, mask, zero);
      square.push_back(as_product(ir_.CreateSelect(exists, row, zero), dtype));
    }
    square = transposed(std::move(square));
    for (int64_t c = 0; c < columns; ++c) ir_.CreateAlignedStore(square[static_cast<size_t>(c)], to(c, k), align);
  });
}

/// Columns that lie side by side: whole vectors, masked where the columns end.
void KernelEmitter::copy_panel(llvm::Value* source, DType from, llvm::Value* panel, llvm::Value* depth,
                               llvm::Value* columns) {
  const Product& product = kernel_->product;
  llvm::Type* vector = llvm::FixedVectorType::get(scalars_.element_type(from), static_cast<unsigned>(lanes_));
  const llvm::Align from_align(static_cast<uint64_t>(size_of(from))),
      align(static_cast<uint64_t>(size_of(product.dtype)));
  std::vector<llvm::Value*> masks;
  for (int64_t c = 0; c < tile_columns(); c += lanes_) masks.push_back(mask_below(ir_.CreateSub(columns, i64(c))));
  for_range(i64(0), depth, 1, [&](llvm::Value* k) {
    llvm::Value* row = element_pointer(source, from, ir_.CreateMul(k, i64(product.inner.back().b_stride)));
    llvm::Value* to = element_pointer(panel, product.dtype, ir_.CreateMul(k, i64(tile_columns())));
    for (size_t v = 0; v < masks.size(); ++v) {
      llvm::Value* offset = i64(static_cast<int64_t>(v) * lanes_);
      llvm::Value* loaded = ir_.CreateMaskedLoad(vector, element_pointer(row, from, offset), from_align, masks[v],
                                                 llvm::Constant::getNullValue(vector));
      ir_.CreateAlignedStore(as_product(loaded, from), element_pointer(to, product.dtype, offset), align);
    }
  });
}

/// void pack(ptr source, ptr panel, i64 depth, i64 columns, i64 column_stride): a panel from columns that lie along k,
/// a square of lanes x lanes at a time through registers. The panel's depth is rounded up to whole squares.
llvm::Function* KernelEmitter::pack_transposed() {
  const DType dtype = kernel_->product.dtype;
  const DType from = operand_dtype(kernel_->product.b);
  const std::string name = fmt::format("pack_{}x_{}{}", tile_columns(), to_string(dtype),
                                       from == dtype ? "" : fmt::format("_{}", to_string(from)));
  llvm::Type *pointer = ir_.getPtrTy(), *i64_type = ir_.getInt64Ty();
  auto* type = llvm::FunctionType::get(ir_.getVoidTy(), {pointer, pointer, i64_type, i64_type, i64_type}, false);
  const auto define = [&target = target_, &function = function_, &shared = shared_, vectors = vector_dtype_, name, from,
                       dtype, width = tile_columns()](llvm::Module& module) {
    KernelEmitter(module, target, function, vectors, shared).define_pack_transposed(name, from, dtype, width);
  };
  return shared_.declare(module_, name, type, define);
}

void KernelEmitter::define_pack_transposed(const std::string& name, DType from, DType dtype, int64_t width) {
  llvm::Type *pointer = ir_.getPtrTy(), *i64_type = ir_.getInt64Ty();
  auto* type = llvm::FunctionType::get(ir_.getVoidTy(), {pointer, pointer, i64_type, i64_type, i64_type}, false);
  llvm::Function* function = llvm_function_ = new_function(module_, name, type);
  ir_.SetInsertPoint(llvm::BasicBlock::Create(context_, "entry", function));
  llvm::Value *source = function->getArg(0), *panel = function->getArg(1), *depth = function->getArg(2);
  llvm::Value *columns = function->getArg(3), *column_stride = function->getArg(4);
  llvm::Type* vector = llvm::FixedVectorType::get(scalars_.element_type(from), static_cast<unsigned>(lanes_));
  llvm::Value* zero = llvm::Constant::getNullValue(vector);
  const llvm::Align from_align(static_cast<uint64_t>(size_of(from))), align(static_cast<uint64_t>(size_of(dtype)));
  for_range(i64(0), i64(width), lanes_, [&](llvm::Value* first_column) {
    for_range(i64(0), depth, lanes_, [&](llvm::Value* k) {
      llvm::Value* mask = mask_below(ir_.CreateSub(depth, k));
      std::vector<llvm::Value*> rows;
      for (int64_t i = 0; i < lanes_; ++i) {
        llvm::Value* c = ir_.CreateAdd(first_column, i64(i));
        llvm::Value* exists = ir_.CreateICmpSLT(c, columns);
        llvm::Value* at = ir_.CreateAdd(ir_.CreateMul(ir_.CreateSelect(exists, c, i64(0)), column_stride), k);
        llvm::Value* row = ir_.CreateMaskedLoad(vector, element_pointer(source, from, at), from_align, mask, zero);
        row = ir_.CreateSelect(exists, row, zero);
        rows.push_back(LlvmScalars::value(scalars_.cast(dtype, LlvmScalars::wrap(row, from))));
      }
      rows = transposed(std::move(rows));
      for (int64_t i = 0; i < lanes_; ++i) {
        llvm::Value* at = ir_.CreateAdd(ir_.CreateMul(ir_.CreateAdd(k, i64(i)), i64(width)), first_column);
        ir_.CreateAlignedStore(rows[static_cast<size_t>(i)], element_pointer(panel, dtype, at), align);
      }
    });
  });
  ir_.CreateRetVoid();
}

/// A square of lanes x lanes by interleaving rows i and i + lanes/2, log2(lanes) times: each turn moves the top bit of
/// the row number to the bottom of the column number and the top bit of the column number to the bottom of the row's.
std::vector<llvm::Value*> KernelEmitter::transposed(std::vector<llvm::Value*> rows) {
  const auto n = static_cast<size_t>(lanes_);
  std::vector<int> low, high;
  for (size_t i = 0; i < n / 2; ++i) {
    for (const size_t from : {i, i + n}) low.push_back(static_cast<int>(from));
    for (const size_t from : {i + n / 2, i + n + n / 2}) high.push_back(static_cast<int>(from));
  }
  for (size_t bits = n; bits > 1; bits /= 2) {
    std::vector<llvm::Value*> next(n);
    for (size_t i = 0; i < n / 2; ++i) {
      next[2 * i] = ir_.CreateShuffleVector(rows[i], rows[i + n / 2], low);
      next[2 * i + 1] = ir_.CreateShuffleVector(rows[i], rows[i + n / 2], high);
    }
    rows = std::move(next);
  }
  return rows;
}

}  // namespace smelt
