// What the emitters of inner kernels share: one function each, vectors of one element type.
#pragma once

#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Module.h>

#include <cstdint>
#include <string>
#include <vector>

#include "compiler/codegen/llvm_scalars.h"
#include "compiler/schedule/target.h"

namespace smelt {

/// The part of a kernel's name that says which operands are stored in another type than `dtype`, that of its
/// arithmetic.
std::string operands(DType left, DType right, DType dtype);

class InnerKernelEmitter {
 protected:
  InnerKernelEmitter(llvm::Module& module, const Target& target, int64_t lanes, DType dtype);

  /// void (ptr a, ptr b, ptr sums, i64 ..), `num_arguments` in all.
  static llvm::FunctionType* type(llvm::LLVMContext& context, size_t num_arguments);
  /// The function, whose three operands do not overlap; the builder stands in its first block.
  void begin(const std::string& name, llvm::FunctionType* type);

  llvm::BasicBlock* block(const char* name) { return llvm::BasicBlock::Create(context_, name, function_); }
  llvm::Value* i64(int64_t value) { return ir_.getInt64(static_cast<uint64_t>(value)); }
  llvm::Value* mask_below(llvm::Value* limit);  // lane < limit
  /// A vector of `stored` elements at `from`, as the kernel's type; lanes outside of `mask` are 0; null: all lanes.
  llvm::Value* load(llvm::Value* from, DType stored, llvm::Value* mask);
  llvm::Value* multiply_add(llvm::Value* a, llvm::Value* b, llvm::Value* sum);

  llvm::Module& module_;
  llvm::LLVMContext& context_;
  const DType dtype_;
  const int64_t lanes_;
  llvm::IRBuilder<> ir_;
  LlvmScalars scalars_;
  llvm::Type *element_, *vector_;
  llvm::Align align_;
  llvm::Function* function_ = nullptr;
};

}  // namespace smelt
