// Loop nests: outer points shared among threads, sweeps at each of them, folds.
#include <numeric>

#include "compiler/codegen/kernel_emitter.h"

namespace smelt {

void KernelEmitter::emit_nest() {
  const Kernel& kernel = *kernel_;
  std::vector<llvm::Value*> extents;
  for (int32_t l = 0; l < kernel.num_outer; ++l) extents.push_back(extent(kernel.loops[static_cast<size_t>(l)].extent));
  llvm::Value* last = nullptr;
  if (kernel.vector_outer) {
    last = extents.back();
    extents.back() = ir_.CreateSDiv(ir_.CreateAdd(last, i64(lanes_ - 1)), i64(lanes_));
  }
  llvm::Value* total = i64(1);
  for (llvm::Value* size : extents) total = ir_.CreateMul(total, size);
  const auto [begin, end] = my_share(total);
  for_range(begin, end, 1, [&](llvm::Value* unit) {
    const std::vector<llvm::Value*> position = decompose(unit, extents);
    std::ranges::copy(position, loop_values_.begin());
    if (!kernel.vector_outer) {
      emit_point();
      return;
    }
    vector_loop_ = kernel.num_outer - 1;
    llvm::Value* first = ir_.CreateMul(position.back(), i64(lanes_));
    loop_values_[static_cast<size_t>(vector_loop_)] = first;
    llvm::Value* left = ir_.CreateSub(last, first);
    const auto masked = [&] {
      mask_ = mask_below(left);
      emit_point();
      mask_ = nullptr;
    };
    const Extent size = kernel.loops[static_cast<size_t>(vector_loop_)].extent;
    if (size.is_static() && size.bound % lanes_ == 0) {
      emit_point();
    } else if (size.is_static() && size.bound < lanes_) {
      masked();
    } else {
      if_else(ir_.CreateICmpSGE(left, i64(lanes_)), [&] { emit_point(); }, masked);
    }
    vector_loop_ = -1;
  });
}

/// unit = ((p0 * e1 + p1) * e2 + p2) ...
std::vector<llvm::Value*> KernelEmitter::decompose(llvm::Value* unit, const std::vector<llvm::Value*>& extents) {
  std::vector<llvm::Value*> position(extents.size());
  for (size_t axis = extents.size(); axis-- > 0;) {
    position[axis] = axis == 0 ? unit : ir_.CreateURem(unit, extents[axis]);
    if (axis > 0) unit = ir_.CreateUDiv(unit, extents[axis]);
  }
  return position;
}

void KernelEmitter::emit_point() {
  for (const Sweep& sweep : kernel_->sweeps) emit_sweep(sweep);
}

void KernelEmitter::emit_sweep(const Sweep& sweep) {
  emit_statements(sweep.setup);
  if (sweep.loops.empty()) return;
  begin_folds(sweep);
  emit_sweep_loops(sweep, 0, [&] {
    emit_statements(sweep.body);
    step_folds(sweep);
  });
  finish_folds(sweep);
}

void KernelEmitter::emit_sweep_loops(const Sweep& sweep, size_t depth, const Body& body) {
  if (depth == sweep.loops.size()) {
    body();
    return;
  }
  const int32_t loop = sweep.loops[depth];
  if (sweep.vectorize && depth + 1 == sweep.loops.size()) {
    emit_vector_loop(loop, body);
    return;
  }
  for_range(i64(0), extent(kernel_->loops[static_cast<size_t>(loop)].extent), 1, [&](llvm::Value* i) {
    loop_values_[static_cast<size_t>(loop)] = i;
    emit_sweep_loops(sweep, depth + 1, body);
  });
}

/// Long loops: whole vectors first, then one masked vector for what is left. Short ones: one body, masked on every
/// turn, because a second copy of the body costs more to compile than the masks cost to run.
void KernelEmitter::emit_vector_loop(int32_t loop, const Body& body) {
  constexpr int64_t kShortTurns = 8;
  const Extent size = kernel_->loops[static_cast<size_t>(loop)].extent;
  llvm::Value* total = extent(size);
  vector_loop_ = loop;
  llvm::Value*& position = loop_values_[static_cast<size_t>(loop)];
  const auto turns = [&](llvm::Value* begin, llvm::Value* end, bool masked) {
    for_range(begin, end, lanes_, [&](llvm::Value* i) {
      position = i;
      if (masked) mask_ = mask_below(ir_.CreateSub(end, i));
      body();
      mask_ = nullptr;
    });
  };
  if (size.is_static() && size.bound % lanes_ == 0) {
    turns(i64(0), total, false);
  } else if (size.is_static() && size.bound <= kShortTurns * lanes_) {
    turns(i64(0), total, true);
  } else {
    llvm::Value* whole = ir_.CreateAnd(total, i64(-lanes_));
    turns(i64(0), whole, false);
    turns(whole, total, true);
  }
  vector_loop_ = -1;
}

void KernelEmitter::begin_folds(const Sweep& sweep) {
  accumulators_.clear();
  const bool vector = sweep.vectorize || vector_loop_ >= 0;
  for (const Fold& fold : sweep.folds) {
    llvm::Value* identity = LlvmScalars::value(scalars_.constant(fold.dtype, fold.identity));
    if (vector) identity = scalars_.splat(identity, lanes_);
    accumulators_.push_back(stack(identity->getType(), 1, "fold"));
    ir_.CreateStore(identity, accumulators_.back());
  }
}

void KernelEmitter::step_folds(const Sweep& sweep) {
  for (size_t f = 0; f < sweep.folds.size(); ++f) {
    const Fold& fold = sweep.folds[f];
    llvm::Value* old = ir_.CreateLoad(accumulators_[f]->getAllocatedType(), accumulators_[f]);
    const std::array folded = {LlvmScalars::wrap(old, fold.dtype), values_[static_cast<size_t>(fold.input)]};
    llvm::Value* next = LlvmScalars::value(fold.body(scalars_, folded, fold.attrs));
    if (mask_ != nullptr) next = ir_.CreateSelect(mask_, next, old);
    ir_.CreateStore(next, accumulators_[f]);
  }
}

void KernelEmitter::finish_folds(const Sweep& sweep) {
  for (size_t f = 0; f < sweep.folds.size(); ++f) {
    const Fold& fold = sweep.folds[f];
    llvm::Value* total = ir_.CreateLoad(accumulators_[f]->getAllocatedType(), accumulators_[f]);
    if (sweep.vectorize) total = combine_lanes(fold, total);
    values_[static_cast<size_t>(fold.result)] = LlvmScalars::wrap(total, fold.dtype);
  }
}

/// Halves against each other: a tree that depends on the number of lanes alone.
llvm::Value* KernelEmitter::combine_lanes(const Fold& fold, llvm::Value* lanes) {
  for (int64_t width = lanes_ / 2; width >= 1; width /= 2) {
    std::vector<int> low(static_cast<size_t>(width)), high(static_cast<size_t>(width));
    std::iota(low.begin(), low.end(), 0);
    std::iota(high.begin(), high.end(), static_cast<int>(width));
    const std::array halves = {LlvmScalars::wrap(ir_.CreateShuffleVector(lanes, low), fold.dtype),
                               LlvmScalars::wrap(ir_.CreateShuffleVector(lanes, high), fold.dtype)};
    lanes = LlvmScalars::value(fold.body(scalars_, halves, fold.attrs));
  }
  return ir_.CreateExtractElement(lanes, uint64_t{0});
}

}  // namespace smelt
