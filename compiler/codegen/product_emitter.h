// Products: which tiles a thread computes, and in which order; the sums of a tile; what becomes of them.
//
// A tile of sums lives in registers over the last two axes of the depth; each step of it loads the columns' vectors,
// broadcasts one left element a row and multiplies and adds (micro_kernel.h). The finished tile goes to a small buffer
// in L1 from which the epilogue, a body like any other, reads it.
#pragma once

#include <utility>
#include <vector>

#include "compiler/codegen/kernel_emitter.h"
#include "compiler/codegen/micro_kernel.h"
#include "compiler/schedule/choose_tile.h"
#include "compiler/schedule/streamed_line.h"

namespace smelt {

class ProductEmitter : public KernelEmitter {
 public:
  using KernelEmitter::KernelEmitter;

 private:
  /// The tile at hand.
  struct Tile {
    llvm::Value* sums = nullptr;                  // of its first row and column
    llvm::Value* sums_stride = nullptr;           // elements from row to row
    llvm::Value* number = nullptr;                // among the tiles of rows
    llvm::Value* in_block = nullptr;              // among those that pass over a panel together
    llvm::Value* exists = nullptr;                // the last block may not be whole; null: it is
    llvm::Value *row = nullptr, *rows = nullptr;  // first row, number of rows
    llvm::Value* done = nullptr;                  // rows at the start that another tile has finished; null: none
    llvm::Value* longer = nullptr;  // an even split's tile has one row more; null: all have the same number
    llvm::Value *column = nullptr, *columns = nullptr;  // first column, number of columns
    llvm::Value* panel = nullptr;
    std::vector<llvm::Value*> outer;
    llvm::Value *block_begin = nullptr, *block_end = nullptr;  // of the depth's outermost axis; null: all of it
    llvm::Value *turns = nullptr, *steps = nullptr;            // of its last two axes; null: all of them
    llvm::Value* copied = nullptr;                             // columns of b for these; null: in place
    llvm::Value* left = nullptr;                               // its rows of a for these, side by side; null: in place
    int64_t left_step = 0;                                     // elements from step to step of them
  };

  /// How the tiles of a product are numbered. Rows run fastest: a panel of columns stays in cache while all rows pass
  /// over it, or a block of them. Free axes are rows of a panel as well, or outside of the panels (choose_tile.h).
  struct TileGrid {
    EvenSplit split;  // of a known number of rows
    llvm::Value* columns = nullptr;
    std::optional<RowBlocks> blocks;
    llvm::Value* blocked = nullptr;                // positions of the axis in blocks
    std::vector<int32_t> axes;                     // by position: the outer axis, or one of those below
    std::vector<llvm::Value*> extents;             // of these
    llvm::Value* panel_tiles = nullptr;            // tiles that a panel meets before the next one
    llvm::Value *begin = nullptr, *end = nullptr;  // this thread's tiles

    static constexpr int32_t kRowTiles = RowBlocks::kRowTiles, kPanels = -2, kBlocks = -3;
    llvm::Value* row_tiles() const { return extents.back(); }
  };

  /// Row tiles of one panel of columns that pass over the depth together.
  struct TileRun {
    int64_t stretch = 0;                              // steps of the depth
    llvm::Value *sums = nullptr, *columns = nullptr;  // of all its tiles; of the stretch at hand, side by side
    llvm::Value *begin = nullptr, *end = nullptr;
  };

  /// A part of the depth whose columns are copied.
  struct Stretch {
    llvm::Value *turn = nullptr, *step = nullptr;    // where it begins
    llvm::Value *turns = nullptr, *steps = nullptr;  // how long it is
    llvm::Value *is_first = nullptr, *is_last = nullptr;
    llvm::Value* next = nullptr;  // the element of b at which the next one begins
  };

