// Panels of bf16 in pairs: two steps of the depth side by side for each column, for instructions that multiply both at
// once.
#include "compiler/codegen/pack_emitter.h"

namespace smelt {

/// Two vectors of columns, rounded to bf16, with the elements of each column side by side.
llvm::Value* PackEmitter::interleaved_pair(llvm::Value* first, llvm::Value* second) {
  std::vector<int> order;
  for (int lane = 0; lane < static_cast<int>(lanes_); ++lane) {
    order.push_back(lane);
    order.push_back(lane + static_cast<int>(lanes_));
  }
  return ir_.CreateShuffleVector(first, second, order);
}

llvm::Value* PackEmitter::pair_source(const PanelCopy& p, llvm::Value* k, llvm::Value* c) {
  llvm::Value* at = ir_.CreateAdd(ir_.CreateMul(k, i64(p.depth_stride)), ir_.CreateMul(c, i64(p.column_stride)));
  return element_pointer(p.source, p.from, at);
}

llvm::Value* PackEmitter::pair_place(const PanelCopy& p, llvm::Value* pair, llvm::Value* c) {
  return element_pointer(p.panel, DType::BF16,
                         ir_.CreateMul(ir_.CreateAdd(ir_.CreateMul(pair, i64(p.width)), c), i64(2)));
}

llvm::Value* PackEmitter::rounded_to_bf16(llvm::Value* loaded, DType from) {
  return from == DType::BF16 ? loaded : converted(loaded, from, DType::BF16);
}

void PackEmitter::emit_pair_panel(const PanelCopy& p) {
  if (p.column_stride == 1) {
    for_range(i64(0), ir_.CreateLShr(ir_.CreateAdd(p.depth, i64(1)), i64(1)), 1,
              [&](llvm::Value* pair) { emit_pair_step(p, pair); });
  } else if (p.depth_stride == 1) {
    emit_pair_squares(p);
  } else {
    emit_pair_elements(p);
  }
}

/// Two steps of the depth, of columns that lie side by side.
void PackEmitter::emit_pair_step(const PanelCopy& p, llvm::Value* pair) {
  llvm::Type* vector = llvm::FixedVectorType::get(scalars_.element_type(p.from), static_cast<unsigned>(lanes_));
  llvm::Value* zero = llvm::Constant::getNullValue(vector);
  const llvm::Align from_align(static_cast<uint64_t>(size_of(p.from))),
      align(static_cast<uint64_t>(size_of(DType::BF16)));
  llvm::Value *k = ir_.CreateShl(pair, i64(1)), *next = ir_.CreateAdd(k, i64(1)),
              *exists = ir_.CreateICmpSLT(next, p.depth);
  llvm::Value* safe = ir_.CreateSelect(exists, next, i64(0));
  for_range(i64(0), i64(p.width), lanes_, [&](llvm::Value* c) {
    llvm::Value* mask = mask_below(ir_.CreateSub(p.columns, c));
    llvm::Value* first = ir_.CreateMaskedLoad(vector, pair_source(p, k, c), from_align, mask, zero);
    llvm::Value* second = ir_.CreateMaskedLoad(vector, pair_source(p, safe, c), from_align, mask, zero);
    second = ir_.CreateSelect(exists, second, zero);
    ir_.CreateAlignedStore(interleaved_pair(rounded_to_bf16(first, p.from), rounded_to_bf16(second, p.from)),
                           pair_place(p, pair, c), align);
  });
}

/// Columns that lie along the depth: a square of lanes x pairs at a time.
void PackEmitter::emit_pair_squares(const PanelCopy& p) {
  llvm::Type* vector = llvm::FixedVectorType::get(scalars_.element_type(p.from), static_cast<unsigned>(lanes_));
  llvm::Value* zero = llvm::Constant::getNullValue(vector);
  const llvm::Align from_align(static_cast<uint64_t>(size_of(p.from))),
      align(static_cast<uint64_t>(size_of(DType::BF16)));
  auto* pairs = llvm::FixedVectorType::get(ir_.getInt32Ty(), static_cast<unsigned>(lanes_));
  std::vector<int> all;
  for (int lane = 0; lane < static_cast<int>(2 * lanes_); ++lane) all.push_back(lane);
  for_range(i64(0), i64(p.width), lanes_, [&](llvm::Value* first_column) {
    for_range(i64(0), p.depth, 2 * lanes_, [&](llvm::Value* k) {
      llvm::Value* masks[] = {mask_below(ir_.CreateSub(p.depth, k)),
                              mask_below(ir_.CreateSub(p.depth, ir_.CreateAdd(k, i64(lanes_))))};
      std::vector<llvm::Value*> rows;
      for (int64_t i = 0; i < lanes_; ++i) {
        llvm::Value* c = ir_.CreateAdd(first_column, i64(i));
        llvm::Value* exists = ir_.CreateICmpSLT(c, p.columns);
        llvm::Value* parts[2];
        for (int64_t part = 0; part < 2; ++part) {
          llvm::Value* at = pair_source(p, ir_.CreateAdd(k, i64(part * lanes_)), ir_.CreateSelect(exists, c, i64(0)));
          llvm::Value* row = ir_.CreateMaskedLoad(vector, at, from_align, masks[part], zero);
          parts[part] = rounded_to_bf16(ir_.CreateSelect(exists, row, zero), p.from);
        }
        rows.push_back(ir_.CreateBitCast(ir_.CreateShuffleVector(parts[0], parts[1], all), pairs));
      }
      rows = transposed(std::move(rows));
      llvm::Value* pair = ir_.CreateLShr(k, i64(1));
      for (int64_t i = 0; i < lanes_; ++i) {
        ir_.CreateAlignedStore(rows[static_cast<size_t>(i)], pair_place(p, ir_.CreateAdd(pair, i64(i)), first_column),
                               align);
      }
    });
  });
}

/// Any strides, one element at a time.
void PackEmitter::emit_pair_elements(const PanelCopy& p) {
  llvm::Type* element = scalars_.element_type(p.from);
  for_range(i64(0), ir_.CreateAnd(ir_.CreateAdd(p.depth, i64(1)), i64(-2)), 1, [&](llvm::Value* k) {
    for_range(i64(0), i64(p.width), 1, [&](llvm::Value* c) {
      llvm::Value* exists = ir_.CreateAnd(ir_.CreateICmpSLT(c, p.columns), ir_.CreateICmpSLT(k, p.depth));
      const auto existing = [&](llvm::Value* at) { return ir_.CreateSelect(exists, at, i64(0)); };
      llvm::Value* value = ir_.CreateLoad(element, pair_source(p, existing(k), existing(c)));
      value = ir_.CreateSelect(exists, value, llvm::Constant::getNullValue(element));
      llvm::Value* to =
          element_pointer(pair_place(p, ir_.CreateLShr(k, i64(1)), c), DType::BF16, ir_.CreateAnd(k, i64(1)));
      ir_.CreateStore(rounded_to_bf16(value, p.from), to);
    });
  });
}

}  // namespace smelt
