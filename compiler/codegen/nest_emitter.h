// Loop nests: outer points shared among threads, sweeps at each of them, folds.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "compiler/codegen/kernel_emitter.h"

namespace smelt {

class NestEmitter : public KernelEmitter {
 public:
  using KernelEmitter::KernelEmitter;

 private:
  /// A vector of the last outer loop, of several that pass over the inner loops together.
  struct Neighbour {
    llvm::Value* first = nullptr;  // turn of the last outer loop
    std::vector<Scalar> values;
    std::vector<std::vector<llvm::AllocaInst*>> accumulators;
  };

  void emit_work() override;
  std::pair<llvm::Value*, llvm::Value*> turns_of(const Loop& loop);
  int64_t count_neighbours() const;
  void emit_group(llvm::Value* first, int64_t count);
  void each_neighbour(const Body& body);
  void emit_point();
  void emit_sweep(const Sweep& sweep);
  void emit_sweep_loops(const Sweep& sweep, size_t depth, const Body& body);
  void emit_vector_loop(const Sweep& sweep, const Body& body);
  /// Of one loop of a sweep: after how many turns an accumulator of level `first` is folded into the next one, after
  /// how many that one, and so on.
  struct FoldLevels {
    int first = 0;
    std::vector<int64_t> blocks;
  };
  void plan_folds(const Sweep& sweep);
  void carry_folds(const Sweep& sweep, int level);
  void fold_range(const Sweep& sweep, llvm::Value* begin, llvm::Value* end, int64_t step, const FoldLevels& levels,
                  const std::function<void(llvm::Value*)>& body);
  llvm::Value* fold_identity(const Sweep& sweep, const Fold& fold);
  void begin_folds(const Sweep& sweep);
  void step_folds(const Sweep& sweep);
  void finish_folds(const Sweep& sweep);
  void begin_carries(const Sweep& sweep);
  void load_carries(const Sweep& sweep, int32_t Carry::* into);
  void hand_carries_on(const Sweep& sweep);
  llvm::Value* combine_lanes(const Fold& fold, llvm::Value* lanes);

  std::vector<Neighbour> neighbours_;                         // none: one vector at a time
  std::vector<std::vector<llvm::AllocaInst*>> accumulators_;  // by level, then by fold
  std::vector<llvm::AllocaInst*> carries_;                    // by carry
  std::vector<FoldLevels> fold_levels_;                       // by depth of the sweep's loops
  int num_fold_levels_ = 1;
};

}  // namespace smelt
