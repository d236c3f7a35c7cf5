#include "compiler/codegen/philox_function.h"

#include <fmt/format.h>
#include <llvm/IR/IRBuilder.h>

#include <algorithm>

#include "ir/philox.h"

namespace smelt {
namespace {

llvm::FunctionType* type_of(llvm::Type* lanes) {
  llvm::LLVMContext& context = lanes->getContext();
  llvm::Type *i32 = llvm::Type::getInt32Ty(context), *i64 = llvm::Type::getInt64Ty(context);
  return llvm::FunctionType::get(llvm::StructType::get(context, {lanes, lanes}),
                                 {lanes, i64, i32, i64}, false);
}

void define(llvm::Module& module, const std::string& name, unsigned num_lanes) {
  llvm::IRBuilder<> ir(module.getContext());
  llvm::Type* type = ir.getInt32Ty();
  if (num_lanes > 1) type = llvm::FixedVectorType::get(type, num_lanes);
  llvm::Function* function = new_function(module, name, type_of(type));
  ir.SetInsertPoint(llvm::BasicBlock::Create(module.getContext(), "entry", function));
  const auto each = [&](llvm::Value* word) { return num_lanes > 1 ? ir.CreateVectorSplat(num_lanes, word) : word; };
  const auto number = [&](uint64_t value) -> llvm::Value* { return llvm::ConstantInt::get(type, value); };
  llvm::Type* wide = type->getWithNewBitWidth(64);
  llvm::Value *element = function->getArg(0), *seed = function->getArg(1);
  const auto low = [&](llvm::Value* bits) { return each(ir.CreateTrunc(bits, ir.getInt32Ty())); };
  const auto high = [&](llvm::Value* bits) { return each(ir.CreateTrunc(ir.CreateLShr(bits, 32), ir.getInt32Ty())); };
  llvm::Value *run = function->getArg(2), *site = function->getArg(3);
  llvm::Value* key[2] = {low(seed), high(seed)};
  llvm::Value* c[4] = {ir.CreateLShr(element, 2), high(site), each(run), low(site)};
  for (int round = 0; round < kPhiloxRounds; ++round) {
    llvm::Value* p0 = ir.CreateMul(ir.CreateZExt(c[0], wide), llvm::ConstantInt::get(wide, kPhiloxM0));
    llvm::Value* p1 = ir.CreateMul(ir.CreateZExt(c[2], wide), llvm::ConstantInt::get(wide, kPhiloxM1));
    const auto high_half = [&](llvm::Value* p) { return ir.CreateTrunc(ir.CreateLShr(p, 32), type); };
    llvm::Value* next[4] = {ir.CreateXor(ir.CreateXor(high_half(p1), c[1]), key[0]), ir.CreateTrunc(p1, type),
                            ir.CreateXor(ir.CreateXor(high_half(p0), c[3]), key[1]), ir.CreateTrunc(p0, type)};
    std::copy(next, next + 4, c);
    key[0] = ir.CreateAdd(key[0], number(kPhiloxW0));
    key[1] = ir.CreateAdd(key[1], number(kPhiloxW1));
  }
  llvm::Value* second_pair = ir.CreateTrunc(ir.CreateLShr(element, 1), type->getWithNewBitWidth(1));
  llvm::Value* words = llvm::PoisonValue::get(function->getReturnType());
  words = ir.CreateInsertValue(words, ir.CreateSelect(second_pair, c[2], c[0]), 0);
  words = ir.CreateInsertValue(words, ir.CreateSelect(second_pair, c[3], c[1]), 1);
  ir.CreateRet(words);
}

}  // namespace

llvm::Function* philox_function(llvm::Module& module, SharedFunctions& shared, llvm::Type* lanes) {
  const auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(lanes);
  const unsigned num_lanes = vector != nullptr ? vector->getNumElements() : 1;
  const std::string name = fmt::format("philox_{}", num_lanes);
  return shared.declare(module, name, type_of(lanes),
                        [name, num_lanes](llvm::Module& other) { define(other, name, num_lanes); });
}

}  // namespace smelt
