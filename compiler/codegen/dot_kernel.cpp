#include "compiler/codegen/dot_kernel.h"

namespace smelt {

DotKernelEmitter::DotKernelEmitter(llvm::Module& module, const Target& target, int64_t lanes, const DotKernelForm& form)
    : InnerKernelEmitter(module, target, lanes, form.dtype), form_(form) {}

llvm::FunctionType* DotKernelEmitter::type(llvm::LLVMContext& context) {
  return InnerKernelEmitter::type(context, kNumArguments);
}

void DotKernelEmitter::emit() {
  begin(form_.name(), type(context_));
  a_ = argument(kA);
  b_ = argument(kB);
  const Values start(static_cast<size_t>(form_.rows * form_.columns), llvm::Constant::getNullValue(vector_));
  const Values finished = form_.turns ? emit_turns(start) : emit_depth(start);
  for (int64_t r = 0; r < form_.rows; ++r) {
    const auto first = finished.begin() + r * form_.columns;
    llvm::Value* row = add_across_lanes({first, first + form_.columns});
    ir_.CreateAlignedStore(row, at(argument(kSums), form_.dtype, kSumsStride, r, i64(0)), align_);
  }
  ir_.CreateRetVoid();
}

/// At least one turn; the sums stay in registers between them.
DotKernelEmitter::Values DotKernelEmitter::emit_turns(const Values& start) {
  llvm::BasicBlock *before = ir_.GetInsertBlock(), *head = block("turn"), *done = block("done");
  ir_.CreateBr(head);
  ir_.SetInsertPoint(head);
  const auto phi = [&](llvm::Value* initial) {
    llvm::PHINode* node = ir_.CreatePHI(initial->getType(), 2);
    node->addIncoming(initial, before);
    return node;
  };
  llvm::PHINode *turn = phi(i64(0)), *a = phi(argument(kA)), *b = phi(argument(kB));
  std::vector<llvm::PHINode*> phis;
  for (llvm::Value* sum : start) phis.push_back(phi(sum));
  a_ = a;
  b_ = b;
  const Values sums = emit_depth({phis.begin(), phis.end()});
  llvm::BasicBlock* here = ir_.GetInsertBlock();
  llvm::Value* next = ir_.CreateAdd(turn, i64(1), "", true, true);
  turn->addIncoming(next, here);
  a->addIncoming(ir_.CreateInBoundsGEP(scalars_.element_type(form_.left), a, argument(kATurn)), here);
  b->addIncoming(ir_.CreateInBoundsGEP(scalars_.element_type(form_.right), b, argument(kBTurn)), here);
  for (size_t s = 0; s < phis.size(); ++s) phis[s]->addIncoming(sums[s], here);
  ir_.CreateCondBr(ir_.CreateICmpSLT(next, argument(kTurns)), head, done);
  ir_.SetInsertPoint(done);
  return sums;
}

DotKernelEmitter::Values DotKernelEmitter::emit_depth(const Values& start) {
  llvm::BasicBlock *entry = ir_.GetInsertBlock(), *head = block("head"), *step = block("step"), *rest = block("rest");
  llvm::Value* whole = ir_.CreateAnd(argument(kDepth), i64(-lanes_));
  ir_.CreateBr(head);

  ir_.SetInsertPoint(head);
  llvm::PHINode* k = ir_.CreatePHI(ir_.getInt64Ty(), 2);
  k->addIncoming(i64(0), entry);
  std::vector<llvm::PHINode*> phis;
  for (llvm::Value* sum : start) {
    phis.push_back(ir_.CreatePHI(vector_, 2));
    phis.back()->addIncoming(sum, entry);
  }
  const Values sums(phis.begin(), phis.end());
  ir_.CreateCondBr(ir_.CreateICmpSLT(k, whole), step, rest);
  ir_.SetInsertPoint(step);
  const Values next = emit_step(k, nullptr, sums);
  k->addIncoming(ir_.CreateAdd(k, i64(lanes_), "", true, true), step);
  for (size_t s = 0; s < phis.size(); ++s) phis[s]->addIncoming(next[s], step);
  ir_.CreateBr(head);

  // What is left of the depth, perhaps nothing.
  ir_.SetInsertPoint(rest);
  return emit_step(whole, mask_below(ir_.CreateSub(argument(kDepth), whole)), sums);
}

llvm::Value* DotKernelEmitter::at(llvm::Value* base, DType dtype, Argument stride, int64_t count, llvm::Value* offset) {
  llvm::Value* element =
      ir_.CreateNSWAdd(ir_.CreateNSWMul(argument(stride), i64(count)), offset);  // rows may pass backwards
  return ir_.CreateInBoundsGEP(scalars_.element_type(dtype), base, element);
}

DotKernelEmitter::Values DotKernelEmitter::emit_step(llvm::Value* k, llvm::Value* mask, const Values& sums) {
  Values rows, next(sums.size());
  for (int64_t r = 0; r < form_.rows; ++r) rows.push_back(load(at(a_, form_.left, kRowStride, r, k), form_.left, mask));
  for (int64_t c = 0; c < form_.columns; ++c) {
    llvm::Value* column = load(at(b_, form_.right, kColumnStride, c, k), form_.right, mask);
    for (int64_t r = 0; r < form_.rows; ++r) {
      const auto s = static_cast<size_t>(r * form_.columns + c);
      next[s] = multiply_add(rows[static_cast<size_t>(r)], column, sums[s]);
    }
  }
  return next;
}

/// Lane i of the result is the sum of vector i's lanes. Each turn adds two halves: where bit `half` of the lane is set
/// it keeps the second of a pair of vectors.
llvm::Value* DotKernelEmitter::add_across_lanes(Values vectors) {
  vectors.resize(static_cast<size_t>(lanes_), llvm::Constant::getNullValue(vector_));
  for (int64_t half = lanes_ / 2; half >= 1; half /= 2) {
    std::vector<int> own, other;
    for (int64_t lane = 0; lane < lanes_; ++lane) {
      const int64_t side = (lane & half) != 0 ? lanes_ : 0;
      own.push_back(static_cast<int>(side + lane));
      other.push_back(static_cast<int>(side + (lane ^ half)));
    }
    const auto pairs = static_cast<size_t>(half);
    Values next;
    for (size_t i = 0; i < pairs; ++i) {
      llvm::Value *x = vectors[i], *y = vectors[i + pairs];
      next.push_back(ir_.CreateFAdd(ir_.CreateShuffleVector(x, y, own), ir_.CreateShuffleVector(x, y, other)));
    }
    vectors = std::move(next);
  }
  return vectors[0];
}

}  // namespace smelt
