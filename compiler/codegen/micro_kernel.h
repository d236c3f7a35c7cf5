// The inner kernel of all products: one register tile of sums over the whole depth.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "compiler/codegen/inner_kernel.h"
#include "compiler/codegen/inner_kernel_forms.h"

namespace smelt {

/// void micro(ptr a, ptr b, ptr sums, i64 depth, i64 columns, i64 row_stride, i64 a_step, i64 b_step, i64 turns,
/// i64 a_turn, i64 b_turn, i64 sums_stride):
/// sums[r * sums_stride + c] (+)= sum over t < turns, k < depth of
///   a[r * row_stride + t * a_turn + k * a_step] * b[t * b_turn + k * b_step + c].
class MicroKernelEmitter : InnerKernelEmitter {
 public:
  MicroKernelEmitter(llvm::Module& module, const Target& target, int64_t lanes, const MicroKernelForm& form);
  void emit();
  static llvm::FunctionType* type(llvm::LLVMContext& context);

 private:
  /// Values that a turn of the loop hands to the next.
  struct State {
    llvm::PHINode *k, *a, *b;
    std::vector<llvm::PHINode*> sums;
  };

  void set_offsets();
  void set_masks();
  std::vector<llvm::Value*> initial_sums();
  /// The depth from `a` and `b` on; leaves the builder in the block behind it.
  std::vector<llvm::Value*> emit_depth(llvm::Value* a, llvm::Value* b, const std::vector<llvm::Value*>& start);
  std::vector<llvm::Value*> emit_turns(const std::vector<llvm::Value*>& start);
  State begin_state(llvm::BasicBlock* from, llvm::Value* k, llvm::Value* a, llvm::Value* b,
                    const std::vector<llvm::Value*>& sums);
  void emit_steps(State& state, int64_t steps, llvm::BasicBlock* next);
  void emit_step(const State& state, size_t step, std::vector<llvm::Value*>& sums, bool lone = false);
  std::vector<llvm::Value*> emit_lone_step(const State& state, llvm::Value* exists);
  void fetch_next_rows(llvm::Value* step);
  void fetch_next_tile(llvm::Value* a);
  void fetch_results();
  llvm::VectorType* pair_vector();
  llvm::Value* argument(ColumnKernelArgument index) { return llvm_function_->getArg(index); }
  llvm::Value* moved(llvm::Value* from, llvm::Value* offset, DType dtype) {
    return ir_.CreateInBoundsGEP(scalars_.element_type(dtype), from, offset);
  }
  llvm::Value* load_left(llvm::Value* at);
  llvm::Value* load_left_pair(llvm::Value* at, bool lone);
  int64_t steps_at_once() const { return form_.pairs ? 2 : 1; }
  llvm::PHINode* phi(llvm::Value* initial, llvm::BasicBlock* from);
  void store_sum(size_t sum, llvm::Value* value);
  llvm::Value* sum_pointer(size_t sum);

  const MicroKernelForm form_;
  std::vector<llvm::Value*> row_offsets_, a_offsets_, b_offsets_;  // elements, by row and by step
  llvm::Value* next_tile_ = nullptr;                               // elements, to the rows behind these
  std::vector<llvm::Value*> masks_;                                // by vector; null: all lanes
};

}  // namespace smelt
