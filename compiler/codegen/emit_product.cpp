// Products: tiles of sums shared among threads, and their epilogues. micro_kernel.h computes a tile, emit_pack.cpp
// packs the panels that it may read.
//
// A tile of sums lives in registers over the last two axes of the depth; each step of it loads the columns' vectors,
// broadcasts one left element a row and multiplies and adds. The finished tile goes to a small buffer in L1 from which
// the epilogue, a body like any other, reads it.
#include <llvm/IR/Intrinsics.h>

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "compiler/codegen/dot_kernel.h"
#include "compiler/codegen/kernel_emitter.h"
#include "compiler/loops/lower_product.h"

namespace smelt {

constexpr int64_t kMaxRowAddresses = 9;  // general registers that a micro-kernel has for them

/// Whether a tile's sums need more than one call of the micro-kernel, which adds to them in memory then.
static bool adds_up(const Product& product) {
  return product.inner.size() > kMicroKernelAxes || !product.more.empty() || product.stretch > 0;
}

struct KernelEmitter::Tile {
  llvm::Value* sums = nullptr;  // of its first row and column
  llvm::Value* sums_stride = nullptr;  // elements from row to row
  llvm::Value* number = nullptr;  // among the tiles of rows
  llvm::Value *row = nullptr, *rows = nullptr;        // first row, number of rows
  llvm::Value* done = nullptr;  // rows at the start that another tile has finished; null: none
  llvm::Value* longer = nullptr;  // an even split's tile has one row more; null: all have the same number
  llvm::Value *column = nullptr, *columns = nullptr;  // first column, number of columns
  llvm::Value* panel = nullptr;
  std::vector<llvm::Value*> outer;
  llvm::Value *block_begin = nullptr, *block_end = nullptr;  // of the depth's outermost axis; null: all of it
  llvm::Value *steps = nullptr, *copied = nullptr;  // of its innermost axis, and their columns of b; null: all of it, in place
};

/// How the tiles of a product are numbered. Rows run fastest: a panel of columns stays in cache while all rows pass over it.
struct KernelEmitter::TileGrid {
  EvenSplit split;  // of a known number of rows
  llvm::Value* columns = nullptr;
  std::vector<llvm::Value*> extents;  // outer axes, panels of columns, tiles of rows
  llvm::Value *begin = nullptr, *end = nullptr;  // this thread's tiles

