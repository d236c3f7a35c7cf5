#include "compiler/codegen/streamed_kernel.h"

#include "compiler/schedule/streamed_line.h"

namespace smelt {

StreamedKernelEmitter::StreamedKernelEmitter(llvm::Module& module, const Target& target, int64_t lanes,
                                             const StreamedKernelForm& form)
    : InnerKernelEmitter(module, target, lanes, form.dtype), form_(form) {}

llvm::FunctionType* StreamedKernelEmitter::type(llvm::LLVMContext& context) {
  return InnerKernelEmitter::type(context, kNumColumnKernelArguments);
}

void StreamedKernelEmitter::emit() {
  begin(form_.name(), type(context_));
  if (!form_.accumulate) clear_sums();
  llvm::Value* depth = argument(kDepth);
  llvm::Value* whole = ir_.CreateAnd(depth, i64(-kStreamedSteps));
  for_range(i64(0), argument(kTurns), 1, [&](llvm::Value* turn) {
    llvm::Value *a = times(kATurn, turn), *b = times(kBTurn, turn);
    const auto lines = [&](int64_t steps) {
      return [this, a, b, steps](llvm::Value* k) {
        emit_line(ir_.CreateAdd(a, times(kAStep, k)), ir_.CreateAdd(b, times(kBStep, k)), steps);
      };
    };
    for_range(i64(0), whole, kStreamedSteps, lines(kStreamedSteps));
    for_range(whole, depth, 1, lines(1));
  });
  ir_.CreateRetVoid();
}

llvm::Value* StreamedKernelEmitter::sum_pointer(int64_t row, llvm::Value* column) {
  return ir_.CreateInBoundsGEP(element_, argument(kSums), ir_.CreateAdd(times(kSumsStride, i64(row)), column));
}

void StreamedKernelEmitter::clear_sums() {
  for (int64_t r = 0; r < form_.rows; ++r) {
    for_range(i64(0), argument(kColumns), lanes_, [&](llvm::Value* c) {
      ir_.CreateAlignedStore(llvm::Constant::getNullValue(vector_), sum_pointer(r, c), align_);
    });
  }
}

void StreamedKernelEmitter::emit_line(llvm::Value* a, llvm::Value* b, int64_t steps) {
  Values left;  // by row and step
  for (int64_t r = 0; r < form_.rows; ++r) {
    for (int64_t step = 0; step < steps; ++step) {
      llvm::Value* at = ir_.CreateAdd(a, ir_.CreateAdd(times(kRowStride, i64(r)), times(kAStep, i64(step))));
      llvm::Value* loaded = ir_.CreateAlignedLoad(
          scalars_.element_type(form_.left), ir_.CreateInBoundsGEP(scalars_.element_type(form_.left), argument(kA), at),
          llvm::Align(static_cast<uint64_t>(size_of(form_.left))));
      left.push_back(scalars_.splat(
          LlvmScalars::value(scalars_.cast(form_.dtype, LlvmScalars::wrap(loaded, form_.left))), lanes_));
    }
  }
  const int64_t vectors = form_.vectors;
  llvm::Value* columns = argument(kColumns);
  llvm::Value* whole = ir_.CreateSub(columns, ir_.CreateURem(columns, i64(vectors * lanes_)));
  for_range(i64(0), whole, vectors * lanes_, [&](llvm::Value* c) { emit_columns(left, b, c, vectors, nullptr); });
  for_range(whole, columns, lanes_,
            [&](llvm::Value* c) { emit_columns(left, b, c, 1, mask_below(ir_.CreateSub(columns, c))); });
}

/// `left`: the elements of each row, by step.
void StreamedKernelEmitter::emit_columns(const Values& left, llvm::Value* b, llvm::Value* column, int64_t vectors,
                                         llvm::Value* mask) {
  const auto steps = static_cast<int64_t>(left.size()) / form_.rows;
  Values sums;  // by row and vector
  for (int64_t r = 0; r < form_.rows; ++r) {
    for (int64_t v = 0; v < vectors; ++v)
      sums.push_back(ir_.CreateAlignedLoad(vector_, sum_pointer(r, ir_.CreateAdd(column, i64(v * lanes_))), align_));
  }
  llvm::Type* stored = scalars_.element_type(form_.right);
  for (int64_t step = 0; step < steps; ++step) {
    llvm::Value* line =
        ir_.CreateInBoundsGEP(stored, argument(kB), ir_.CreateAdd(ir_.CreateAdd(b, times(kBStep, i64(step))), column));
    for (int64_t v = 0; v < vectors; ++v) {
      llvm::Value* at = ir_.CreateInBoundsGEP(stored, line, i64(v * lanes_));
      llvm::Value* right = load(at, form_.right, mask);
      for (int64_t r = 0; r < form_.rows; ++r) {
        llvm::Value*& sum = sums[static_cast<size_t>(r * vectors + v)];
        sum = multiply_add(left[static_cast<size_t>(r * steps + step)], right, sum);
      }
    }
  }
  for (int64_t r = 0; r < form_.rows; ++r) {
    for (int64_t v = 0; v < vectors; ++v)
      ir_.CreateAlignedStore(sums[static_cast<size_t>(r * vectors + v)],
                             sum_pointer(r, ir_.CreateAdd(column, i64(v * lanes_))), align_);
  }
}

}  // namespace smelt
