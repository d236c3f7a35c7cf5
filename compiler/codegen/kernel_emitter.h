// Emits a kernel: an LLVM function (frame, thread, count) that runs the thread's share.
//
// Shares are static: of n units thread t of c runs [n*t/c, n*(t+1)/c). A unit's result does not depend on who runs it,
// so neither does any bit.
#pragma once

#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Module.h>

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "compiler/codegen/llvm_scalars.h"
#include "compiler/codegen/micro_kernel.h"
#include "compiler/codegen/shared_functions.h"
#include "compiler/loops/kernel_identity.h"
#include "compiler/loops/loop_ir.h"
#include "compiler/schedule/choose_tile.h"
#include "compiler/schedule/target.h"

namespace smelt {

/// Where a kernel finds its operands: a table of pointers that its caller fills.
/// Buffers and then draws (loop << 32 | site) follow in the order of KernelIdentity.
enum FrameSlot : unsigned { kFrameArena, kFrameExtents, kFrameBuffers };

class KernelEmitter {
 public:
  KernelEmitter(llvm::Module& module, const Target& target, const LoopFunction& function, SharedFunctions& shared);

  /// void name(ptr frame, i32 thread, i32 count)
  void emit(const Kernel& kernel, const KernelIdentity& identity, const std::string& name);

 private:
  using Body = std::function<void()>;

  // emit_nest.cpp: loops, sweeps, folds
  void emit_nest();
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
  llvm::Value* combine_lanes(const Fold& fold, llvm::Value* lanes);

  // emit_statements.cpp: one statement
  void emit_statements(const std::vector<Stmt>& statements);
  void emit_statement(const Stmt& stmt);
  llvm::Value* emit_load(const Stmt& stmt);
  void emit_store(const Stmt& stmt);
  void note_nonfinite(llvm::Value* stored, DType dtype);
  void begin_finite_check();
  void end_finite_check();
  llvm::Value* emit_scalar_slot(ScalarSlot slot, llvm::Value* at);
  llvm::Value* emit_random(const Stmt& stmt);
  bool draws_in_a_row(const Affine& index) const;
  std::array<llvm::Value*, 2> draw_in_a_row(llvm::Value* first, llvm::Value* seed, llvm::Value* run, llvm::Value* site);
  llvm::Value* affine(const Affine& index);                     // i64, at lane 0 of the vector loop
  llvm::Value* affine_lanes(const Affine& index, DType dtype);  // per lane where the vector loop is in it
  llvm::Value* clamp_row(const Access& access, llvm::Value* row);
  /// Where the lanes of an access are: one element for all, one each side by side, or anywhere.
  struct Address {
    llvm::Value* base = nullptr;   // i64 element number
    llvm::Value* lanes = nullptr;  // <lanes x i64> element numbers, for gathers
    bool contiguous = false;       // one element a lane, next to each other
  };
  Address address(const Access& access);
  Scalar operand(const Stmt& stmt, size_t i) const { return values_[static_cast<size_t>(stmt.operands[i])]; }

