#include "compiler/codegen/kernel_emitter.h"

#include <llvm/IR/Intrinsics.h>

#include <cstddef>
#include <utility>

#include "ir/support/check.h"
#include "runtime/abi.h"

namespace smelt {

KernelEmitter::KernelEmitter(llvm::Module& module, const Target& target, const LoopFunction& function,
                             SharedFunctions& shared)
    : module_(module),
      context_(module.getContext()),
      target_(target),
      function_(function),
      shared_(shared),
      lanes_(function.lanes->count),
      ir_(context_),
      scalars_(ir_, target.has_fma) {}

void KernelEmitter::emit(const Kernel& kernel, const KernelIdentity& identity, const std::string& name) {
  kernel_ = &kernel;
  llvm_function_ = new_function(
      module_, name,
      llvm::FunctionType::get(ir_.getVoidTy(), {ir_.getPtrTy(), ir_.getInt32Ty(), ir_.getInt32Ty()}, false));
  frame_ = llvm_function_->getArg(0);
  thread_ = llvm_function_->getArg(1);
  count_ = llvm_function_->getArg(2);
  ir_.SetInsertPoint(llvm::BasicBlock::Create(context_, "entry", llvm_function_));
  values_.assign(static_cast<size_t>(kernel.num_values), Scalar{});
  loop_values_.assign(kernel.loops.size(), nullptr);
  if (kernel.serial) {
    auto* work = llvm::BasicBlock::Create(context_, "work", llvm_function_);
    auto* idle = llvm::BasicBlock::Create(context_, "idle", llvm_function_);
    ir_.CreateCondBr(ir_.CreateICmpEQ(thread_, ir_.getInt32(0)), work, idle);
    ir_.SetInsertPoint(idle);
    ir_.CreateRetVoid();
    ir_.SetInsertPoint(work);
  }
  load_frame(identity);
  emit_statements(kernel.setup);
  switch (kernel.kind()) {
    case KernelKind::Nest: emit_nest(); break;
    case KernelKind::Product: emit_product(); break;
    case KernelKind::Pack: emit_pack(); break;
  }
  if (nonfinite_ != nullptr) end_finite_check();
  ir_.CreateRetVoid();
}

/// Here, at the start, pointers and sizes dominate every use.
void KernelEmitter::load_frame(const KernelIdentity& identity) {
  unsigned slot = kFrameBuffers;
  for (const int32_t b : identity.buffers) {
    const LoopBuffer& buffer = function_.buffers[static_cast<size_t>(b)];
    pointers_[b] = frame_slot(slot++, buffer.name, ir_.getPtrTy());
    if (buffer.check_finite && nonfinite_ == nullptr) begin_finite_check();
  }
  for (int32_t s = 0; s < static_cast<int32_t>(function_.symbols.size()); ++s) extent(Extent(0, s));
  const auto number_draws = [&](const std::vector<Stmt>& body) {
    for (const Stmt& stmt : body) {
      if (stmt.kind == StmtKind::Random) draw_slots_[stmt.value] = slot++;
    }
  };
  number_draws(kernel_->setup);
  for (const Sweep& sweep : kernel_->sweeps) {
    number_draws(sweep.setup);
    number_draws(sweep.body);
  }
}

void KernelEmitter::begin_finite_check() {
  auto* vector = llvm::FixedVectorType::get(ir_.getFloatTy(), static_cast<unsigned>(lanes_));
  nonfinite_ = stack(vector, 1, "nonfinite");
  ir_.CreateStore(llvm::Constant::getNullValue(vector), nonfinite_);
}

void KernelEmitter::end_finite_check() {
  llvm::Value* seen = ir_.CreateLoad(nonfinite_->getAllocatedType(), nonfinite_);
  if_then(ir_.CreateOrReduce(ir_.CreateFCmpUNO(seen, seen)), [&] {
    llvm::Value* arena = frame_slot(kFrameArena, "arena", ir_.getPtrTy());
    ir_.CreateStore(ir_.getInt64(1),
                    ir_.CreateConstInBoundsGEP1_64(ir_.getInt8Ty(), arena, offsetof(smelt_arena, nonfinite)));
  });
}

llvm::Value* KernelEmitter::frame_slot(unsigned slot, const std::string& name, llvm::Type* type) {
  return ir_.CreateLoad(type, ir_.CreateConstInBoundsGEP1_64(ir_.getPtrTy(), frame_, slot), name);
}

llvm::Value* KernelEmitter::extent(const Extent& extent) {
  if (extent.is_static()) return i64(extent.bound);
  if (const auto known = extents_.find(extent.symbol); known != extents_.end()) return known->second;
  llvm::Value* table = frame_slot(kFrameExtents, "extents", ir_.getPtrTy());
  llvm::Value* at = ir_.CreateConstInBoundsGEP1_64(ir_.getInt64Ty(), table, static_cast<uint64_t>(extent.symbol));
  return extents_[extent.symbol] =
             ir_.CreateLoad(ir_.getInt64Ty(), at, function_.symbols[static_cast<size_t>(extent.symbol)].name);
}

llvm::Type* KernelEmitter::memory_type(DType dtype) {
  return dtype == DType::Bool ? ir_.getInt8Ty() : scalars_.element_type(dtype);
}

llvm::Value* KernelEmitter::element_pointer(llvm::Value* base, DType dtype, llvm::Value* element) {
  return ir_.CreateInBoundsGEP(memory_type(dtype), base, element);
}

llvm::Value* KernelEmitter::from_memory(llvm::Value* loaded, DType dtype) {
  if (dtype != DType::Bool) return loaded;
  return ir_.CreateICmpNE(loaded, llvm::Constant::getNullValue(loaded->getType()));
}

llvm::Value* KernelEmitter::to_memory(llvm::Value* value, DType dtype) {
  if (dtype != DType::Bool) return value;
  llvm::Type* byte = ir_.getInt8Ty();
  if (const auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(value->getType())) {
    byte = llvm::FixedVectorType::get(byte, vector->getNumElements());
  }
  return ir_.CreateZExt(value, byte);
}

// In the entry block, so that every alloca becomes a register or one fixed stack slot.
llvm::AllocaInst* KernelEmitter::stack(llvm::Type* type, int64_t count, const char* name) {
  llvm::BasicBlock& entry = llvm_function_->getEntryBlock();
  llvm::IRBuilder<> at(&entry, entry.begin());
  llvm::AllocaInst* slot = at.CreateAlloca(type, at.getInt32(static_cast<uint32_t>(count)), name);
  slot->setAlignment(llvm::Align(SMELT_ARENA_ALIGNMENT));
  return slot;
}

llvm::Value* KernelEmitter::lane_numbers(llvm::Type* element) {
  std::vector<llvm::Constant*> lanes;
  for (int64_t lane = 0; lane < lanes_; ++lane)
    lanes.push_back(llvm::ConstantInt::get(element, static_cast<uint64_t>(lane)));
  return llvm::ConstantVector::get(lanes);
}

llvm::Value* KernelEmitter::mask_below(llvm::Value* limit) {
  // 32-bit lanes compare in one instruction; a limit above the lanes means all of them.
  llvm::Value* capped = ir_.CreateSelect(ir_.CreateICmpSLT(limit, i64(lanes_)), limit, i64(lanes_));
  llvm::Value* narrow = ir_.CreateTrunc(capped, ir_.getInt32Ty());
  return ir_.CreateICmpSLT(lane_numbers(ir_.getInt32Ty()), scalars_.splat(narrow, lanes_));
}

void KernelEmitter::for_range(llvm::Value* begin, llvm::Value* end, int64_t step,
                              const std::function<void(llvm::Value*)>& body) {
  auto* head = llvm::BasicBlock::Create(context_, "loop", llvm_function_);
  auto* inside = llvm::BasicBlock::Create(context_, "body", llvm_function_);
  auto* after = llvm::BasicBlock::Create(context_, "after", llvm_function_);
  llvm::BasicBlock* before = ir_.GetInsertBlock();
  ir_.CreateBr(head);
  ir_.SetInsertPoint(head);
  llvm::PHINode* i = ir_.CreatePHI(ir_.getInt64Ty(), 2);
  i->addIncoming(begin, before);
  ir_.CreateCondBr(ir_.CreateICmpSLT(i, end), inside, after);
  ir_.SetInsertPoint(inside);
  body(i);
  i->addIncoming(ir_.CreateAdd(i, i64(step), "", true, true), ir_.GetInsertBlock());
  ir_.CreateBr(head);
  ir_.SetInsertPoint(after);
}

void KernelEmitter::if_then(llvm::Value* condition, const Body& body) {
  if_else(condition, body, [] {});
}

void KernelEmitter::if_else(llvm::Value* condition, const Body& yes, const Body& no) {
  if (const auto* known = llvm::dyn_cast<llvm::ConstantInt>(condition)) {
    (known->isOne() ? yes : no)();
    return;
  }
  auto* then_block = llvm::BasicBlock::Create(context_, "then", llvm_function_);
  auto* else_block = llvm::BasicBlock::Create(context_, "else", llvm_function_);
  auto* after = llvm::BasicBlock::Create(context_, "joined", llvm_function_);
  ir_.CreateCondBr(condition, then_block, else_block);
  ir_.SetInsertPoint(then_block);
  yes();
  ir_.CreateBr(after);
  ir_.SetInsertPoint(else_block);
  no();
  ir_.CreateBr(after);
  ir_.SetInsertPoint(after);
}

std::pair<llvm::Value*, llvm::Value*> KernelEmitter::my_share(llvm::Value* total) {
  if (kernel_->serial) return {i64(0), total};
  llvm::Value* thread = ir_.CreateSExt(thread_, ir_.getInt64Ty());
  llvm::Value* count = ir_.CreateSExt(count_, ir_.getInt64Ty());
  llvm::Value* begin = ir_.CreateSDiv(ir_.CreateMul(total, thread), count);
  llvm::Value* end = ir_.CreateSDiv(ir_.CreateMul(total, ir_.CreateAdd(thread, i64(1))), count);
  return {begin, end};
}

}  // namespace smelt
