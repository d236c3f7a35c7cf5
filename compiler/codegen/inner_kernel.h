// What the emitters of inner kernels share: one function each, vectors of one element type.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "compiler/codegen/lane_builder.h"

namespace smelt {

/// Of the kernels that add rows of a times columns of b, vectors along the columns: micro-kernels and streamed ones.
/// All but the pointers are i64.
enum ColumnKernelArgument : unsigned {
  kA,
  kB,
  kSums,
  kDepth,
  kColumns,
  kRowStride,
  kAStep,
  kBStep,
  kTurns,
  kATurn,
  kBTurn,
  kSumsStride,
  kNumColumnKernelArguments
};

class InnerKernelEmitter : protected LaneBuilder {
 protected:
  InnerKernelEmitter(llvm::Module& module, const Target& target, int64_t lanes, DType dtype);

  /// void (ptr a, ptr b, ptr sums, i64 ..), `num_arguments` in all.
  static llvm::FunctionType* type(llvm::LLVMContext& context, size_t num_arguments);
  /// The function, whose three operands do not overlap; the builder stands in its first block.
  void begin(const std::string& name, llvm::FunctionType* type);

  llvm::BasicBlock* block(const char* name) { return llvm::BasicBlock::Create(context_, name, llvm_function_); }
  /// A vector of `stored` elements at `from`, as the kernel's type; lanes outside of `mask` are 0; null: all lanes.
  llvm::Value* load(llvm::Value* from, DType stored, llvm::Value* mask);
  llvm::Value* multiply_add(llvm::Value* a, llvm::Value* b, llvm::Value* sum);

  const DType dtype_;
  llvm::Type *element_, *vector_;
  llvm::Align align_;
};

}  // namespace smelt
