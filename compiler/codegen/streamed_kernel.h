// The inner kernel of products of few rows: all of b passes by once, a few steps of the depth at a time, and the sums
// of a whole line of columns lie in the first-level cache between them.
#pragma once

#include <cstdint>
#include <vector>

#include "compiler/codegen/inner_kernel.h"
#include "compiler/codegen/inner_kernel_forms.h"

namespace smelt {

/// void streamed(ptr a, ptr b, ptr sums, i64 depth, i64 columns, i64 row_stride, i64 a_step, i64 b_step, i64 turns,
/// i64 a_turn, i64 b_turn, i64 sums_stride):
/// sums[r * sums_stride + c] (+)= sum over t < turns, k < depth of
///   a[r * row_stride + t * a_turn + k * a_step] * b[t * b_turn + k * b_step + c], for c < columns.
/// A sum takes its terms in the order of the depth, as a micro-kernel's does. Whole vectors of sums are written.
class StreamedKernelEmitter : InnerKernelEmitter {
 public:
  StreamedKernelEmitter(llvm::Module& module, const Target& target, int64_t lanes, const StreamedKernelForm& form);
  void emit();
  static llvm::FunctionType* type(llvm::LLVMContext& context);

 private:
  using Values = std::vector<llvm::Value*>;

  void clear_sums();
  /// All columns at `steps` steps of the depth from `a` and `b` on.
  void emit_line(llvm::Value* a, llvm::Value* b, int64_t steps);
  void emit_columns(const Values& left, llvm::Value* b, llvm::Value* column, int64_t vectors, llvm::Value* mask);
  llvm::Value* argument(ColumnKernelArgument index) { return llvm_function_->getArg(index); }
  /// Strides may be negative, where taps pass backwards.
  llvm::Value* times(ColumnKernelArgument stride, llvm::Value* count) {
    return ir_.CreateNSWMul(argument(stride), count);
  }
  llvm::Value* sum_pointer(int64_t row, llvm::Value* column);

  const StreamedKernelForm form_;
};

}  // namespace smelt
