#include "compiler/codegen/nest_emitter.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <utility>

namespace smelt {

void NestEmitter::emit_work() {
  const Kernel& kernel = kernel_;
  std::vector<llvm::Value*> extents;
  for (int32_t l = 0; l < kernel.num_outer; ++l) {
    const Loop& loop = kernel.loops[static_cast<size_t>(l)];
    const auto [begin, end] = turns_of(loop);
    extents.push_back(loop.only < 0 ? end : ir_.CreateSub(end, begin));
  }
  llvm::Value* last = nullptr;
  const int64_t neighbours = count_neighbours(), width = lanes_ * neighbours;
  if (kernel.vector_outer) {
    last = extents.back();
    extents.back() = ir_.CreateSDiv(ir_.CreateAdd(last, i64(width - 1)), i64(width));
  }
  llvm::Value* total = i64(1);
  for (llvm::Value* size : extents) total = ir_.CreateMul(total, size);
  const auto [begin, end] = my_share(total);
  for_range(begin, end, 1, [&](llvm::Value* unit) {
    const std::vector<llvm::Value*> position = decompose(unit, extents);
    for (size_t l = 0; l < position.size(); ++l)
      loop_values_[l] = kernel.loops[l].only < 0 ? position[l] : turns_of(kernel.loops[l]).first;
    if (!kernel.vector_outer) {
      emit_point();
      return;
    }
    vector_loop_ = kernel.num_outer - 1;
    llvm::Value* first = ir_.CreateMul(position.back(), i64(width));
    loop_values_[static_cast<size_t>(vector_loop_)] = first;
    llvm::Value* left = ir_.CreateSub(last, first);
    const auto masked = [&] {
      mask_ = mask_below(left);
      emit_point();
      mask_ = nullptr;
    };
    const Extent size = kernel.loops[static_cast<size_t>(vector_loop_)].extent;
    if (neighbours > 1) {
      emit_group(first, neighbours);
    } else if (size.is_static() && size.bound % lanes_ == 0) {
      emit_point();
    } else if (size.is_static() && size.bound < lanes_) {
      masked();
    } else {
      if_else(ir_.CreateICmpSGE(left, i64(lanes_)), [&] { emit_point(); }, masked);
    }
    vector_loop_ = -1;
  });
}

/// The first turn of a loop, and the one behind the last.
std::pair<llvm::Value*, llvm::Value*> NestEmitter::turns_of(const Loop& loop) {
  llvm::Value* end = extent(loop.extent);
  if (loop.only < 0) return {i64(0), end};
  llvm::Value* only = ir_.CreateSExt(LlvmScalars::value(values_[static_cast<size_t>(loop.only)]), ir_.getInt64Ty());
  llvm::Value* is_turn = ir_.CreateICmpULT(only, end);
  return {only, ir_.CreateAdd(only, ir_.CreateZExt(is_turn, ir_.getInt64Ty()))};
}

/// Vectors of a sum down the columns that pass over its rows together: they read several lines of a row at once, and
/// their additions do not wait for each other. As many as leave both of two threads as much to do.
int64_t NestEmitter::count_neighbours() const {
  constexpr size_t kMaxStatements = 40;
  constexpr int64_t kManyUnits = 8;
  if (!kernel_.vector_outer) return 1;
  if (std::ranges::any_of(kernel_.loops, [](const Loop& loop) { return loop.only >= 0; })) return 1;
  const Extent& last = kernel_.loops[static_cast<size_t>(kernel_.num_outer) - 1].extent;
  size_t statements = 0;
  bool sums = false;
  for (const Sweep& sweep : kernel_.sweeps) {
    if (sweep.ordered) return 1;
    statements += sweep.setup.size() + sweep.body.size();
    sums = sums || !sweep.folds.empty();
    for (const Stmt& stmt : sweep.body) {
      if (stmt.kind == StmtKind::Random) return 1;
    }
  }
  if (!sums || statements > kMaxStatements || !last.is_static() || last.bound % lanes_ != 0) return 1;
  int64_t others = 1;
  for (int32_t loop = 0; loop + 1 < kernel_.num_outer; ++loop)
    others *= kernel_.loops[static_cast<size_t>(loop)].extent.bound;
  const int64_t vectors = last.bound / lanes_;
  for (const int64_t count : {4, 3, 2}) {
    const int64_t units = others * (vectors / count);
    if (vectors % count == 0 && units > 1 && (units % 2 == 0 || units >= kManyUnits)) return count;
  }
  return 1;
}

void NestEmitter::emit_group(llvm::Value* first, int64_t count) {
  neighbours_.clear();
  for (int64_t n = 0; n < count; ++n) neighbours_.push_back({ir_.CreateAdd(first, i64(n * lanes_)), values_, {}});
  emit_point();
  neighbours_.clear();
}

/// `body` for each vector of the group at hand, with its values and accumulators.
void NestEmitter::each_neighbour(const Body& body) {
  if (neighbours_.empty()) return body();
  for (Neighbour& neighbour : neighbours_) {
    loop_values_[static_cast<size_t>(vector_loop_)] = neighbour.first;
    std::swap(values_, neighbour.values);
    std::swap(accumulators_, neighbour.accumulators);
    body();
    std::swap(values_, neighbour.values);
    std::swap(accumulators_, neighbour.accumulators);
  }
}

void NestEmitter::emit_point() {
  for (const Sweep& sweep : kernel_.sweeps) emit_sweep(sweep);
}

void NestEmitter::emit_sweep(const Sweep& sweep) {
  each_neighbour([&] { emit_statements(sweep.setup); });
  if (sweep.loops.empty()) return;
  plan_folds(sweep);
  each_neighbour([&] { begin_folds(sweep); });
  begin_carries(sweep);
  emit_sweep_loops(sweep, 0, [&] {
    each_neighbour([&] {
      load_carries(sweep, &Carry::value);
      emit_statements(sweep.body);
      hand_carries_on(sweep);
      step_folds(sweep);
    });
  });
  load_carries(sweep, &Carry::last);
  each_neighbour([&] { finish_folds(sweep); });
}

/// A sum of many terms in one accumulator loses them one after the other: its error grows with their number. So an
/// accumulator takes at most kFoldBlock terms, and is then folded into the one of the next level and starts again: a
/// tree of that arity, which depends on bounds and lanes alone. What is short enough has one level, and costs nothing.
constexpr int64_t kFoldBlock = 256;

/// Which loops fold an accumulator into the next level, innermost first.
void NestEmitter::plan_folds(const Sweep& sweep) {
  fold_levels_.assign(sweep.loops.size(), {});
  num_fold_levels_ = 1;
  if (sweep.folds.empty()) return;
  int64_t terms = 1;  // that the accumulator of the highest level has taken when a loop's body has run
  for (size_t depth = sweep.loops.size(); depth-- > 0;) {
    const bool vectors = sweep.vectorize && depth + 1 == sweep.loops.size();
    const int64_t bound = kernel_.loops[static_cast<size_t>(sweep.loops[depth])].extent.bound;
    const int64_t turns = vectors ? (bound + lanes_ - 1) / lanes_ : bound;
    FoldLevels& levels = fold_levels_[depth];
    levels.first = num_fold_levels_ - 1;
    int64_t length = std::max<int64_t>(1, kFoldBlock / terms), blocks = turns;
    for (; blocks > (levels.blocks.empty() ? length : kFoldBlock); length *= kFoldBlock) {
      levels.blocks.push_back(length);
      ++num_fold_levels_;
      blocks = (turns + length - 1) / length;
    }
    terms = levels.blocks.empty() ? terms * turns : blocks;
  }
}

/// Adds the accumulators of a level to those of the next, and clears them.
void NestEmitter::carry_folds(const Sweep& sweep, int level) {
  for (size_t f = 0; f < sweep.folds.size(); ++f) {
    const Fold& fold = sweep.folds[f];
    llvm::AllocaInst *from = accumulators_[static_cast<size_t>(level)][f],
                     *to = accumulators_[static_cast<size_t>(level) + 1][f];
    const std::array parts = {LlvmScalars::wrap(ir_.CreateLoad(to->getAllocatedType(), to), fold.dtype),
                              LlvmScalars::wrap(ir_.CreateLoad(from->getAllocatedType(), from), fold.dtype)};
    ir_.CreateStore(LlvmScalars::value(fold.body(scalars_, parts, fold.attrs)), to);
    ir_.CreateStore(fold_identity(sweep, fold), from);
  }
}

/// Turns of a loop, in blocks of blocks where the plan says so.
void NestEmitter::fold_range(const Sweep& sweep, llvm::Value* begin, llvm::Value* end, int64_t step,
                             const FoldLevels& levels, const std::function<void(llvm::Value*)>& body) {
  const std::function<void(llvm::Value*, llvm::Value*, size_t)> blocks = [&](llvm::Value* first, llvm::Value* last,
                                                                             size_t depth) {
    if (depth == 0) return for_range(first, last, step, body);
    const int64_t length = step * levels.blocks[depth - 1];
    for_range(first, last, length, [&](llvm::Value* at) {
      blocks(at, smaller(ir_.CreateAdd(at, i64(length)), last), depth - 1);
      each_neighbour([&] { carry_folds(sweep, levels.first + static_cast<int>(depth) - 1); });
    });
  };
  blocks(begin, end, levels.blocks.size());
}

void NestEmitter::emit_sweep_loops(const Sweep& sweep, size_t depth, const Body& body) {
  if (depth == sweep.loops.size()) {
    body();
    return;
  }
  const int32_t loop = sweep.loops[depth];
  if (sweep.vectorize && depth + 1 == sweep.loops.size()) {
    emit_vector_loop(sweep, body);
    return;
  }
  const auto [begin, end] = turns_of(kernel_.loops[static_cast<size_t>(loop)]);
  fold_range(sweep, begin, end, 1, fold_levels_[depth], [&](llvm::Value* i) {
    const bool reverse = kernel_.loops[static_cast<size_t>(loop)].reverse;
    loop_values_[static_cast<size_t>(loop)] = reverse ? ir_.CreateSub(ir_.CreateSub(end, i64(1)), i) : i;
    emit_sweep_loops(sweep, depth + 1, body);
  });
}

/// Long loops: whole vectors first, then one masked vector for what is left. Short ones: one body, masked on every
/// turn, because a second copy of the body costs more to compile than the masks cost to run.
void NestEmitter::emit_vector_loop(const Sweep& sweep, const Body& body) {
  constexpr int64_t kShortTurns = 8;
  const int32_t loop = sweep.loops.back();
  const Extent size = kernel_.loops[static_cast<size_t>(loop)].extent;
  llvm::Value* total = extent(size);
  vector_loop_ = loop;
  llvm::Value*& position = loop_values_[static_cast<size_t>(loop)];
  const auto turns = [&](llvm::Value* begin, llvm::Value* end, bool masked) {
    fold_range(sweep, begin, end, lanes_, masked ? FoldLevels{} : fold_levels_.back(), [&](llvm::Value* i) {
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

llvm::Value* NestEmitter::fold_identity(const Sweep& sweep, const Fold& fold) {
  llvm::Value* identity = LlvmScalars::value(scalars_.constant(fold.dtype, fold.identity));
  return sweep.vectorize || vector_loop_ >= 0 ? scalars_.splat(identity, lanes_) : identity;
}

/// On the stack for the code's sake: LLVM keeps them in registers.
void NestEmitter::begin_carries(const Sweep& sweep) {
  carries_.clear();
  for (const Carry& carry : sweep.carries) {
    llvm::Value* start = LlvmScalars::value(values_[static_cast<size_t>(carry.start)]);
    if (vector_loop_ >= 0) start = scalars_.splat(start, lanes_);
    carries_.push_back(stack(start->getType(), 1, "carry"));
    ir_.CreateStore(start, carries_.back());
  }
}

/// What the last turn handed on is `value` of the next one, or `last`.
void NestEmitter::load_carries(const Sweep& sweep, int32_t Carry::* into) {
  for (size_t c = 0; c < sweep.carries.size(); ++c) {
    const Carry& carry = sweep.carries[c];
    values_[static_cast<size_t>(carry.*into)] = LlvmScalars::wrap(
        ir_.CreateLoad(carries_[c]->getAllocatedType(), carries_[c]), values_[static_cast<size_t>(carry.start)].dtype);
  }
}

void NestEmitter::hand_carries_on(const Sweep& sweep) {
  for (size_t c = 0; c < sweep.carries.size(); ++c) {
    llvm::Value* next = LlvmScalars::value(values_[static_cast<size_t>(sweep.carries[c].next)]);
    if (vector_loop_ >= 0) next = scalars_.splat(next, lanes_);
    ir_.CreateStore(next, carries_[c]);
  }
}

void NestEmitter::begin_folds(const Sweep& sweep) {
  accumulators_.assign(static_cast<size_t>(num_fold_levels_), {});
  for (const Fold& fold : sweep.folds) {
    llvm::Value* identity = fold_identity(sweep, fold);
    for (std::vector<llvm::AllocaInst*>& level : accumulators_) {
      level.push_back(stack(identity->getType(), 1, "fold"));
      ir_.CreateStore(identity, level.back());
    }
  }
}

void NestEmitter::step_folds(const Sweep& sweep) {
  for (size_t f = 0; f < sweep.folds.size(); ++f) {
    const Fold& fold = sweep.folds[f];
    llvm::AllocaInst* lowest = accumulators_[0][f];
    llvm::Value* old = ir_.CreateLoad(lowest->getAllocatedType(), lowest);
    const std::array folded = {LlvmScalars::wrap(old, fold.dtype), values_[static_cast<size_t>(fold.input)]};
    llvm::Value* next = LlvmScalars::value(fold.body(scalars_, folded, fold.attrs));
    if (mask_ != nullptr) next = ir_.CreateSelect(mask_, next, old);
    ir_.CreateStore(next, lowest);
  }
}

void NestEmitter::finish_folds(const Sweep& sweep) {
  for (int level = 0; level + 1 < num_fold_levels_; ++level) carry_folds(sweep, level);
  for (size_t f = 0; f < sweep.folds.size(); ++f) {
    const Fold& fold = sweep.folds[f];
    llvm::AllocaInst* highest = accumulators_.back()[f];
    llvm::Value* total = ir_.CreateLoad(highest->getAllocatedType(), highest);
    if (sweep.vectorize) total = combine_lanes(fold, total);
    values_[static_cast<size_t>(fold.result)] = LlvmScalars::wrap(total, fold.dtype);
  }
}

/// Halves against each other: a tree that depends on the number of lanes alone.
llvm::Value* NestEmitter::combine_lanes(const Fold& fold, llvm::Value* lanes) {
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
