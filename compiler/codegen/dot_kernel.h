// The inner kernel of narrow products: dot products of a few rows with all columns, vectors along the depth.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "compiler/codegen/inner_kernel.h"
#include "compiler/codegen/inner_kernel_forms.h"

namespace smelt {

/// void dot(ptr a, ptr b, ptr sums, i64 depth, i64 row_stride, i64 column_stride, i64 sums_stride, i64 turns, i64
/// a_turn, i64 b_turn): sums[r * sums_stride + c] = sum over t < turns, k < depth of
///   a[r * row_stride + t * a_turn + k] * b[c * column_stride + t * b_turn + k]. A whole vector of sums is written for
/// each row.
class DotKernelEmitter : InnerKernelEmitter {
 public:
  DotKernelEmitter(llvm::Module& module, const Target& target, int64_t lanes, const DotKernelForm& form);
  void emit();
  static llvm::FunctionType* type(llvm::LLVMContext& context);

 private:
  enum Argument : unsigned {
    kA,
    kB,
    kSums,
    kDepth,
    kRowStride,
    kColumnStride,
    kSumsStride,
    kTurns,
    kATurn,
    kBTurn,
    kNumArguments
  };
  using Values = std::vector<llvm::Value*>;

  /// The sums after lanes k .. k + lanes; `mask`: those that exist, null: all.
  Values emit_step(llvm::Value* k, llvm::Value* mask, const Values& sums);
  Values emit_depth(const Values& start);
  Values emit_turns(const Values& start);
  llvm::Value* add_across_lanes(Values vectors);
  llvm::Value* argument(Argument index) { return llvm_function_->getArg(index); }
  llvm::Value* at(llvm::Value* base, DType dtype, Argument stride, int64_t count, llvm::Value* offset);

  const DotKernelForm form_;
  llvm::Value *a_ = nullptr, *b_ = nullptr;  // where the turn at hand begins
};

}  // namespace smelt
