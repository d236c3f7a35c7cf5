#include "compiler/codegen/kernel_emitter.h"

#include <algorithm>
#include <cstddef>

#include "compiler/codegen/llvm_passes.h"
#include "compiler/codegen/nest_emitter.h"
#include "compiler/codegen/pack_emitter.h"
#include "compiler/codegen/product_emitter.h"
#include "ir/support/check.h"
#include "runtime/abi.h"

namespace smelt {
namespace {

// Strength reduction of addresses takes a tenth of a cold compile. It makes copies twice as fast, pads and the largest
// of windows by a quarter, products of 16 to 32 terms by a tenth; sums and chains of elements take 0.6 to 1.0 of their
// time without it, longer products the same (`smelt profile` of conv, dcgan, wavenet, gpt, charlm_lstm and gru, in
// turns, November 2026).
constexpr int64_t kFewTerms = 64;

/// Whether a turn of the loops does so little that its addresses count: it copies, chooses what it loads, or adds up
/// few terms.
bool addresses_count(const Kernel& kernel) {
  switch (kernel.kind()) {
    case KernelKind::Pack: return true;
    case KernelKind::Product: {
      const std::optional<ProductSchedule>& schedule = kernel.product().schedule;
      const bool copies = schedule && (schedule->left == LeftOperand::InStrips ||
                                       std::holds_alternative<CopiedColumns>(schedule->right));
      if (copies) return true;
      int64_t terms = 1;
      for (const ProductAxis& axis : kernel.product().inner) terms *= axis.extent.bound;
      return terms <= kFewTerms;
    }
    case KernelKind::Nest:
      return std::ranges::any_of(kernel.sweeps, [](const Sweep& sweep) {
        return std::ranges::any_of(sweep.body, [](const Stmt& stmt) { return stmt.access.predicate >= 0; });
      });
  }
  return true;
}

}  // namespace

KernelEmitter::KernelEmitter(const EmitContext& context, const Kernel& kernel)
    : LaneBuilder(context.module, context.target, context.function.lanes->count),
      target_(context.target),
      function_(context.function),
      shared_(context.shared),
      kernel_(kernel) {}

void KernelEmitter::emit(const KernelIdentity& identity, const std::string& name) {
  begin_function(name,
                 llvm::FunctionType::get(ir_.getVoidTy(), {ir_.getPtrTy(), ir_.getInt32Ty(), ir_.getInt32Ty()}, false));
  if (!addresses_count(kernel_)) leave_addresses(*llvm_function_);
  frame_ = llvm_function_->getArg(0);
  thread_ = llvm_function_->getArg(1);
  count_ = llvm_function_->getArg(2);
  values_.assign(static_cast<size_t>(kernel_.num_values), Scalar{});
  loop_values_.assign(kernel_.loops.size(), nullptr);
  if (kernel_.serial) {
    auto* work = llvm::BasicBlock::Create(context_, "work", llvm_function_);
    auto* idle = llvm::BasicBlock::Create(context_, "idle", llvm_function_);
    ir_.CreateCondBr(ir_.CreateICmpEQ(thread_, ir_.getInt32(0)), work, idle);
    ir_.SetInsertPoint(idle);
    ir_.CreateRetVoid();
    ir_.SetInsertPoint(work);
  }
  load_frame(identity);
  emit_statements(kernel_.setup);
  emit_work();
  if (nonfinite_ != nullptr) end_finite_check();
  ir_.CreateRetVoid();
}

llvm::Value* KernelEmitter::load_sum(const Stmt& stmt) {
  SMELT_CHECK(false, "%{} reads a sum of products outside of a product", stmt.value);
}

/// Here, at the start, pointers and sizes dominate every use.
void KernelEmitter::load_frame(const KernelIdentity& identity) {
  unsigned slot = kFrameBuffers;
  for (const int32_t b : identity.buffers) {
    const LoopBuffer& buffer = function_.buffers[static_cast<size_t>(b)];
    pointers_[b] = frame_slot(slot++, buffer.name, ir_.getPtrTy());
    if (buffer.check_finite && nonfinite_ == nullptr) begin_finite_check();
  }
  // No others: of graphs that are no one experiment (fuzz/) each has a table of sizes, and shares kernels.
  for (const int32_t symbol : identity.symbols) extent(Extent(0, symbol));
  const auto number_draws = [&](const std::vector<Stmt>& body) {
    for (const Stmt& stmt : body) {
      if (stmt.kind == StmtKind::Random) draw_slots_[stmt.value] = slot++;
    }
  };
  number_draws(kernel_.setup);
  for (const Sweep& sweep : kernel_.sweeps) {
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
  if (extent.scale != 1) return ir_.CreateMul(this->extent(Extent(extent.bound, extent.symbol)), i64(extent.scale));
  if (const auto known = extents_.find(extent.symbol); known != extents_.end()) return known->second;
  llvm::Value* table = frame_slot(kFrameExtents, "extents", ir_.getPtrTy());
  llvm::Value* at = ir_.CreateConstInBoundsGEP1_64(ir_.getInt64Ty(), table, static_cast<uint64_t>(extent.symbol));
  return extents_[extent.symbol] =
             ir_.CreateLoad(ir_.getInt64Ty(), at, function_.symbols[static_cast<size_t>(extent.symbol)].name);
}

std::pair<llvm::Value*, llvm::Value*> KernelEmitter::my_share(llvm::Value* total) {
  if (kernel_.serial) return {i64(0), total};
  llvm::Value* thread = ir_.CreateSExt(thread_, ir_.getInt64Ty());
  llvm::Value* count = ir_.CreateSExt(count_, ir_.getInt64Ty());
  llvm::Value* begin = ir_.CreateSDiv(ir_.CreateMul(total, thread), count);
  llvm::Value* end = ir_.CreateSDiv(ir_.CreateMul(total, ir_.CreateAdd(thread, i64(1))), count);
  return {begin, end};
}

void emit_kernel(const EmitContext& context, const Kernel& kernel, const KernelIdentity& identity,
                 const std::string& name) {
  switch (kernel.kind()) {
    case KernelKind::Nest: return NestEmitter(context, kernel).emit(identity, name);
    case KernelKind::Product: return ProductEmitter(context, kernel).emit(identity, name);
    case KernelKind::Pack: return PackEmitter(context, kernel).emit(identity, name);
  }
}

}  // namespace smelt