  void emit_work() override;
  llvm::Value* load_sum(const Stmt& stmt) override;
  // emit_product.cpp: the order of tiles; emit_tile_sums.cpp, emit_epilogue.cpp, emit_prefetch.cpp: one tile
  llvm::Value* tiles_of(llvm::Value* size, int64_t tile);
  llvm::Value* row_tiles(const EvenSplit& split);
  TileGrid make_grid();
  std::pair<llvm::Value*, llvm::Value*> my_tiles(const TileGrid& grid);
  Tile make_tile(const TileGrid& grid, llvm::Value* unit);
  void emit_blocks(const TileGrid& grid, const DepthBlocks& blocks);
  void emit_stretches(const TileGrid& grid, int64_t stretch);
  void emit_run(const TileGrid& grid, const TileRun& run, const ProductOperands& pair, bool clears, bool finishes);
  // emit_streamed.cpp: few rows
  void emit_streamed();
  void emit_line(const Tile& tile, const StreamedLine& line);
  void emit_pieces(Tile tile, const StreamedLine& line, llvm::Value* begin, llvm::Value* end);
  void call_streamed_kernel(const Tile& tile, const ProductOperands& pair, int64_t rows, llvm::Value* a, llvm::Value* b,
                            llvm::Value* sums);
  // emit_strips.cpp: a gradient of a weight, whose operands are copied
  struct Strips;
  struct StripRun;
  struct Strip;
  void emit_strips();
  StripShape shape_of_strips();
  void emit_strip_run(const Strips& strips, StripRun run);
  void for_each_strip(const Strips& strips, const std::function<void(const Strip&)>& body);
  void emit_strip(const Strips& strips, const StripRun& run, const ProductOperands& pair, const Strip& strip);
  void copy_strip(const Strips& strips, const StripRun& run, const ProductOperands& pair, const Strip& strip);
  std::pair<llvm::Value*, llvm::Value*> strip_line(const Strips& strips, const StripRun& run, llvm::Value* line,
                                                   llvm::Value* step);
  void prefetch_strip(const Strips& strips, const StripRun& run, const ProductOperands& pair, const Strip& strip,
                      llvm::Value* number);
  Tile make_strip_tile(const Strips& strips, const StripRun& run, const Strip& strip, llvm::Value* number);
  void copy_stretch(const TileRun& run, const Stretch& stretch, int32_t right, llvm::Value* from, llvm::Value* columns);
  llvm::Value* right_at(llvm::Value* from, llvm::Value* turn, llvm::Value* step);
  llvm::Value* left_start(const Tile& tile);
  llvm::Value* right_start(const Tile& tile);
  llvm::Value* advance(llvm::Value* at, llvm::Value* position, int64_t stride);
  void set_rows(Tile& tile, const EvenSplit& split, llvm::Value* number);
  const Stmt* only_store() const;
  void place_in_result(Tile& tile, const Stmt& store);
  void set_outer_loops(const Tile& tile);
  void set_row_loops(llvm::Value* row);
  void emit_prefetch(const Tile& tile);
  bool asks_for_rows() const;
  bool asks_for_results() const;
  void emit_panel_prefetch(const Tile& tile, const TileGrid& grid);
  void prefetch_row(llvm::Value* at, DType dtype);
  void prefetch_elements(int32_t buffer, llvm::Value* first, int64_t count);
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
  llvm::Function* micro_kernel(const ProductOperands& pair, int64_t rows, int64_t vectors,
                               MicroKernelForm::Columns columns);

  const Product& product() const { return kernel_.product(); }
  const ProductSchedule& schedule() const { return *kernel_.product().schedule; }
  int64_t tile_columns() const { return schedule().tile.columns; }
  int64_t sums_of_tile() const { return schedule().tile.rows * tile_columns(); }

  llvm::Value *tile_row_ = nullptr, *tile_column_ = nullptr;  // where sums are read: the tile's current row, its column
};

/// Steps of the depth that a sum in a register takes before it is added to the tile's: its error grows with their
/// number, and no more than this many are ever added one after the other.
inline constexpr int64_t kSumBlock = 4096;
inline bool sums_in_blocks(const Product& product) { return product.inner.back().extent.bound > kSumBlock; }

/// Whether a tile's sums need more than one call of the micro-kernel, which adds to them in memory then.
inline bool adds_up(const Product& product) {
  return sums_in_blocks(product) || product.inner.size() > kMicroKernelAxes || product.pairs.size() > 1 ||
         std::holds_alternative<CopiedColumns>(product.schedule->right);
}

}  // namespace smelt
