#include "compiler/codegen/philox_function.h"

#include <fmt/format.h>
#include <llvm/IR/IRBuilder.h>

#include <array>
#include <string>
#include <vector>

#include "ir/philox.h"

namespace smelt {
namespace {

constexpr unsigned kBlock = 4;  // words of a block

llvm::FunctionType* type_of(llvm::Type* lanes) {
  llvm::LLVMContext& context = lanes->getContext();
  llvm::Type *i32 = llvm::Type::getInt32Ty(context), *i64 = llvm::Type::getInt64Ty(context);
  return llvm::FunctionType::get(llvm::StructType::get(context, {lanes, lanes}), {lanes, i64, i32, i64}, false);
}

llvm::FunctionType* window_type(llvm::LLVMContext& context) {
  llvm::Type *i32 = llvm::Type::getInt32Ty(context), *i64 = llvm::Type::getInt64Ty(context);
  return llvm::FunctionType::get(llvm::Type::getVoidTy(context),
                                 {llvm::PointerType::get(context, 0), i32, i64, i32, i64}, false);
}

llvm::Type* lanes_of(llvm::LLVMContext& context, unsigned num_lanes) {
  llvm::Type* i32 = llvm::Type::getInt32Ty(context);
  return num_lanes > 1 ? static_cast<llvm::Type*>(llvm::FixedVectorType::get(i32, num_lanes)) : i32;
}

/// Emits the rounds for a block, or a vector of blocks.
class PhiloxEmitter {
 public:
  PhiloxEmitter(llvm::Module& module, const std::string& name, llvm::FunctionType* type)
      : ir(module.getContext()), function(new_function(module, name, type)) {
    ir.SetInsertPoint(llvm::BasicBlock::Create(module.getContext(), "entry", function));
  }

  std::array<llvm::Value*, kBlock> rounds(llvm::Value* block, llvm::Value* seed, llvm::Value* run, llvm::Value* site) {
    llvm::Type* type = block->getType();
    const auto each = [&](llvm::Value* word) {
      const auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(type);
      return vector != nullptr ? ir.CreateVectorSplat(vector->getNumElements(), word) : word;
    };
    const auto number = [&](uint64_t value) -> llvm::Value* { return llvm::ConstantInt::get(type, value); };
    const auto low = [&](llvm::Value* bits) { return each(ir.CreateTrunc(bits, ir.getInt32Ty())); };
    const auto high = [&](llvm::Value* bits) { return each(ir.CreateTrunc(ir.CreateLShr(bits, 32), ir.getInt32Ty())); };
    std::array<llvm::Value*, 2> key = {low(seed), high(seed)};
    std::array<llvm::Value*, kBlock> c = {block, high(site), each(run), low(site)};
    for (int round = 0; round < kPhiloxRounds; ++round) {
      const Wide p0 = product(c[0], kPhiloxM0), p1 = product(c[2], kPhiloxM1);
      c = {ir.CreateXor(ir.CreateXor(p1.high, c[1]), key[0]), p1.low, ir.CreateXor(ir.CreateXor(p0.high, c[3]), key[1]),
           p0.low};
      key = {ir.CreateAdd(key[0], number(kPhiloxW0)), ir.CreateAdd(key[1], number(kPhiloxW1))};
    }
    return c;
  }

  llvm::IRBuilder<> ir;
  llvm::Function* function;

 private:
  struct Wide {
    llvm::Value *high, *low;
  };

