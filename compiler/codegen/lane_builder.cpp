#include "compiler/codegen/lane_builder.h"

#include "compiler/codegen/shared_functions.h"
#include "runtime/abi.h"

namespace smelt {

LaneBuilder::LaneBuilder(llvm::Module& module, const Target& target, int64_t lanes)
    : module_(module), context_(module.getContext()), lanes_(lanes), ir_(context_), scalars_(ir_, target.has_fma) {}

void LaneBuilder::begin_function(const std::string& name, llvm::FunctionType* type) {
  llvm_function_ = new_function(module_, name, type);
  ir_.SetInsertPoint(llvm::BasicBlock::Create(context_, "entry", llvm_function_));
}

llvm::Type* LaneBuilder::memory_type(DType dtype) {
  return dtype == DType::Bool ? ir_.getInt8Ty() : scalars_.element_type(dtype);
}

llvm::Value* LaneBuilder::element_pointer(llvm::Value* base, DType dtype, llvm::Value* element) {
  return ir_.CreateInBoundsGEP(memory_type(dtype), base, element);
}

llvm::Value* LaneBuilder::from_memory(llvm::Value* loaded, DType dtype) {
  if (dtype != DType::Bool) return loaded;
  return ir_.CreateICmpNE(loaded, llvm::Constant::getNullValue(loaded->getType()));
}

llvm::Value* LaneBuilder::to_memory(llvm::Value* value, DType dtype) {
  if (dtype != DType::Bool) return value;
  llvm::Type* byte = ir_.getInt8Ty();
  if (const auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(value->getType())) {
    byte = llvm::FixedVectorType::get(byte, vector->getNumElements());
  }
  return ir_.CreateZExt(value, byte);
}

// In the entry block, so that every alloca becomes a register or one fixed stack slot.
llvm::AllocaInst* LaneBuilder::stack(llvm::Type* type, int64_t count, const char* name) {
  llvm::BasicBlock& entry = llvm_function_->getEntryBlock();
  llvm::IRBuilder<> at(&entry, entry.begin());
  llvm::AllocaInst* slot = at.CreateAlloca(type, at.getInt32(static_cast<uint32_t>(count)), name);
  slot->setAlignment(llvm::Align(SMELT_ARENA_ALIGNMENT));
  return slot;
}

llvm::Value* LaneBuilder::lane_numbers(llvm::Type* element) {
  std::vector<llvm::Constant*> lanes;
  for (int64_t lane = 0; lane < lanes_; ++lane)
    lanes.push_back(llvm::ConstantInt::get(element, static_cast<uint64_t>(lane)));
  return llvm::ConstantVector::get(lanes);
}

llvm::Value* LaneBuilder::mask_below(llvm::Value* limit) {
  // 32-bit lanes compare in one instruction; a limit above the lanes means all of them.
  llvm::Value* capped = ir_.CreateSelect(ir_.CreateICmpSLT(limit, i64(lanes_)), limit, i64(lanes_));
  llvm::Value* narrow = ir_.CreateTrunc(capped, ir_.getInt32Ty());
  return ir_.CreateICmpSLT(lane_numbers(ir_.getInt32Ty()), scalars_.splat(narrow, lanes_));
}

void LaneBuilder::for_range(llvm::Value* begin, llvm::Value* end, int64_t step,
                            const std::function<void(llvm::Value*)>& body) {
  auto* head = llvm::BasicBlock::Create(context_, "loop", llvm_function_);
  auto* inside = llvm::BasicBlock::Create(context_, "body", llvm_function_);
  auto* after = llvm::BasicBlock::Create(context_, "after", llvm_function_);
  llvm::BasicBlock* before = ir_.GetInsertBlock();
  ir_.CreateBr(head);
  ir_.SetInsertPoint(head);
  llvm::PHINode* i = ir_.CreatePHI(ir_.getInt64Ty(), 2);
  i->addIncoming(begin, before);
  ir_.CreateCondBr(ir_.CreateICmpSLT(i, end), inside, after);
  ir_.SetInsertPoint(inside);
  body(i);
  i->addIncoming(ir_.CreateAdd(i, i64(step), "", true, true), ir_.GetInsertBlock());
  ir_.CreateBr(head);
  ir_.SetInsertPoint(after);
}

void LaneBuilder::if_then(llvm::Value* condition, const Body& body) {
  if_else(condition, body, [] {});
}

void LaneBuilder::if_else(llvm::Value* condition, const Body& yes, const Body& no) {
  if (const auto* known = llvm::dyn_cast<llvm::ConstantInt>(condition)) {
    (known->isOne() ? yes : no)();
    return;
  }
  auto* then_block = llvm::BasicBlock::Create(context_, "then", llvm_function_);
  auto* else_block = llvm::BasicBlock::Create(context_, "else", llvm_function_);
  auto* after = llvm::BasicBlock::Create(context_, "joined", llvm_function_);
  ir_.CreateCondBr(condition, then_block, else_block);
  ir_.SetInsertPoint(then_block);
  yes();
  ir_.CreateBr(after);
  ir_.SetInsertPoint(else_block);
  no();
  ir_.CreateBr(after);
  ir_.SetInsertPoint(after);
}

llvm::Value* LaneBuilder::smaller(llvm::Value* a, llvm::Value* b) {
  return ir_.CreateSelect(ir_.CreateICmpSLT(a, b), a, b);
}

llvm::Value* LaneBuilder::at_most(int64_t limit, llvm::Value* left) { return smaller(left, i64(limit)); }

/// unit = ((p0 * e1 + p1) * e2 + p2) ...
std::vector<llvm::Value*> LaneBuilder::decompose(llvm::Value* unit, const std::vector<llvm::Value*>& extents) {
  std::vector<llvm::Value*> position(extents.size());
  for (size_t axis = extents.size(); axis-- > 0;) {
    position[axis] = axis == 0 ? unit : ir_.CreateURem(unit, extents[axis]);
    if (axis > 0) unit = ir_.CreateUDiv(unit, extents[axis]);
  }
  return position;
}

/// What was loaded from an operand of dtype `from`, as `to`.
llvm::Value* LaneBuilder::converted(llvm::Value* loaded, DType from, DType to) {
  return LlvmScalars::value(scalars_.cast(to, LlvmScalars::wrap(loaded, from)));
}

void LaneBuilder::prefetch(llvm::Value* at, Prefetch why) {
  llvm::Value *writes = ir_.getInt32(why == Prefetch::ForWriting ? 1 : 0), *second_level = ir_.getInt32(2),
              *data = ir_.getInt32(1);
  ir_.CreateIntrinsic(llvm::Intrinsic::prefetch, {at->getType()}, {at, writes, second_level, data});
}

/// Whole vectors, masked where the columns end.
void LaneBuilder::copy_columns_side_by_side(const PanelCopy& p) {
  llvm::Type* vector = llvm::FixedVectorType::get(scalars_.element_type(p.from), static_cast<unsigned>(lanes_));
  const llvm::Align from_align(static_cast<uint64_t>(size_of(p.from))), align(static_cast<uint64_t>(size_of(p.to)));
  std::vector<llvm::Value*> masks;
  for (int64_t c = 0; c < p.width; c += lanes_) masks.push_back(mask_below(ir_.CreateSub(p.columns, i64(c))));
  for_range(i64(0), p.depth, 1, [&](llvm::Value* k) {
    llvm::Value* row = element_pointer(p.source, p.from, ir_.CreateMul(k, i64(p.depth_stride)));
    llvm::Value* to = element_pointer(p.panel, p.to, ir_.CreateMul(k, i64(p.width)));
    for (size_t v = 0; v < masks.size(); ++v) {
      llvm::Value* offset = i64(static_cast<int64_t>(v) * lanes_);
      llvm::Value* loaded = ir_.CreateMaskedLoad(vector, element_pointer(row, p.from, offset), from_align, masks[v],
                                                 llvm::Constant::getNullValue(vector));
      ir_.CreateAlignedStore(converted(loaded, p.from, p.to), element_pointer(to, p.to, offset), align);
    }
  });
}

std::vector<llvm::Value*> LaneBuilder::load_square(const SquareSource& source, llvm::Value* first) {
  llvm::Type* vector = llvm::FixedVectorType::get(scalars_.element_type(source.from), static_cast<unsigned>(lanes_));
  llvm::Value* zero = llvm::Constant::getNullValue(vector);
  const llvm::Align align(static_cast<uint64_t>(size_of(source.from)));
  std::vector<llvm::Value*> lines;
  for (int64_t i = 0; i < lanes_; ++i) {
    llvm::Value* line = ir_.CreateAdd(first, i64(i));
    llvm::Value* exists = ir_.CreateICmpSLT(line, source.end);
    llvm::Value* at = source.at(ir_.CreateSelect(exists, line, i64(0)));
    llvm::Value* loaded = ir_.CreateMaskedLoad(vector, at, align, source.mask, zero);
    lines.push_back(converted(ir_.CreateSelect(exists, loaded, zero), source.from, source.to));
  }
  return transposed(std::move(lines));
}

/// A square of lanes x lanes by interleaving rows i and i + lanes/2, log2(lanes) times: each turn moves the top bit of
/// the row number to the bottom of the column number and the top bit of the column number to the bottom of the row's.
std::vector<llvm::Value*> LaneBuilder::transposed(std::vector<llvm::Value*> rows) {
  const auto n = static_cast<size_t>(lanes_);
  std::vector<int> low, high;
  for (size_t i = 0; i < n / 2; ++i) {
    for (const size_t from : {i, i + n}) low.push_back(static_cast<int>(from));
    for (const size_t from : {i + n / 2, i + n + n / 2}) high.push_back(static_cast<int>(from));
  }
  for (size_t bits = n; bits > 1; bits /= 2) {
    std::vector<llvm::Value*> next(n);
    for (size_t i = 0; i < n / 2; ++i) {
      next[2 * i] = ir_.CreateShuffleVector(rows[i], rows[i + n / 2], low);
      next[2 * i + 1] = ir_.CreateShuffleVector(rows[i], rows[i + n / 2], high);
    }
    rows = std::move(next);
  }
  return rows;
}

}  // namespace smelt
