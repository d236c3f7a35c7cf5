#include "compiler/codegen/philox_function.h"

#include <fmt/format.h>
#include <llvm/IR/IRBuilder.h>

#include <array>
#include <string>
#include <vector>

#include "ir/philox.h"
#include "ir/support/fault.h"

namespace smelt {
namespace {

constexpr unsigned kBlock = 4;  // words of a block

llvm::FunctionType* type_of(llvm::Type* element, llvm::Type* words) {
  llvm::LLVMContext& context = words->getContext();
  llvm::Type *i32 = llvm::Type::getInt32Ty(context), *i64 = llvm::Type::getInt64Ty(context);
  return llvm::FunctionType::get(llvm::StructType::get(context, {words, words}), {element, i64, i32, i64}, false);
}

llvm::Type* lanes_of(llvm::LLVMContext& context, unsigned num_lanes) {
  llvm::Type* i32 = llvm::Type::getInt32Ty(context);
  return num_lanes > 1 ? static_cast<llvm::Type*>(llvm::FixedVectorType::get(i32, num_lanes)) : i32;
}

/// Emits the rounds for a vector of blocks.
struct PhiloxEmitter {
  llvm::IRBuilder<> ir;
  llvm::Function* function;

  PhiloxEmitter(llvm::Module& module, const std::string& name, llvm::FunctionType* type)
      : ir(module.getContext()), function(new_function(module, name, type)) {
    ir.SetInsertPoint(llvm::BasicBlock::Create(module.getContext(), "entry", function));
  }

  std::array<llvm::Value*, kBlock> rounds(llvm::Value* block) {
    llvm::Type* type = block->getType();
    llvm::Type* wide = type->getWithNewBitWidth(64);
    const auto each = [&](llvm::Value* word) {
      const auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(type);
      return vector != nullptr ? ir.CreateVectorSplat(vector->getNumElements(), word) : word;
    };
    const auto number = [&](uint64_t value) -> llvm::Value* { return llvm::ConstantInt::get(type, value); };
    const auto low = [&](llvm::Value* bits) { return each(ir.CreateTrunc(bits, ir.getInt32Ty())); };
    const auto high = [&](llvm::Value* bits) { return each(ir.CreateTrunc(ir.CreateLShr(bits, 32), ir.getInt32Ty())); };
    llvm::Value *seed = function->getArg(1), *run = function->getArg(2), *site = function->getArg(3);
    std::array<llvm::Value*, 2> key = {low(seed), high(seed)};
    std::array<llvm::Value*, kBlock> c = {block, SMELT_FAULT(64, high(site), number(0)), each(run), low(site)};
    for (int round = 0; round < kPhiloxRounds; ++round) {
      llvm::Value* p0 = ir.CreateMul(ir.CreateZExt(c[0], wide), llvm::ConstantInt::get(wide, kPhiloxM0));
      llvm::Value* p1 = ir.CreateMul(ir.CreateZExt(c[2], wide), llvm::ConstantInt::get(wide, kPhiloxM1));
      const auto high_half = [&](llvm::Value* p) { return ir.CreateTrunc(ir.CreateLShr(p, 32), type); };
      c = {ir.CreateXor(ir.CreateXor(high_half(p1), c[1]), key[0]), ir.CreateTrunc(p1, type),
           ir.CreateXor(ir.CreateXor(high_half(p0), c[3]), key[1]), ir.CreateTrunc(p0, type)};
      key = {ir.CreateAdd(key[0], number(kPhiloxW0)), ir.CreateAdd(key[1], number(kPhiloxW1))};
    }
    return c;
  }

  void finish(llvm::Value* first, llvm::Value* second) {
    llvm::Value* words = ir.CreateInsertValue(llvm::PoisonValue::get(function->getReturnType()), first, 0);
    ir.CreateRet(ir.CreateInsertValue(words, second, 1));
  }
};

void define(llvm::Module& module, const std::string& name, unsigned num_lanes) {
  llvm::Type* lanes = lanes_of(module.getContext(), num_lanes);
  PhiloxEmitter emitter(module, name, type_of(lanes, lanes));
  llvm::IRBuilder<>& ir = emitter.ir;
  llvm::Value* element = emitter.function->getArg(0);
  const std::array c = emitter.rounds(ir.CreateLShr(element, 2));
  llvm::Value* second_pair = ir.CreateTrunc(ir.CreateLShr(element, 1), lanes->getWithNewBitWidth(1));
  emitter.finish(ir.CreateSelect(second_pair, c[SMELT_FAULT(63, 2, 0)], c[0]), ir.CreateSelect(second_pair, c[3], c[1]));
}

/// Two vectors of words, block by block: lane i of block b is word words[i] of the block.
void define_row(llvm::Module& module, const std::string& name, unsigned num_lanes) {
  llvm::LLVMContext& context = module.getContext();
  PhiloxEmitter emitter(module, name, type_of(llvm::Type::getInt32Ty(context), lanes_of(context, num_lanes)));
  llvm::IRBuilder<>& ir = emitter.ir;
  const unsigned blocks = num_lanes / kBlock;
  std::vector<llvm::Constant*> numbers;
  for (unsigned b = 0; b < blocks; ++b) numbers.push_back(ir.getInt32(kBlock * b));
  // Added before the shift: in front of a padded row the first element is negative, and a later one is element 0.
  llvm::Value* first = ir.CreateVectorSplat(blocks, emitter.function->getArg(0));
  const std::array c = emitter.rounds(ir.CreateLShr(ir.CreateAdd(first, llvm::ConstantVector::get(numbers)), 2));
  const auto spread = [&](llvm::Value* front, llvm::Value* back) {
    std::vector<int> order;
    for (unsigned b = 0; b < blocks; ++b) {
      for (const unsigned from : {b, b, blocks + b, blocks + b}) order.push_back(static_cast<int>(from));
    }
    return ir.CreateShuffleVector(front, back, order);
  };
  emitter.finish(spread(c[0], c[2]), spread(c[1], c[3]));
}

}  // namespace

llvm::Function* philox_function(llvm::Module& module, SharedFunctions& shared, llvm::Type* lanes) {
  const auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(lanes);
  const unsigned num_lanes = vector != nullptr ? vector->getNumElements() : 1;
  const std::string name = fmt::format("philox_{}", num_lanes);
  return shared.declare(module, name, type_of(lanes, lanes), [name, num_lanes](llvm::Module& other) { define(other, name, num_lanes); });
}

llvm::Function* philox_row_function(llvm::Module& module, SharedFunctions& shared, unsigned num_lanes) {
  const std::string name = fmt::format("philox_row_{}", num_lanes);
  llvm::LLVMContext& context = module.getContext();
  return shared.declare(module, name, type_of(llvm::Type::getInt32Ty(context), lanes_of(context, num_lanes)),
                        [name, num_lanes](llvm::Module& other) { define_row(other, name, num_lanes); });
}

}  // namespace smelt
