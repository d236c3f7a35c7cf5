#include "compiler/codegen/micro_kernel.h"

#include <llvm/IR/IntrinsicsX86.h>

namespace smelt {

constexpr int64_t kUnrollDepth = 4;  // steps of the depth in one turn of the loop

MicroKernelEmitter::MicroKernelEmitter(llvm::Module& module, const Target& target, int64_t lanes,
                                       const MicroKernelForm& form)
    : InnerKernelEmitter(module, target, lanes, form.dtype), form_(form) {}

llvm::FunctionType* MicroKernelEmitter::type(llvm::LLVMContext& context) {
  return InnerKernelEmitter::type(context, kNumColumnKernelArguments);
}

void MicroKernelEmitter::emit() {
  begin(form_.name(), type(context_));
  set_offsets();
  set_masks();
  if (form_.fetch_results) fetch_results();
  const std::vector<llvm::Value*> start = initial_sums();
  const std::vector<llvm::Value*> sums =
      form_.turns ? emit_turns(start) : emit_depth(argument(kA), argument(kB), start);
  for (size_t s = 0; s < sums.size(); ++s) store_sum(s, sums[s]);
  ir_.CreateRetVoid();
}

void MicroKernelEmitter::store_sum(size_t sum, llvm::Value* value) {
  if (form_.add_last) value = ir_.CreateFAdd(ir_.CreateAlignedLoad(vector_, sum_pointer(sum), align_), value);
  llvm::Value* mask = form_.direct ? masks_[sum % masks_.size()] : nullptr;
  if (mask != nullptr)
    ir_.CreateMaskedStore(value, sum_pointer(sum), align_, mask);
  else
    ir_.CreateAlignedStore(value, sum_pointer(sum), align_);
}

llvm::PHINode* MicroKernelEmitter::phi(llvm::Value* initial, llvm::BasicBlock* from) {
  llvm::PHINode* node = ir_.CreatePHI(initial->getType(), 2);
  node->addIncoming(initial, from);
  return node;
}

/// At least one turn; the sums stay in registers between them.
std::vector<llvm::Value*> MicroKernelEmitter::emit_turns(const std::vector<llvm::Value*>& start) {
  llvm::BasicBlock *before = ir_.GetInsertBlock(), *head = block("next"), *done = block("done");
  ir_.CreateBr(head);
  ir_.SetInsertPoint(head);
  State turn = begin_state(before, i64(0), argument(kA), argument(kB), start);
  const std::vector<llvm::Value*> sums = emit_depth(turn.a, turn.b, {turn.sums.begin(), turn.sums.end()});
  llvm::BasicBlock* here = ir_.GetInsertBlock();
  llvm::Value* next = ir_.CreateAdd(turn.k, i64(1), "", true, true);
  turn.k->addIncoming(next, here);
  turn.a->addIncoming(moved(turn.a, argument(kATurn), form_.left), here);
  turn.b->addIncoming(moved(turn.b, argument(kBTurn), form_.right), here);
  for (size_t s = 0; s < sums.size(); ++s) turn.sums[s]->addIncoming(sums[s], here);
  ir_.CreateCondBr(ir_.CreateICmpSLT(next, argument(kTurns)), head, done);
  ir_.SetInsertPoint(done);
  return sums;
}

std::vector<llvm::Value*> MicroKernelEmitter::emit_depth(llvm::Value* a, llvm::Value* b,
                                                         const std::vector<llvm::Value*>& start) {
  llvm::BasicBlock *before = ir_.GetInsertBlock(), *head = block("unrolled"), *steps = block("steps");
  llvm::BasicBlock *rest_head = block("rest"), *rest_step = block("step"), *end = block("end");
  llvm::Value* depth = form_.pairs ? ir_.CreateLShr(argument(kDepth), i64(1)) : argument(kDepth);
  llvm::Value* unrolled_end = ir_.CreateAnd(depth, i64(-kUnrollDepth));
  ir_.CreateBr(head);

  ir_.SetInsertPoint(head);
  State state = begin_state(before, i64(0), a, b, start);
  ir_.CreateCondBr(ir_.CreateICmpSLT(state.k, unrolled_end), steps, rest_head);
  ir_.SetInsertPoint(steps);
  emit_steps(state, kUnrollDepth, head);

  ir_.SetInsertPoint(rest_head);
  State rest = begin_state(head, state.k, state.a, state.b, {state.sums.begin(), state.sums.end()});
  ir_.CreateCondBr(ir_.CreateICmpSLT(rest.k, depth), rest_step, end);
  ir_.SetInsertPoint(rest_step);
  emit_steps(rest, 1, rest_head);

  ir_.SetInsertPoint(end);
  if (form_.pairs) return emit_lone_step(rest, ir_.CreateTrunc(argument(kDepth), ir_.getInt1Ty()));
  return {rest.sums.begin(), rest.sums.end()};
}

void MicroKernelEmitter::set_offsets() {
  // Strides may be negative, where taps pass backwards.
  const auto times = [&](llvm::Value* stride, int64_t count) { return ir_.CreateNSWMul(stride, i64(count)); };
  llvm::Value* row_stride = form_.unit_rows && !form_.unit_steps ? i64(1)
                            : form_.row_stride != 0              ? i64(form_.row_stride)
                                                                 : argument(kRowStride);
  llvm::Value* a_step = form_.unit_steps ? i64(steps_at_once()) : argument(kAStep);
  for (int64_t r = 0; r < form_.rows; ++r) row_offsets_.push_back(times(row_stride, r));
  next_tile_ = times(row_stride, form_.rows);
  for (int64_t step = 0; step <= kUnrollDepth; ++step) {
    a_offsets_.push_back(times(a_step, step));
    b_offsets_.push_back(times(argument(kBStep), step));
  }
}

void MicroKernelEmitter::set_masks() {
  for (int64_t v = 0; v < form_.vectors; ++v) {
    const bool masked = form_.columns == MicroKernelForm::Columns::AllMasked ||
                        (form_.columns == MicroKernelForm::Columns::LastMasked && v + 1 == form_.vectors);
    masks_.push_back(masked ? mask_below(ir_.CreateSub(argument(kColumns), i64(v * lanes_))) : nullptr);
  }
}

llvm::Value* MicroKernelEmitter::sum_pointer(size_t sum) {
  const auto index = static_cast<int64_t>(sum);
  llvm::Value* row = moved(
      argument(kSums), ir_.CreateMul(argument(kSumsStride), i64(index / form_.vectors), "", true, true), form_.dtype);
  return ir_.CreateConstInBoundsGEP1_64(element_, row, static_cast<uint64_t>(index % form_.vectors * lanes_));
}

std::vector<llvm::Value*> MicroKernelEmitter::initial_sums() {
  std::vector<llvm::Value*> sums(static_cast<size_t>(form_.rows * form_.vectors),
                                 llvm::Constant::getNullValue(vector_));
  if (!form_.accumulate) return sums;
  for (size_t s = 0; s < sums.size(); ++s) sums[s] = ir_.CreateAlignedLoad(vector_, sum_pointer(s), align_);
  return sums;
}

MicroKernelEmitter::State MicroKernelEmitter::begin_state(llvm::BasicBlock* from, llvm::Value* k, llvm::Value* a,
                                                          llvm::Value* b, const std::vector<llvm::Value*>& sums) {
  State state{phi(k, from), phi(a, from), phi(b, from), {}};
  for (llvm::Value* sum : sums) state.sums.push_back(phi(sum, from));
  return state;
}

/// `steps` steps of the depth, then back to `next`.
void MicroKernelEmitter::emit_steps(State& state, int64_t steps, llvm::BasicBlock* next) {
  std::vector<llvm::Value*> sums(state.sums.begin(), state.sums.end());
  if (form_.fetch_rows && form_.unit_steps && steps > 1) fetch_next_tile(state.a);
  for (int64_t step = 0; step < steps; ++step) emit_step(state, static_cast<size_t>(step), sums);
  llvm::BasicBlock* here = ir_.GetInsertBlock();
  const auto by = static_cast<size_t>(steps);
  state.k->addIncoming(ir_.CreateAdd(state.k, i64(steps), "", true, true), here);
  state.a->addIncoming(moved(state.a, a_offsets_[by], form_.left), here);
  state.b->addIncoming(moved(state.b, b_offsets_[by], form_.right), here);
  for (size_t s = 0; s < sums.size(); ++s) state.sums[s]->addIncoming(sums[s], here);
  ir_.CreateBr(next);
}

/// The element in all lanes. A bf16 goes to both halves of each lane, as a broadcast of 16 bits does, and the lower
/// half is cleared: three instructions instead of a trip through a general register.
llvm::Value* MicroKernelEmitter::load_left(llvm::Value* at) {
  llvm::Value* loaded = ir_.CreateAlignedLoad(scalars_.element_type(form_.left), at,
                                              llvm::Align(static_cast<uint64_t>(size_of(form_.left))));
  if (form_.left != DType::BF16 || form_.dtype != DType::F32) {
    return scalars_.splat(LlvmScalars::value(scalars_.cast(form_.dtype, LlvmScalars::wrap(loaded, form_.left))),
                          lanes_);
  }
  auto* words = llvm::FixedVectorType::get(ir_.getInt32Ty(), static_cast<unsigned>(lanes_));
  llvm::Value* twice = ir_.CreateBitCast(scalars_.splat(loaded, 2 * lanes_), words);
  return ir_.CreateBitCast(ir_.CreateAnd(twice, llvm::ConstantInt::get(words, 0xFFFF0000u)), vector_);
}

llvm::VectorType* MicroKernelEmitter::pair_vector() {
  return llvm::FixedVectorType::get(ir_.getBFloatTy(), static_cast<unsigned>(2 * lanes_));
}

/// Two elements in all lanes; of a lone one the other is 0, as memory behind it is not the operand's.
llvm::Value* MicroKernelEmitter::load_left_pair(llvm::Value* at, bool lone) {
  llvm::Value* loaded = ir_.CreateAlignedLoad(lone ? ir_.getInt16Ty() : ir_.getInt32Ty(), at, llvm::Align(2));
  return ir_.CreateBitCast(scalars_.splat(ir_.CreateZExt(loaded, ir_.getInt32Ty()), lanes_), pair_vector());
}

/// The last step of an odd depth.
std::vector<llvm::Value*> MicroKernelEmitter::emit_lone_step(const State& state, llvm::Value* exists) {
  llvm::BasicBlock *before = ir_.GetInsertBlock(), *step = block("lone"), *after = block("even");
  ir_.CreateCondBr(exists, step, after);
  ir_.SetInsertPoint(step);
  std::vector<llvm::Value*> added(state.sums.begin(), state.sums.end());
  emit_step(state, 0, added, true);
  ir_.CreateBr(after);
  ir_.SetInsertPoint(after);
  std::vector<llvm::Value*> sums;
  for (size_t s = 0; s < added.size(); ++s) {
    llvm::PHINode* sum = phi(state.sums[s], before);
    sum->addIncoming(added[s], step);
    sums.push_back(sum);
  }
  return sums;
}

/// The line behind the tile's rows: the next tile begins in it.
void MicroKernelEmitter::fetch_next_rows(llvm::Value* step) {
  constexpr int64_t kLineBytes = 64;
  prefetch(moved(step, i64(kLineBytes / size_of(form_.left)), form_.left));
}

/// The same steps of the tile behind this one. Its rows lie too far apart for the machine to see what comes next: rows
/// that come from memory passed at 68 to 76 % of the peak, and do at 91 to 96 % (`products 25088,64,256 25088,128,256`,
/// one core of a Zen 4); rows in a cache pass as before. A line is asked for several times, which costs nothing.
void MicroKernelEmitter::fetch_next_tile(llvm::Value* a) {
  llvm::Value* next = moved(a, next_tile_, form_.left);
  for (llvm::Value* row : row_offsets_) prefetch(moved(next, row, form_.left));
}

/// Lines that will be written have arrived when the sums are ready: 77 and 90 % of the peak (`products 25088,256,64`,
/// one core of a Zen 4).
void MicroKernelEmitter::fetch_results() {
  for (size_t s = 0; s < static_cast<size_t>(form_.rows * form_.vectors); ++s)
    prefetch(sum_pointer(s), Prefetch::ForWriting);
}

/// One step: the columns' vectors are loaded once, and each row's element is broadcast against them.
void MicroKernelEmitter::emit_step(const State& state, size_t step, std::vector<llvm::Value*>& sums, bool lone) {
  std::vector<llvm::Value*> right;
  llvm::Value* b = moved(state.b, b_offsets_[step], form_.right);
  for (size_t v = 0; v < masks_.size(); ++v) {
    llvm::Value* at = moved(b, i64(static_cast<int64_t>(v) * lanes_ * steps_at_once()), form_.right);
    // Panels are whole, so that pairs need no mask.
    right.push_back(form_.pairs ? ir_.CreateAlignedLoad(pair_vector(), at, llvm::Align(2))
                                : load(at, form_.right, masks_[v]));
  }
  if (form_.fetch_rows && form_.unit_rows) fetch_next_rows(moved(state.a, a_offsets_[step], form_.left));
  for (size_t r = 0; r < row_offsets_.size(); ++r) {
    // Row, then step: with steps of 1 a row is one pointer and its steps are displacements.
    llvm::Value* first = form_.unit_steps ? row_offsets_[r] : a_offsets_[step];
    llvm::Value* second = form_.unit_steps ? a_offsets_[step] : row_offsets_[r];
    llvm::Value* from = moved(moved(state.a, first, form_.left), second, form_.left);
    llvm::Value* left = form_.pairs ? load_left_pair(from, lone) : load_left(from);
    for (size_t v = 0; v < right.size(); ++v) {
      llvm::Value*& sum = sums[r * right.size() + v];
      sum = form_.pairs ? ir_.CreateIntrinsic(llvm::Intrinsic::x86_avx512bf16_dpbf16ps_512, {}, {sum, left, right[v]})
                        : multiply_add(left, right[v], sum);
    }
  }
}

}  // namespace smelt