  // emit_product.cpp: the order of tiles; emit_tile_sums.cpp, emit_epilogue.cpp, emit_prefetch.cpp: one tile;
  // emit_pack.cpp, emit_pack_pairs.cpp: panels
  void emit_product();
  struct TileGrid;
  struct Tile;  // the position and size of the tile at hand
  TileGrid make_grid();
  std::pair<llvm::Value*, llvm::Value*> my_tiles(const TileGrid& grid);
  Tile make_tile(const TileGrid& grid, llvm::Value* unit);
  void emit_blocks(const TileGrid& grid, const DepthBlocks& blocks);
  struct Run;
  void emit_stretches(const TileGrid& grid, int64_t stretch);
  void emit_run(const TileGrid& grid, const Run& run, const ProductOperands& pair, bool clears, bool finishes);
  llvm::Value* left_start(const Tile& tile);
  llvm::Value* right_start(const Tile& tile);
  llvm::Value* advance(llvm::Value* at, llvm::Value* position, int64_t stride);
  void set_rows(Tile& tile, const EvenSplit& split, llvm::Value* number);
  const Stmt* only_store() const;
  void place_in_result(Tile& tile, const Stmt& store);
  void set_outer_loops(const Tile& tile);
  void emit_prefetch(const Tile& tile);
  void emit_panel_prefetch(const Tile& tile, const TileGrid& grid);
  void prefetch_row(llvm::Value* at, DType dtype);
  void prefetch_part(int32_t right, llvm::Value* first, int64_t steps, llvm::Value* number, llvm::Value* parts);
  void emit_tile_sums(const Tile& tile);
  void emit_sums(const Tile& tile, const ProductOperands& pair, llvm::Value* a, llvm::Value* b);
  void emit_block_sums(const Tile& tile, const ProductOperands& pair, llvm::Value* a, llvm::Value* b);
  void add_sums(const Tile& from, const Tile& to);
  void clear_sums(const Tile& tile);
  void call_micro_kernel(const Tile& tile, const ProductOperands& pair, int64_t rows, llvm::Value* a, llvm::Value* b,
                         llvm::Value* sums);
  void call_dot_kernel(const Tile& tile, int64_t rows, llvm::Value* a, llvm::Value* b, llvm::Value* sums);
  void emit_epilogue(const Tile& tile);
  void emit_epilogue_row(const ProductAxis& axis, llvm::Value* first, llvm::Value* count);
  llvm::Value* emit_transposed_tile(const Tile& tile);
  void emit_pack();
  DType operand_dtype(int32_t buffer) const { return function_.buffers[static_cast<size_t>(buffer)].type.dtype; }
  llvm::Value* converted(llvm::Value* loaded, DType from, DType to);
  /// One panel, of the columns that exist: panel[k, c] = source[c * column_stride + k * depth_stride] in the layout of
  /// its form, 0 from `columns` and, of pairs, from `depth` on.
  struct PanelCopy {
    llvm::Value *source = nullptr, *panel = nullptr;
    DType from = DType::F32, to = DType::F32;
    int64_t column_stride = 0, depth_stride = 0;
    int64_t width = 0;  // of the panel
    llvm::Value *depth = nullptr, *columns = nullptr;
  };
  PanelCopy panel_copy(llvm::Value* from, llvm::Value* to);
  void emit_panel(const PanelCopy& p);
  void emit_panel_elements(const PanelCopy& p);
  void emit_pair_panel(const PanelCopy& p);
  void emit_pair_step(const PanelCopy& p, llvm::Value* pair);
  void emit_pair_squares(const PanelCopy& p);
  void emit_pair_elements(const PanelCopy& p);
  llvm::Value* pair_source(const PanelCopy& p, llvm::Value* k, llvm::Value* c);
  llvm::Value* pair_place(const PanelCopy& p, llvm::Value* pair, llvm::Value* c);
  llvm::Value* rounded_to_bf16(llvm::Value* loaded, DType from);
  llvm::Value* interleaved_pair(llvm::Value* first, llvm::Value* second);
  void emit_depth_panel(const PanelCopy& p, int64_t padded_depth);
  void copy_columns_side_by_side(const PanelCopy& p);
  llvm::Function* pack_transposed(const PanelCopy& p);
  void define_pack_transposed(const std::string& name, DType from, DType dtype, int64_t width);
  std::vector<llvm::Value*> transposed(std::vector<llvm::Value*> rows);
  llvm::Function* micro_kernel(const ProductOperands& pair, int64_t rows, int64_t vectors,
                               MicroKernelForm::Columns columns);
  std::vector<llvm::Value*> decompose(llvm::Value* unit, const std::vector<llvm::Value*>& extents);
  const Product& product() const { return kernel_->product(); }
  const ProductSchedule& schedule() const { return *kernel_->product().schedule; }
  int64_t tile_columns() const { return schedule().tile.columns; }
  int64_t sums_of_tile() const { return schedule().tile.rows * tile_columns(); }

  // helpers
  llvm::Value* i64(int64_t value) { return ir_.getInt64(static_cast<uint64_t>(value)); }
  llvm::Value* extent(const Extent& extent);
  llvm::Value* buffer_pointer(int32_t buffer) { return pointers_.at(buffer); }
  llvm::Value* element_pointer(llvm::Value* base, DType dtype, llvm::Value* element);
  llvm::Type* memory_type(DType dtype);
  void load_frame(const KernelIdentity& identity);
  llvm::Value* frame_slot(unsigned slot, const std::string& name, llvm::Type* type);
  llvm::Value* from_memory(llvm::Value* loaded, DType dtype);
  llvm::Value* to_memory(llvm::Value* value, DType dtype);
  llvm::Value* smaller(llvm::Value* a, llvm::Value* b);
  llvm::Value* at_most(int64_t limit, llvm::Value* left);
  llvm::AllocaInst* stack(llvm::Type* type, int64_t count, const char* name);
  llvm::Value* lane_numbers(llvm::Type* element);
  llvm::Value* mask_below(llvm::Value* limit);  // lane < limit
  void for_range(llvm::Value* begin, llvm::Value* end, int64_t step, const std::function<void(llvm::Value*)>& body);
  void if_then(llvm::Value* condition, const Body& body);
  void if_else(llvm::Value* condition, const Body& yes, const Body& no);
  std::pair<llvm::Value*, llvm::Value*> my_share(llvm::Value* total);

  llvm::Module& module_;
  llvm::LLVMContext& context_;
  const Target& target_;
  const LoopFunction& function_;
  SharedFunctions& shared_;
  const int64_t lanes_;
  llvm::IRBuilder<> ir_;
  LlvmScalars scalars_;

  // of the kernel that is being emitted
  const Kernel* kernel_ = nullptr;
  llvm::Function* llvm_function_ = nullptr;
  llvm::Value *frame_ = nullptr, *thread_ = nullptr, *count_ = nullptr;
  llvm::AllocaInst* nonfinite_ = nullptr;  // sticky: NaN once a checked store was not finite
  std::vector<Scalar> values_;
  std::vector<llvm::Value*> loop_values_;
  std::map<int32_t, llvm::Value*> pointers_;
  std::map<int32_t, llvm::Value*> extents_;
  std::map<int32_t, unsigned> draw_slots_;                    // frame slot of each Random statement, by its value
  std::vector<std::vector<llvm::AllocaInst*>> accumulators_;  // by level, then by fold
  std::vector<FoldLevels> fold_levels_;                       // by depth of the sweep's loops
  int num_fold_levels_ = 1;
  int32_t vector_loop_ = -1;         // the loop that lanes run over, -1 outside
  llvm::Value* mask_ = nullptr;      // lanes that exist; null: all
  llvm::Value* tile_row_ = nullptr;  // Product statements read here: pointer to the tile's current row
  llvm::Value* tile_column_ = nullptr;
};

}  // namespace smelt
