// Statements: loads and stores at affine addresses, random draws, and op bodies through the ScalarBuilder.
#include <llvm/IR/Intrinsics.h>

#include <algorithm>
#include <array>

#include "compiler/codegen/kernel_emitter.h"
#include "compiler/codegen/philox_function.h"
#include "ir/half_bits.h"
#include "ir/support/check.h"

namespace smelt {

void KernelEmitter::emit_statements(const std::vector<Stmt>& statements) {
  for (const Stmt& stmt : statements) emit_statement(stmt);
}

void KernelEmitter::emit_statement(const Stmt& stmt) {
  llvm::Value* result = nullptr;
  switch (stmt.kind) {
    case StmtKind::Store: emit_store(stmt); return;
    case StmtKind::Load: result = emit_load(stmt); break;
    case StmtKind::Random: result = emit_random(stmt); break;
    case StmtKind::Index: result = affine_lanes(stmt.index, stmt.dtype); break;
    case StmtKind::Constant: result = LlvmScalars::value(scalars_.constant(stmt.dtype, stmt.constant)); break;
    case StmtKind::Extent: {
      const Scalar size = LlvmScalars::wrap(extent(Extent(0, stmt.symbol)), DType::I64);
      result = LlvmScalars::value(scalars_.cast(stmt.dtype, size));
      break;
    }
    case StmtKind::Product: result = load_sum(stmt); break;
    case StmtKind::Compute: {
      std::vector<Scalar> operands;
      for (size_t i = 0; i < stmt.operands.size(); ++i) operands.push_back(operand(stmt, i));
      result = LlvmScalars::value(stmt.body(scalars_, operands, stmt.attrs));
      break;
    }
  }
  values_[static_cast<size_t>(stmt.value)] = LlvmScalars::wrap(result, stmt.dtype);
}

llvm::Value* KernelEmitter::affine(const Affine& index) {
  llvm::Value* sum = i64(index.constant);
  for (const auto& [loop, coefficient] : index.terms) {
    llvm::Value* term = loop_values_[static_cast<size_t>(loop)];
    if (coefficient != 1) term = ir_.CreateMul(term, i64(coefficient), "", false, true);
    sum = ir_.CreateAdd(sum, term, "", false, true);
  }
  return sum;
}

llvm::Value* KernelEmitter::affine_lanes(const Affine& index, DType dtype) {
  llvm::Type* type = scalars_.element_type(dtype);
  llvm::Value* base = ir_.CreateIntCast(affine(index), type, true);
  const int64_t coefficient = vector_loop_ < 0 ? 0 : index.coefficient(vector_loop_);
  if (coefficient == 0) return base;
  llvm::Value* steps = lane_numbers(type);
  if (coefficient != 1) {
    steps = ir_.CreateMul(steps, scalars_.splat(llvm::ConstantInt::getSigned(type, coefficient), lanes_));
  }
  return ir_.CreateAdd(scalars_.splat(base, lanes_), steps);
}

/// A row number from data is clamped into a table of known size, so that no input can read or write outside it.
llvm::Value* KernelEmitter::clamp_row(const Access& access, llvm::Value* row) {
  llvm::Type* wide = ir_.getInt64Ty();
  if (row->getType()->isVectorTy()) wide = llvm::FixedVectorType::get(wide, static_cast<unsigned>(lanes_));
  row = ir_.CreateIntCast(row, wide, true);
  llvm::Value* zero = llvm::Constant::getNullValue(wide);
  llvm::Value* last = ir_.CreateSub(extent(access.row_extent), i64(1));
  if (wide->isVectorTy()) last = scalars_.splat(last, lanes_);
  row = ir_.CreateBinaryIntrinsic(llvm::Intrinsic::smin, row, last);
  return ir_.CreateBinaryIntrinsic(llvm::Intrinsic::smax, row, zero);
}

KernelEmitter::Address KernelEmitter::address(const Access& access) {
  Address result;
  result.base = affine(access.offset);
  const int64_t step = vector_loop_ < 0 ? 0 : access.offset.coefficient(vector_loop_);
  llvm::Value* row = nullptr;
  if (access.row >= 0) row = clamp_row(access, LlvmScalars::value(values_[static_cast<size_t>(access.row)]));
  const bool row_per_lane = row != nullptr && row->getType()->isVectorTy();
  if (row != nullptr && !row_per_lane) {
    result.base = ir_.CreateAdd(result.base, ir_.CreateMul(row, i64(access.row_stride)));
  }
  result.contiguous = step == 1 && !row_per_lane;
  if (result.contiguous || (step == 0 && !row_per_lane)) return result;
  result.lanes = scalars_.splat(result.base, lanes_);
  if (step != 0) {
    llvm::Value* steps = ir_.CreateMul(lane_numbers(ir_.getInt64Ty()), scalars_.splat(i64(step), lanes_));
    result.lanes = ir_.CreateAdd(result.lanes, steps);
  }
  if (row_per_lane) {
    result.lanes = ir_.CreateAdd(result.lanes, ir_.CreateMul(row, scalars_.splat(i64(access.row_stride), lanes_)));
  }
  return result;
}

llvm::Value* KernelEmitter::emit_load(const Stmt& stmt) {
  const LoopBuffer& buffer = function_.buffers[static_cast<size_t>(stmt.access.buffer)];
  if (buffer.storage == Storage::Scalar) return emit_scalar_slot(buffer.slot, buffer_pointer(stmt.access.buffer));
  const DType dtype = stmt.dtype;
  llvm::Type* element = memory_type(dtype);
  const llvm::Align align(static_cast<uint64_t>(size_of(dtype)));
  llvm::Value* base = buffer_pointer(stmt.access.buffer);
  Address at = address(stmt.access);
  llvm::Value* predicate = nullptr;
  if (stmt.access.predicate >= 0) predicate = LlvmScalars::value(values_[static_cast<size_t>(stmt.access.predicate)]);
  const bool predicate_per_lane = predicate != nullptr && predicate->getType()->isVectorTy();
  if (at.lanes == nullptr && !at.contiguous && predicate_per_lane) at.lanes = scalars_.splat(at.base, lanes_);

  if (at.lanes == nullptr && !at.contiguous) {
    llvm::Value* pointer = element_pointer(base, dtype, at.base);
    if (predicate != nullptr) {
      llvm::AllocaInst* zero = stack(element, 1, "zero");
      ir_.CreateStore(llvm::Constant::getNullValue(element), zero);
      pointer = ir_.CreateSelect(predicate, pointer, zero);
    }
    return from_memory(ir_.CreateAlignedLoad(element, pointer, align), dtype);
  }
  llvm::Type* vector = llvm::FixedVectorType::get(element, static_cast<unsigned>(lanes_));
  llvm::Value* mask = mask_;
  if (predicate != nullptr) {
    llvm::Value* lanes = scalars_.splat(predicate, lanes_);
    mask = mask == nullptr ? lanes : ir_.CreateAnd(mask, lanes);
  }
  llvm::Value* zero = llvm::Constant::getNullValue(vector);
  if (at.contiguous) {
    llvm::Value* pointer = element_pointer(base, dtype, at.base);
    llvm::Value* loaded = mask == nullptr ? static_cast<llvm::Value*>(ir_.CreateAlignedLoad(vector, pointer, align))
                                          : ir_.CreateMaskedLoad(vector, pointer, align, mask, zero);
    return from_memory(loaded, dtype);
  }
  llvm::Value* pointers = ir_.CreateInBoundsGEP(element, base, at.lanes);
  if (mask == nullptr)
    mask = llvm::Constant::getAllOnesValue(llvm::FixedVectorType::get(ir_.getInt1Ty(), static_cast<unsigned>(lanes_)));
  return from_memory(ir_.CreateMaskedGather(vector, pointers, align, mask, zero), dtype);
}

void KernelEmitter::emit_store(const Stmt& stmt) {
  const LoopBuffer& buffer = function_.buffers[static_cast<size_t>(stmt.access.buffer)];
  llvm::Value* stored = LlvmScalars::value(operand(stmt, 0));
  const llvm::Align align(static_cast<uint64_t>(size_of(stmt.dtype)));
  llvm::Value* base = buffer_pointer(stmt.access.buffer);
  const Address at = address(stmt.access);
  if (at.lanes == nullptr && !at.contiguous) {
    SMELT_CHECK(!stored->getType()->isVectorTy(), "a vector is stored to one element of `{}`", buffer.name);
    if (buffer.check_finite) note_nonfinite(stored, stmt.dtype);
    ir_.CreateAlignedStore(to_memory(stored, stmt.dtype), element_pointer(base, stmt.dtype, at.base), align);
    return;
  }
  stored = scalars_.splat(stored, lanes_);
  if (buffer.check_finite) note_nonfinite(stored, stmt.dtype);
  llvm::Value* memory = to_memory(stored, stmt.dtype);
  if (at.contiguous) {
    llvm::Value* pointer = element_pointer(base, stmt.dtype, at.base);
    if (mask_ == nullptr) {
      ir_.CreateAlignedStore(memory, pointer, align);
    } else {
      ir_.CreateMaskedStore(memory, pointer, align, mask_);
    }
    return;
  }
  llvm::Value* pointers = ir_.CreateInBoundsGEP(memory_type(stmt.dtype), base, at.lanes);
  ir_.CreateMaskedScatter(memory, pointers, align, mask_);
}

/// x - x is NaN exactly when x is not finite, and a NaN in the sum stays.
void KernelEmitter::note_nonfinite(llvm::Value* stored, DType dtype) {
  if (is_half(dtype)) stored = LlvmScalars::value(scalars_.cast(DType::F32, LlvmScalars::wrap(stored, dtype)));
  llvm::Value* difference = ir_.CreateFSub(stored, stored);
  if (difference->getType()->isVectorTy()) {
    difference = ir_.CreateFPCast(difference, nonfinite_->getAllocatedType());
    if (mask_ != nullptr)
      difference = ir_.CreateSelect(mask_, difference, llvm::Constant::getNullValue(difference->getType()));
  } else {
    difference = scalars_.splat(ir_.CreateFPCast(difference, ir_.getFloatTy()), lanes_);
  }
  llvm::Value* seen = ir_.CreateLoad(nonfinite_->getAllocatedType(), nonfinite_);
  ir_.CreateStore(ir_.CreateFAdd(seen, difference), nonfinite_);
}

llvm::Value* KernelEmitter::emit_scalar_slot(ScalarSlot slot, llvm::Value* at) {
  if (slot == ScalarSlot::Stored) return ir_.CreateLoad(ir_.getDoubleTy(), at);
  llvm::Value* counter = ir_.CreateLoad(ir_.getInt64Ty(), at);
  if (slot == ScalarSlot::Seed || slot == ScalarSlot::Run) return counter;
  if (slot == ScalarSlot::Update) counter = ir_.CreateAdd(counter, i64(1));
  return ir_.CreateSIToFP(counter, ir_.getDoubleTy());
}

/// Lanes hold consecutive elements and the first one begins a block, at every turn of every loop.
bool KernelEmitter::draws_in_a_row(const Affine& index) const {
  constexpr int64_t kBlock = 4;
  if (vector_loop_ < 0 || lanes_ % kBlock != 0 || index.coefficient(vector_loop_) != 1 || index.constant % kBlock != 0)
    return false;
  return std::ranges::all_of(index.terms,
                             [&](const auto& term) { return term.first == vector_loop_ || term.second % kBlock == 0; });
}

/// Two words of the element's block for all lanes at once; the body makes a number of them.
llvm::Value* KernelEmitter::emit_random(const Stmt& stmt) {
  llvm::Value* element = affine_lanes(stmt.index, DType::I32);
  llvm::Type* type = element->getType();
  llvm::Value* seed = LlvmScalars::value(operand(stmt, 0));
  llvm::Value* run = ir_.CreateTrunc(LlvmScalars::value(operand(stmt, 1)), ir_.getInt32Ty());
  llvm::Value* site = frame_slot(draw_slots_.at(stmt.value), "site", ir_.getInt64Ty());
  std::array<llvm::Value*, 2> words{};
  if (draws_in_a_row(stmt.index)) {
    words = draw_in_a_row(affine(stmt.index), seed, run, site);
  } else {
    llvm::Value* both = ir_.CreateCall(philox_function(module_, shared_, type), {element, seed, run, site});
    words = {ir_.CreateExtractValue(both, 0), ir_.CreateExtractValue(both, 1)};
  }
  llvm::Value* odd = ir_.CreateTrunc(element, type->getWithNewBitWidth(1));
  const std::array operands = {LlvmScalars::wrap(words[0], DType::I32), LlvmScalars::wrap(words[1], DType::I32),
                               LlvmScalars::wrap(odd, DType::Bool)};
  return LlvmScalars::value(stmt.body(scalars_, operands, stmt.attrs));
}

/// From a window of words on the stack, which is filled again when `first` has left it.
std::array<llvm::Value*, 2> KernelEmitter::draw_in_a_row(llvm::Value* first, llvm::Value* seed, llvm::Value* run,
                                                         llvm::Value* site) {
  const int64_t size = kPhiloxWindow * lanes_;
  llvm::AllocaInst *window = stack(ir_.getInt32Ty(), 2 * size, "words"), *begin = stack(ir_.getInt64Ty(), 1, "window");
  llvm::IRBuilder<>(begin->getNextNode()).CreateStore(i64(INT64_MIN), begin);  // no window yet
  llvm::Value* left =
      ir_.CreateICmpUGT(ir_.CreateSub(first, ir_.CreateLoad(ir_.getInt64Ty(), begin)), i64(size - lanes_));
  if_then(left, [&] {
    ir_.CreateCall(philox_window_function(module_, shared_, static_cast<unsigned>(lanes_)),
                   {window, ir_.CreateTrunc(first, ir_.getInt32Ty()), seed, run, site});
    ir_.CreateStore(first, begin);
  });
  llvm::Value* at = ir_.CreateSub(first, ir_.CreateLoad(ir_.getInt64Ty(), begin));
  llvm::Type* vector = llvm::FixedVectorType::get(ir_.getInt32Ty(), static_cast<unsigned>(lanes_));
  const auto word = [&](int64_t from) {
    llvm::Value* pointer = ir_.CreateInBoundsGEP(ir_.getInt32Ty(), window, ir_.CreateAdd(at, i64(from)));
    return ir_.CreateAlignedLoad(vector, pointer, llvm::Align(4));
  };
  return {word(0), word(size)};
}

}  // namespace smelt