  /// Even and odd lanes apart: an instruction multiplies the lower halves of lanes of 64 bits.
  Wide product(llvm::Value* word, uint64_t factor) {
    llvm::Type* type = word->getType();
    const auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(type);
    const unsigned lanes = vector != nullptr ? vector->getNumElements() : 1;
    if (lanes % 2 != 0) {
      llvm::Type* wide = type->getWithNewBitWidth(64);
      llvm::Value* p = ir.CreateMul(ir.CreateZExt(word, wide), llvm::ConstantInt::get(wide, factor));
      return {ir.CreateTrunc(ir.CreateLShr(p, 32), type), ir.CreateTrunc(p, type)};
    }
    llvm::Type* pairs = llvm::FixedVectorType::get(ir.getInt64Ty(), lanes / 2);
    llvm::Value *both = ir.CreateBitCast(word, pairs), *times = llvm::ConstantInt::get(pairs, factor);
    llvm::Value* even = ir.CreateMul(ir.CreateAnd(both, llvm::ConstantInt::get(pairs, 0xFFFFFFFFu)), times);
    llvm::Value* odd = ir.CreateMul(ir.CreateLShr(both, 32), times);
    std::vector<int> highs, lows;
    for (unsigned lane = 0; lane < lanes; ++lane) {
      const unsigned half = lane - lane % 2 + (lane % 2 == 0 ? 0 : lanes);
      lows.push_back(static_cast<int>(half));
      highs.push_back(static_cast<int>(half + 1));
    }
    even = ir.CreateBitCast(even, type);
    odd = ir.CreateBitCast(odd, type);
    return {ir.CreateShuffleVector(even, odd, highs), ir.CreateShuffleVector(even, odd, lows)};
  }
};

void define(llvm::Module& module, const std::string& name, unsigned num_lanes) {
  llvm::Type* lanes = lanes_of(module.getContext(), num_lanes);
  PhiloxEmitter emitter(module, name, type_of(lanes));
  llvm::IRBuilder<>& ir = emitter.ir;
  llvm::Function* f = emitter.function;
  llvm::Value* element = f->getArg(0);
  const std::array c = emitter.rounds(ir.CreateLShr(element, 2), f->getArg(1), f->getArg(2), f->getArg(3));
  llvm::Value* second_pair = ir.CreateTrunc(ir.CreateLShr(element, 1), lanes->getWithNewBitWidth(1));
  llvm::Value* first = ir.CreateSelect(second_pair, c[2], c[0]);
  llvm::Value* words = ir.CreateInsertValue(llvm::PoisonValue::get(f->getReturnType()), first, 0);
  ir.CreateRet(ir.CreateInsertValue(words, ir.CreateSelect(second_pair, c[3], c[1]), 1));
}

/// As many blocks as a vector has lanes; element i of the window has the words of block i / 4.
void define_window(llvm::Module& module, const std::string& name, unsigned num_lanes) {
  llvm::LLVMContext& context = module.getContext();
  PhiloxEmitter emitter(module, name, window_type(context));
  llvm::IRBuilder<>& ir = emitter.ir;
  llvm::Function* f = emitter.function;
  std::vector<llvm::Constant*> numbers;
  for (unsigned b = 0; b < num_lanes; ++b) numbers.push_back(ir.getInt32(kBlock * b));
  // Added before the shift: in front of a padded row the first element is negative, and a later one is element 0.
  llvm::Value* first = ir.CreateVectorSplat(num_lanes, f->getArg(1));
  const std::array c = emitter.rounds(ir.CreateLShr(ir.CreateAdd(first, llvm::ConstantVector::get(numbers)), 2),
                                      f->getArg(2), f->getArg(3), f->getArg(4));
  const auto store = [&](unsigned at, llvm::Value* front, llvm::Value* back) {
    for (unsigned part = 0; part < kBlock; ++part) {
      std::vector<int> order;
      for (unsigned lane = 0; lane < num_lanes; ++lane) {
        const unsigned element = part * num_lanes + lane;
        order.push_back(static_cast<int>(element / kBlock + (element % kBlock < 2 ? 0 : num_lanes)));
      }
      llvm::Value* to = ir.CreateConstInBoundsGEP1_64(ir.getInt32Ty(), f->getArg(0), at + part * num_lanes);
      ir.CreateAlignedStore(ir.CreateShuffleVector(front, back, order), to, llvm::Align(4));
    }
  };
  store(0, c[0], c[2]);
  store(kBlock * num_lanes, c[1], c[3]);
  ir.CreateRetVoid();
}

}  // namespace

llvm::Function* philox_function(llvm::Module& module, SharedFunctions& shared, llvm::Type* lanes) {
  const auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(lanes);
  const unsigned num_lanes = vector != nullptr ? vector->getNumElements() : 1;
  const std::string name = fmt::format("philox_{}", num_lanes);
  return shared.declare(module, name, type_of(lanes),
                        [name, num_lanes](llvm::Module& other) { define(other, name, num_lanes); });
}

llvm::Function* philox_window_function(llvm::Module& module, SharedFunctions& shared, unsigned num_lanes) {
  const std::string name = fmt::format("philox_window_{}", num_lanes);
  return shared.declare(module, name, window_type(module.getContext()),
                        [name, num_lanes](llvm::Module& other) { define_window(other, name, num_lanes); });
}

}  // namespace smelt
