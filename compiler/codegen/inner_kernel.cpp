#include "compiler/codegen/inner_kernel.h"

namespace smelt {

constexpr unsigned kNumPointers = 3;  // the first arguments: a, b, sums

InnerKernelEmitter::InnerKernelEmitter(llvm::Module& module, const Target& target, int64_t lanes, DType dtype)
    : LaneBuilder(module, target, lanes),
      dtype_(dtype),
      element_(scalars_.element_type(dtype)),
      vector_(llvm::FixedVectorType::get(element_, static_cast<unsigned>(lanes_))),
      align_(static_cast<uint64_t>(size_of(dtype))) {}

llvm::FunctionType* InnerKernelEmitter::type(llvm::LLVMContext& context, size_t num_arguments) {
  std::vector<llvm::Type*> arguments(num_arguments, llvm::Type::getInt64Ty(context));
  for (unsigned i = 0; i < kNumPointers; ++i) arguments[i] = llvm::PointerType::getUnqual(context);
  return llvm::FunctionType::get(llvm::Type::getVoidTy(context), arguments, false);
}

void InnerKernelEmitter::begin(const std::string& name, llvm::FunctionType* type) {
  begin_function(name, type);
  for (unsigned i = 0; i < kNumPointers; ++i) llvm_function_->addParamAttr(i, llvm::Attribute::NoAlias);
}

llvm::Value* InnerKernelEmitter::load(llvm::Value* from, DType stored, llvm::Value* mask) {
  auto* type = llvm::FixedVectorType::get(scalars_.element_type(stored), static_cast<unsigned>(lanes_));
  const llvm::Align align(static_cast<uint64_t>(size_of(stored)));
  llvm::Value* loaded = mask == nullptr
                            ? static_cast<llvm::Value*>(ir_.CreateAlignedLoad(type, from, align))
                            : ir_.CreateMaskedLoad(type, from, align, mask, llvm::Constant::getNullValue(type));
  return LlvmScalars::value(scalars_.cast(dtype_, LlvmScalars::wrap(loaded, stored)));
}

llvm::Value* InnerKernelEmitter::multiply_add(llvm::Value* a, llvm::Value* b, llvm::Value* sum) {
  const auto wrap = [&](llvm::Value* value) { return LlvmScalars::wrap(value, dtype_); };
  return LlvmScalars::value(scalars_.fma(wrap(a), wrap(b), wrap(sum)));
}

}  // namespace smelt