  llvm::Value* row_tiles() const { return extents.back(); }
};

/// Row tiles of one panel of columns that pass over the depth together.
struct KernelEmitter::Run {
  llvm::Value *sums = nullptr, *columns = nullptr;  // of all its tiles; of the stretch at hand, side by side
  llvm::Value *begin = nullptr, *end = nullptr;
};

KernelEmitter::TileGrid KernelEmitter::make_grid() {
  const Product& product = kernel_->product;
  const auto tiles_of = [&](llvm::Value* size, int64_t tile) {
    return ir_.CreateSDiv(ir_.CreateAdd(size, i64(tile - 1)), i64(tile));
  };
  TileGrid grid{.split = split_evenly(product.row.extent.bound, product.tile.rows), .columns = extent(product.column.extent)};
  for (const ProductAxis& axis : product.outer) grid.extents.push_back(extent(axis.extent));
  grid.extents.push_back(tiles_of(grid.columns, tile_columns()));
  grid.extents.push_back(product.row.extent.is_static() ? i64(grid.split.tiles) : tiles_of(extent(product.row.extent), product.tile.rows));
  std::tie(grid.begin, grid.end) = my_tiles(grid);
  return grid;
}

/// Threads share the tiles by what they cost: those of a last, narrower panel cost less. What a thread computes changes no sum.
std::pair<llvm::Value*, llvm::Value*> KernelEmitter::my_tiles(const TileGrid& grid) {
  const Product& product = kernel_->product;
  llvm::Value* total = i64(1);
  for (llvm::Value* size : grid.extents) total = ir_.CreateMul(total, size);
  const Extent& columns = product.column.extent;
  const int64_t rest = columns.is_static() && product.form != ProductForm::Dot ? columns.bound % tile_columns() : 0;
  if (kernel_->serial || rest == 0 || columns.bound < tile_columns()) return my_share(total);
  const int64_t cost = step_cycles(product.tile.rows, tile_columns() / lanes_), rest_cost = step_cycles(product.tile.rows, (rest + lanes_ - 1) / lanes_);
  llvm::Value* whole_tiles = ir_.CreateMul(grid.row_tiles(), i64(columns.bound / tile_columns()));  // in whole panels side by side
  llvm::Value* whole_cost = ir_.CreateMul(whole_tiles, i64(cost));
  llvm::Value* tiles = ir_.CreateAdd(whole_tiles, grid.row_tiles());
  llvm::Value* all_cost = ir_.CreateAdd(whole_cost, ir_.CreateMul(grid.row_tiles(), i64(rest_cost)));
  llvm::Value* safe_cost = ir_.CreateSelect(ir_.CreateICmpEQ(all_cost, i64(0)), i64(1), all_cost);  // no rows at all
  llvm::Value* total_cost = ir_.CreateMul(ir_.CreateUDiv(total, ir_.CreateSelect(ir_.CreateICmpEQ(tiles, i64(0)), i64(1), tiles)), all_cost);
  const auto begin_of = [&](llvm::Value* thread) {
    llvm::Value* at = ir_.CreateUDiv(ir_.CreateMul(total_cost, thread), ir_.CreateSExt(count_, ir_.getInt64Ty()));
    llvm::Value *row_of_panels = ir_.CreateUDiv(at, safe_cost), *in_it = ir_.CreateURem(at, safe_cost);
    llvm::Value* in_rest = ir_.CreateAdd(whole_tiles, ir_.CreateUDiv(ir_.CreateSub(in_it, whole_cost), i64(rest_cost)));
    llvm::Value* tile = ir_.CreateSelect(ir_.CreateICmpULT(in_it, whole_cost), ir_.CreateUDiv(in_it, i64(cost)), in_rest);
    return ir_.CreateAdd(ir_.CreateMul(row_of_panels, tiles), tile);
  };
  llvm::Value* thread = ir_.CreateSExt(thread_, ir_.getInt64Ty());
  return {begin_of(thread), begin_of(ir_.CreateAdd(thread, i64(1)))};
}

KernelEmitter::Tile KernelEmitter::make_tile(const TileGrid& grid, llvm::Value* unit) {
  Tile tile;
  tile.sums_stride = i64(tile_columns());
  tile.outer = decompose(unit, grid.extents);
  tile.number = tile.outer.back();
  set_rows(tile, grid.split, tile.number);
  tile.outer.pop_back();
  tile.panel = tile.outer.back();
  tile.column = ir_.CreateMul(tile.panel, i64(tile_columns()));
  tile.outer.pop_back();
  tile.columns = at_most(tile_columns(), ir_.CreateSub(grid.columns, tile.column));
  return tile;
}

void KernelEmitter::emit_product() {
  const TileGrid grid = make_grid();
  if (kernel_->product.partials >= 0) return emit_blocks(grid);
  if (kernel_->product.stretch > 0) return emit_stretches(grid);
  const Product& product = kernel_->product;
  const Stmt* store = only_store();
  llvm::Value* sums = store == nullptr ? stack(scalars_.element_type(product.dtype), tile_elements(), "tile") : nullptr;
  for_range(grid.begin, grid.end, 1, [&](llvm::Value* unit) {
    Tile tile = make_tile(grid, unit);
    tile.sums = sums;
    if (store != nullptr) place_in_result(tile, *store);
    emit_panel_prefetch(tile, grid);
    if (store == nullptr) emit_prefetch(tile);
    emit_tile_sums(tile);
    if (store == nullptr) emit_epilogue(tile);
  });
}

/// All tiles pass over a block of the depth's outermost axis before the next one; their sums lie in memory between blocks.
void KernelEmitter::emit_blocks(const TileGrid& grid) {
  const Product& product = kernel_->product;
  const auto each_tile = [&](const std::function<void(Tile&)>& body) {
    for_range(grid.begin, grid.end, 1, [&](llvm::Value* unit) {
      Tile tile = make_tile(grid, unit);
      llvm::Value* at = ir_.CreateMul(unit, i64(tile_elements()));
      tile.sums = element_pointer(buffer_pointer(product.partials), product.dtype, at);
      body(tile);
    });
  };
  each_tile([&](Tile& tile) { clear_sums(tile); });
  const int64_t positions = product.inner[0].extent.bound;
  for_range(i64(0), i64(positions), product.block, [&](llvm::Value* first) {
    each_tile([&](Tile& tile) {
      tile.block_begin = first;
      tile.block_end = at_most(positions, ir_.CreateAdd(first, i64(product.block)));
      emit_tile_sums(tile);
    });
  });
  each_tile([&](Tile& tile) { emit_epilogue(tile); });
}

/// A run of row tiles passes over a stretch of the depth in one panel before the next stretch: columns are copied for it, so
/// that they lie side by side, and sums lie on the stack between stretches. A sum takes its terms in the same order as without.
void KernelEmitter::emit_stretches(const TileGrid& grid) {
  const Product& product = kernel_->product;
  const int64_t in_run = tiles_in_run(product);
  const Run run{.sums = stack(scalars_.element_type(product.dtype), in_run * tile_elements(), "tiles"),
                .columns = stack(scalars_.element_type(product.dtype), product.stretch * tile_columns(), "columns")};
  llvm::Value* runs = ir_.CreateSDiv(ir_.CreateAdd(grid.row_tiles(), i64(in_run - 1)), i64(in_run));  // in a panel
  const auto run_of = [&](llvm::Value* unit) {
    llvm::Value* number = ir_.CreateSDiv(ir_.CreateSRem(unit, grid.row_tiles()), i64(in_run));
    return ir_.CreateAdd(ir_.CreateMul(ir_.CreateSDiv(unit, grid.row_tiles()), runs), number);
  };
  const auto emit = [&](llvm::Value* number) {
    llvm::Value* panel_begin = ir_.CreateMul(ir_.CreateSDiv(number, runs), grid.row_tiles());
    llvm::Value* begin = ir_.CreateAdd(panel_begin, ir_.CreateMul(ir_.CreateSRem(number, runs), i64(in_run)));
    llvm::Value* end = smaller(ir_.CreateAdd(begin, i64(in_run)), ir_.CreateAdd(panel_begin, grid.row_tiles()));
    // A thread's share begins and ends anywhere.
    Run here = run;
    here.begin = ir_.CreateSelect(ir_.CreateICmpSLT(begin, grid.begin), grid.begin, begin);
    here.end = smaller(end, grid.end);
    const std::vector<ProductOperands> pairs = operand_pairs(product);
    for (size_t p = 0; p < pairs.size(); ++p) emit_run(grid, here, pairs[p], p == 0, p + 1 == pairs.size());
  };
  if_then(ir_.CreateICmpSLT(grid.begin, grid.end), [&] {
    for_range(run_of(grid.begin), ir_.CreateAdd(run_of(ir_.CreateSub(grid.end, i64(1))), i64(1)), 1, emit);
  });
}

/// All stretches of one pair of operands; the first pair clears the sums, the last one finishes the tiles.
void KernelEmitter::emit_run(const TileGrid& grid, const Run& run, const ProductOperands& pair, bool clears, bool finishes) {
  const Product& product = kernel_->product;
  const Tile panel = make_tile(grid, run.begin);
  llvm::Value *b = right_start(panel), *depth = extent(product.inner.back().extent);
  for_range(i64(0), depth, product.stretch, [&](llvm::Value* first) {
    llvm::Value *steps = at_most(product.stretch, ir_.CreateSub(depth, first)), *below = ir_.CreateAdd(first, i64(product.stretch));
    llvm::Value *is_first = ir_.CreateICmpEQ(first, i64(0)), *is_last = ir_.CreateICmpSGE(below, depth);
    llvm::Value* from = ir_.CreateAdd(b, ir_.CreateMul(first, i64(product.inner.back().b_stride)));
    const DType stored = operand_dtype(pair.b);
    copy_panel(element_pointer(buffer_pointer(pair.b), stored, from), stored, run.columns, steps, panel.columns);
    // The next stretch begins further down, or at the top of the next panel.
    llvm::Value* next = ir_.CreateSelect(is_last, ir_.CreateAdd(b, i64(tile_columns())),
                                         ir_.CreateAdd(from, i64(product.stretch * product.inner.back().b_stride)));
    for_range(run.begin, run.end, 1, [&](llvm::Value* unit) {
      Tile tile = make_tile(grid, unit);
      llvm::Value* in_run = ir_.CreateSub(unit, run.begin);
      tile.sums = element_pointer(run.sums, product.dtype, ir_.CreateMul(in_run, i64(tile_elements())));
      tile.steps = steps;
      tile.copied = run.columns;
      if (clears) if_then(is_first, [&] { clear_sums(tile); });
      if (finishes) if_then(is_last, [&] { emit_prefetch(tile); });
      prefetch_part(pair.b, next, product.stretch, in_run, ir_.CreateSub(run.end, run.begin));
      emit_sums(tile, pair, advance(left_start(tile), first, product.inner.back().a_stride), nullptr);
      if (finishes) if_then(is_last, [&] { emit_epilogue(tile); });
    });
  });
}

/// The store of an epilogue that does nothing else, where the micro-kernel can do it: columns side by side, one
/// micro-kernel for all sums of the tile.
const Stmt* KernelEmitter::only_store() const {
  const Product& product = kernel_->product;
  const std::vector<Stmt>& body = kernel_->sweeps[0].body;
  if (body.size() != 2 || body[0].kind != StmtKind::Product || body[1].kind != StmtKind::Store) return nullptr;
  const Access& access = body[1].access;
  const bool simple = access.row < 0 && access.predicate < 0 && body[1].operands[0] == body[0].value && body[1].dtype == product.dtype &&
                      !function_.buffers[static_cast<size_t>(access.buffer)].check_finite;
  const bool in_columns = product.column.loop >= 0 && access.offset.coefficient(product.column.loop) == 1;
  return simple && in_columns && product.form == ProductForm::Broadcast && !adds_up(product) ? &body[1] : nullptr;
}

void KernelEmitter::place_in_result(Tile& tile, const Stmt& store) {
  const Product& product = kernel_->product;
  set_outer_loops(tile);
  if (product.row.loop >= 0) loop_values_[static_cast<size_t>(product.row.loop)] = tile.row;
  loop_values_[static_cast<size_t>(product.column.loop)] = tile.column;
  tile.sums = element_pointer(buffer_pointer(store.access.buffer), store.dtype, affine(store.access.offset));
  tile.sums_stride = i64(product.row.loop >= 0 ? store.access.offset.coefficient(product.row.loop) : 0);
}

llvm::Value* KernelEmitter::smaller(llvm::Value* a, llvm::Value* b) { return ir_.CreateSelect(ir_.CreateICmpSLT(a, b), a, b); }

llvm::Value* KernelEmitter::at_most(int64_t limit, llvm::Value* left) { return smaller(left, i64(limit)); }

/// A known number of rows is shared evenly. Of an unknown one the last tile moves up to be whole, and computes rows that
/// the one before it has finished, unless there are fewer rows than a tile has.
void KernelEmitter::set_rows(Tile& tile, const EvenSplit& split, llvm::Value* number) {
  const Product& product = kernel_->product;
  if (product.row.extent.is_static()) {
    tile.longer = split.extra > 0 ? ir_.CreateICmpSLT(number, i64(split.extra)) : nullptr;
    tile.row = ir_.CreateAdd(ir_.CreateMul(number, i64(split.base)), at_most(split.extra, number));
    tile.rows = tile.longer != nullptr ? ir_.CreateSelect(tile.longer, i64(split.base + 1), i64(split.base)) : i64(split.base);
    return;
  }
  llvm::Value* rows = extent(product.row.extent);
  llvm::Value* first = ir_.CreateMul(number, i64(product.tile.rows));
  llvm::Value* last_start = ir_.CreateSub(rows, i64(product.tile.rows));
  llvm::Value* moved_up = ir_.CreateAnd(ir_.CreateICmpSGT(first, last_start), ir_.CreateICmpSGE(last_start, i64(0)));
  tile.row = ir_.CreateSelect(moved_up, last_start, first);
  tile.done = ir_.CreateSub(first, tile.row);
  tile.rows = at_most(product.tile.rows, ir_.CreateSub(rows, tile.row));
}

/// Asks for what the epilogue will read at the tile: it arrives while the sums are computed. An optimiser's update reads
/// a parameter and its moments, which no cache holds since the last step.
void KernelEmitter::emit_prefetch(const Tile& tile) {
  const Product& product = kernel_->product;
  set_outer_loops(tile);
  for (const Stmt& stmt : kernel_->sweeps[0].body) {
    const Access& access = stmt.access;
    if (stmt.kind != StmtKind::Load || access.row >= 0 || product.row.loop < 0 || product.column.loop < 0) continue;
    if (access.offset.coefficient(product.column.loop) != 1 || access.offset.coefficient(product.row.loop) == 0) continue;
    for_range(tile.done != nullptr ? tile.done : i64(0), tile.rows, 1, [&](llvm::Value* r) {
      loop_values_[static_cast<size_t>(product.row.loop)] = ir_.CreateAdd(tile.row, r);
      loop_values_[static_cast<size_t>(product.column.loop)] = tile.column;
      llvm::Value* at = element_pointer(buffer_pointer(access.buffer), stmt.dtype, affine(access.offset));
      prefetch_row(at, stmt.dtype);
    });
  }
}

/// A tile's columns from `at` on. Not to the first level: there the burst would stand in the way of the panel that the
/// sums read.
void KernelEmitter::prefetch_row(llvm::Value* at, DType dtype) {
  constexpr int64_t kLine = 64;
  llvm::Value *read = ir_.getInt32(0), *second_level = ir_.getInt32(2), *data = ir_.getInt32(1);
  for (int64_t byte = 0; byte < tile_columns() * size_of(dtype); byte += kLine) {
    llvm::Value* line = ir_.CreateConstGEP1_64(ir_.getInt8Ty(), at, static_cast<uint64_t>(byte));
    ir_.CreateIntrinsic(llvm::Intrinsic::prefetch, {line->getType()}, {line, read, second_level, data});
  }
}

/// Each tile of rows asks for its part of the next panel of columns: weights that no cache has held since the last step
/// arrive while this panel is used.
void KernelEmitter::emit_panel_prefetch(const Tile& tile, const TileGrid& grid) {
  const Product& product = kernel_->product;
  const Extent depth = product.inner.back().extent;
  constexpr int64_t kFewestTiles = 4;
  const bool reads_panels_in_place = product.form == ProductForm::Broadcast && product.packed < 0 && product.column.b_stride == 1 &&
                                     product.inner.size() == 1 && product.outer.empty();
  if (!reads_panels_in_place || !depth.is_static() || grid.split.tiles < kFewestTiles) return;
  if (product.column.extent.bound <= tile_columns()) return;
  llvm::Value* next = ir_.CreateAdd(tile.column, i64(tile_columns() + product.b_start));
  prefetch_part(product.b, next, depth.bound, tile.number, grid.row_tiles());
}

/// Part `number` of `parts` of a panel of so many steps of the depth, whose columns begin at element `first` of the right
/// operand. Behind its last panel there is nothing, and nothing is read.
void KernelEmitter::prefetch_part(int32_t right, llvm::Value* first, int64_t steps, llvm::Value* number, llvm::Value* parts) {
  const Product& product = kernel_->product;
  const DType stored = operand_dtype(right);
  const auto begin_of = [&](llvm::Value* part) { return ir_.CreateSDiv(ir_.CreateMul(part, i64(steps)), parts); };
  for_range(begin_of(number), begin_of(ir_.CreateAdd(number, i64(1))), 1, [&](llvm::Value* k) {
    llvm::Value* element = ir_.CreateAdd(first, ir_.CreateMul(k, i64(product.inner.back().b_stride)));
    prefetch_row(ir_.CreateGEP(memory_type(stored), buffer_pointer(right), element), stored);
  });
}

/// Pairs of operands, and axes of the depth but the last two, are loops around the micro-kernel, which adds to the tile then.
void KernelEmitter::emit_tile_sums(const Tile& tile) {
  const Product& product = kernel_->product;
  const bool packed = product.packed >= 0;
  const PanelLayout layout = panel_layout(product);
  if (adds_up(product) && product.partials < 0) clear_sums(tile);
  using Positions = std::function<void(const ProductOperands&, size_t, llvm::Value*, llvm::Value*)>;
  const Positions inner = [&](const ProductOperands& pair, size_t axis, llvm::Value* a, llvm::Value* b) {
    if (axis + kMicroKernelAxes >= product.inner.size()) return emit_sums(tile, pair, a, b);
    const bool in_block = axis == 0 && tile.block_begin != nullptr;
    llvm::Value* first = in_block ? tile.block_begin : i64(0);
    llvm::Value* end = in_block ? tile.block_end : extent(product.inner[axis].extent);
    for_range(first, end, 1, [&](llvm::Value* i) {
      inner(pair, axis + 1, advance(a, i, product.inner[axis].a_stride),
            advance(b, i, packed ? layout.inner_strides[axis] : product.inner[axis].b_stride));
    });
  };
  for (const ProductOperands& pair : operand_pairs(product)) inner(pair, 0, left_start(tile), right_start(tile));
}

/// The element of a at which a tile's rows begin.
llvm::Value* KernelEmitter::left_start(const Tile& tile) {
  const Product& product = kernel_->product;
  llvm::Value* at = advance(i64(product.a_start), tile.row, product.row.a_stride);
  for (size_t axis = 0; axis < product.outer.size(); ++axis) at = advance(at, tile.outer[axis], product.outer[axis].a_stride);
  return at;
}

llvm::Value* KernelEmitter::advance(llvm::Value* at, llvm::Value* position, int64_t stride) {
  return stride == 0 ? at : ir_.CreateAdd(at, ir_.CreateMul(position, i64(stride)));
}

/// The element of b, or of its panels, at which a tile's columns begin.
llvm::Value* KernelEmitter::right_start(const Tile& tile) {
  const Product& product = kernel_->product;
  const bool packed = product.packed >= 0;
  const PanelLayout layout = panel_layout(product);
  llvm::Value* at = packed ? ir_.CreateMul(tile.panel, i64(layout.panel_elements))
                           : advance(i64(product.b_start), tile.column, product.column.b_stride);
  for (size_t axis = 0; axis < product.outer.size(); ++axis) {
    at = advance(at, tile.outer[axis], packed ? layout.outer_strides[axis] : product.outer[axis].b_stride);
  }
  return at;
}

/// No memset: the code calls nothing outside itself.
void KernelEmitter::clear_sums(const Tile& tile) {
  const Product& product = kernel_->product;
  llvm::Type* vector = llvm::FixedVectorType::get(scalars_.element_type(product.dtype), static_cast<unsigned>(lanes_));
  for_range(i64(0), i64(tile_elements()), lanes_, [&](llvm::Value* at) {
    ir_.CreateAlignedStore(llvm::Constant::getNullValue(vector), element_pointer(tile.sums, product.dtype, at),
                           llvm::Align(static_cast<uint64_t>(size_of(product.dtype))));
  });
}

/// All rows of the tile by the micro-kernels for as many.
void KernelEmitter::emit_sums(const Tile& tile, const ProductOperands& pair, llvm::Value* a, llvm::Value* b) {
  const Product& product = kernel_->product;
  const int32_t right = pair.packed >= 0 ? pair.packed : pair.b;
  llvm::Value* a_pointer = element_pointer(buffer_pointer(pair.a), operand_dtype(pair.a), a);
  llvm::Value* b_pointer = tile.copied != nullptr ? tile.copied : element_pointer(buffer_pointer(right), operand_dtype(right), b);
  const auto rows = [&](int64_t count) { return [&, count] { call_micro_kernel(tile, pair, count, a_pointer, b_pointer, tile.sums); }; };
  if (product.row.extent.is_static()) {
    const EvenSplit split = split_evenly(product.row.extent.bound, product.tile.rows);
    if (tile.longer == nullptr) return rows(split.base)();
    return if_else(tile.longer, rows(split.base + 1), rows(split.base));
  }
  if_else(ir_.CreateICmpEQ(tile.rows, i64(product.tile.rows)), rows(product.tile.rows), [&] {
    for_range(i64(0), tile.rows, 1, [&](llvm::Value* r) {
      call_micro_kernel(tile, pair, 1, element_pointer(a_pointer, operand_dtype(pair.a), ir_.CreateMul(r, i64(product.row.a_stride))), b_pointer,
                        element_pointer(tile.sums, product.dtype, ir_.CreateMul(r, tile.sums_stride)));
    });
  });
}

void KernelEmitter::call_dot_kernel(const Tile& tile, int64_t rows, llvm::Value* a, llvm::Value* b, llvm::Value* sums) {
  const Product& product = kernel_->product;
  const DotKernelForm form{.dtype = product.dtype,
                           .left = operand_dtype(product.a),
                           .right = operand_dtype(product.packed >= 0 ? product.packed : product.b),
                           .rows = rows,
                           .columns = product.column.extent.bound};
  llvm::Function* dot = shared_.declare(module_, form.name(), DotKernelEmitter::type(context_),
                                        [&target = target_, lanes = lanes_, form](llvm::Module& module) {
                                          DotKernelEmitter(module, target, lanes, form).emit();
                                        });
  const int64_t column_stride = product.packed >= 0 ? panel_layout(product).depth : product.column.b_stride;
  ir_.CreateCall(dot, {a, b, sums, extent(product.inner.back().extent), i64(product.row.a_stride), i64(column_stride), tile.sums_stride});
}

void KernelEmitter::call_micro_kernel(const Tile& tile, const ProductOperands& pair, int64_t rows, llvm::Value* a, llvm::Value* b, llvm::Value* sums) {
  const Product& product = kernel_->product;
  if (product.form == ProductForm::Dot) return call_dot_kernel(tile, rows, a, b, sums);
  using Columns = MicroKernelForm::Columns;
  const bool packed = product.packed >= 0 || tile.copied != nullptr;
  const bool padded = packed && only_store() == nullptr;  // panels end with zeros, and the tile has room for sums of them
  const ProductAxis& step = product.inner.back();
  llvm::Value *turns = i64(1), *a_turn = i64(0), *b_turn = i64(0);
  if (product.inner.size() >= kMicroKernelAxes) {
    const size_t axis = product.inner.size() - kMicroKernelAxes;
    turns = extent(product.inner[axis].extent);
    a_turn = i64(product.inner[axis].a_stride);
    b_turn = i64(packed ? panel_layout(product).inner_strides[axis] : product.inner[axis].b_stride);
  }
  const auto call = [&](int64_t vectors, Columns columns) {
    const int64_t at_once = product.bf16_pairs ? 2 : 1;
    const int64_t b_step = packed ? tile_columns() * at_once : step.b_stride;
    const int64_t a_step = step.a_stride * at_once;
    llvm::Value* steps = tile.steps != nullptr ? tile.steps : extent(step.extent);
    ir_.CreateCall(micro_kernel(pair, rows, vectors, columns), {a, b, sums, steps, tile.columns, i64(product.row.a_stride),
                                                          i64(a_step), i64(b_step), turns, a_turn, b_turn, tile.sums_stride});
  };
  const auto whole = [&] { call(tile_columns() / lanes_, Columns::Whole); };
  const Extent size = product.column.extent;
  const int64_t rest = size.is_static() ? size.bound % tile_columns() : 0;
  const auto partial = [&] {
    if (!size.is_static()) {
      call(tile_columns() / lanes_, Columns::AllMasked);
    } else {
      const bool whole_vectors = padded || rest % lanes_ == 0;
      call((rest + lanes_ - 1) / lanes_, whole_vectors ? Columns::Whole : Columns::LastMasked);
    }
  };
  if ((size.is_static() && rest == 0) || (!size.is_static() && padded)) {
    whole();
  } else if (size.is_static() && size.bound < tile_columns()) {
    partial();
  } else {
    if_else(ir_.CreateICmpEQ(tile.columns, i64(tile_columns())), whole, partial);
  }
}

llvm::Function* KernelEmitter::micro_kernel(const ProductOperands& pair, int64_t rows, int64_t vectors, MicroKernelForm::Columns columns) {
  const Product& product = kernel_->product;
  const bool far_rows = rows > kMaxRowAddresses && product.row.a_stride != 1;
  const MicroKernelForm form{.dtype = product.dtype,
                             .left = operand_dtype(pair.a),
                             .right = product.stretch > 0 ? product.dtype : operand_dtype(pair.packed >= 0 ? pair.packed : pair.b),
                             .rows = rows,
                             .vectors = vectors,
                             .columns = columns,
                             .unit_steps = product.inner.back().a_stride == 1,
                             .unit_rows = product.row.a_stride == 1,
                             .row_stride = far_rows || reads_left_panel(product) ? product.row.a_stride : 0,
                             .accumulate = adds_up(product),
                             .direct = only_store() != nullptr,
                             .pairs = product.bf16_pairs,
                             .turns = product.inner.size() >= kMicroKernelAxes};
  return shared_.declare(module_, form.name(), MicroKernelEmitter::type(context_),
                         [&target = target_, lanes = lanes_, form](llvm::Module& module) {
                           MicroKernelEmitter(module, target, lanes, form).emit();
                         });
}

void KernelEmitter::set_outer_loops(const Tile& tile) {
  const Product& product = kernel_->product;
  for (size_t axis = 0; axis < product.outer.size(); ++axis) {
    loop_values_[static_cast<size_t>(product.outer[axis].loop)] = tile.outer[axis];
  }
}

/// The sweep's body at each element of the tile, vectors along the result's innermost axis.
void KernelEmitter::emit_epilogue(const Tile& tile) {
  const Product& product = kernel_->product;
  set_outer_loops(tile);
  if (product.form == ProductForm::Transposed) {
    llvm::Value* sums = emit_transposed_tile(tile);
    for_range(i64(0), tile.columns, 1, [&](llvm::Value* c) {
      if (product.column.loop >= 0) loop_values_[static_cast<size_t>(product.column.loop)] = ir_.CreateAdd(tile.column, c);
      tile_row_ = element_pointer(sums, product.dtype, ir_.CreateMul(c, i64(lanes_)));
      emit_epilogue_row(product.row, tile.row, tile.rows);
    });
    return;
  }
  for_range(tile.done != nullptr ? tile.done : i64(0), tile.rows, 1, [&](llvm::Value* r) {
    if (product.row.loop >= 0) loop_values_[static_cast<size_t>(product.row.loop)] = ir_.CreateAdd(tile.row, r);
    tile_row_ = element_pointer(tile.sums, product.dtype, ir_.CreateMul(r, i64(tile_columns())));
    emit_epilogue_row(product.column, tile.column, tile.columns);
  });
}

/// `count` elements from `first` on along `axis`, whose sums stand side by side at tile_row_.
void KernelEmitter::emit_epilogue_row(const ProductAxis& axis, llvm::Value* first, llvm::Value* count) {
  const std::vector<Stmt>& body = kernel_->sweeps[0].body;
  if (axis.loop < 0) {
    tile_column_ = i64(0);
    emit_statements(body);
    return;
  }
  // One body, masked on every turn when the last one needs it: a tile has few turns and the body may be long.
  const bool masked = !axis.extent.is_static() || axis.extent.bound % lanes_ != 0;
  vector_loop_ = axis.loop;
  for_range(i64(0), count, lanes_, [&](llvm::Value* c) {
    if (masked) mask_ = mask_below(ir_.CreateSub(count, c));
    tile_column_ = c;
    loop_values_[static_cast<size_t>(axis.loop)] = ir_.CreateAdd(first, c);
    emit_statements(body);
    mask_ = nullptr;
  });
  vector_loop_ = -1;
}

/// [columns, lanes]: each column's sums side by side, rows that do not exist are 0.
llvm::Value* KernelEmitter::emit_transposed_tile(const Tile& tile) {
  const Product& product = kernel_->product;
  llvm::Value* turned = stack(scalars_.element_type(product.dtype), tile_columns() * lanes_, "turned");
  llvm::Type* vector = llvm::FixedVectorType::get(scalars_.element_type(product.dtype), static_cast<unsigned>(lanes_));
  const llvm::Align align(static_cast<uint64_t>(size_of(product.dtype)));
  for_range(i64(0), i64(tile_columns()), lanes_, [&](llvm::Value* c) {
    std::vector<llvm::Value*> square(static_cast<size_t>(lanes_), llvm::Constant::getNullValue(vector));
    for (int64_t r = 0; r < product.row.extent.bound; ++r) {
      llvm::Value* from = element_pointer(tile.sums, product.dtype, ir_.CreateAdd(c, i64(r * tile_columns())));
      square[static_cast<size_t>(r)] = ir_.CreateAlignedLoad(vector, from, align);
    }
    square = transposed(std::move(square));
    for (int64_t i = 0; i < lanes_; ++i) {
      llvm::Value* to = element_pointer(turned, product.dtype, ir_.CreateMul(ir_.CreateAdd(c, i64(i)), i64(lanes_)));
      ir_.CreateAlignedStore(square[static_cast<size_t>(i)], to, align);
    }
  });
  return turned;
}

}  // namespace smelt
