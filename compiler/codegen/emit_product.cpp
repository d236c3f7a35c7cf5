// Products: which tiles a thread computes, and in which order. emit_tile_sums.cpp computes a tile through the
// micro-kernel (micro_kernel.h), emit_epilogue.cpp makes results of its sums, emit_pack.cpp packs the panels that it
// may read.
//
// A tile of sums lives in registers over the last two axes of the depth; each step of it loads the columns' vectors,
// broadcasts one left element a row and multiplies and adds. The finished tile goes to a small buffer in L1 from which
// the epilogue, a body like any other, reads it.
#include <algorithm>
#include <tuple>
#include <utility>

#include "compiler/codegen/product_emitter.h"

namespace smelt {

llvm::Value* ProductEmitter::tiles_of(llvm::Value* size, int64_t tile) {
  return ir_.CreateSDiv(ir_.CreateAdd(size, i64(tile - 1)), i64(tile));
}

llvm::Value* ProductEmitter::row_tiles(const EvenSplit& split) {
  const Extent& rows = product().row.extent;
  return rows.is_static() ? i64(split.tiles) : tiles_of(extent(rows), schedule().tile.rows);
}

ProductEmitter::TileGrid ProductEmitter::make_grid() {
  const Product& product = this->product();
  TileGrid grid{.split = split_evenly(product.row.extent.bound, schedule().tile.rows),
                .columns = extent(product.column.extent),
                .blocks = choose_row_blocks(product, target_.blocking)};
  llvm::Value* row_tiles = this->row_tiles(grid.split);
  const bool panels_first = passes_panels_first(product, target_.blocking);
  const int32_t blocked = grid.blocks ? grid.blocks->axis : TileGrid::kRowTiles;
  const auto add = [&](int32_t axis, llvm::Value* size) {
    if (grid.blocks && axis == blocked) size = i64(grid.blocks->positions);
    grid.axes.push_back(axis);
    grid.extents.push_back(size);
  };
  const auto add_outer = [&](bool in_panel) {
    for (int32_t axis = 0; axis < static_cast<int32_t>(product.outer.size()); ++axis) {
      const ProductAxis& outer = product.outer[static_cast<size_t>(axis)];
      const bool is_outside_of_blocks = grid.blocks && (blocked == TileGrid::kRowTiles || axis < blocked);
      if ((panels_first && is_free(outer) && !is_outside_of_blocks) == in_panel) add(axis, extent(outer.extent));
    }
  };
  add_outer(false);
  if (grid.blocks) {
    grid.blocked = blocked >= 0 ? extent(product.outer[static_cast<size_t>(blocked)].extent) : row_tiles;
    add(TileGrid::kBlocks, tiles_of(grid.blocked, grid.blocks->positions));
  }
  add(TileGrid::kPanels, tiles_of(grid.columns, tile_columns()));
  const size_t in_panel = grid.extents.size();
  add_outer(true);
  add(TileGrid::kRowTiles, row_tiles);
  grid.panel_tiles = i64(1);
  for (size_t at = in_panel; at < grid.extents.size(); ++at)
    grid.panel_tiles = ir_.CreateMul(grid.panel_tiles, grid.extents[at]);
  std::tie(grid.begin, grid.end) = my_tiles(grid);
  return grid;
}

/// Threads share the tiles by what they cost: those of a last, narrower panel cost less. What a thread computes changes
/// no sum.
std::pair<llvm::Value*, llvm::Value*> ProductEmitter::my_tiles(const TileGrid& grid) {
  const Product& product = this->product();
  llvm::Value* total = i64(1);
  for (llvm::Value* size : grid.extents) total = ir_.CreateMul(total, size);
  const Extent& columns = product.column.extent;
  const int64_t rest = columns.is_static() && schedule().form != ProductForm::Dot ? columns.bound % tile_columns() : 0;
  if (kernel_.serial || rest == 0 || columns.bound < tile_columns()) return my_share(total);
  const int64_t cost = step_cycles(schedule().tile.rows, tile_columns() / lanes_),
                rest_cost = step_cycles(schedule().tile.rows, (rest + lanes_ - 1) / lanes_);
  llvm::Value* whole_tiles =
      ir_.CreateMul(grid.panel_tiles, i64(columns.bound / tile_columns()));  // in whole panels side by side
  llvm::Value* whole_cost = ir_.CreateMul(whole_tiles, i64(cost));
  llvm::Value* tiles = ir_.CreateAdd(whole_tiles, grid.panel_tiles);
  llvm::Value* all_cost = ir_.CreateAdd(whole_cost, ir_.CreateMul(grid.panel_tiles, i64(rest_cost)));
  llvm::Value* safe_cost = ir_.CreateSelect(ir_.CreateICmpEQ(all_cost, i64(0)), i64(1), all_cost);  // no rows at all
  llvm::Value* total_cost =
      ir_.CreateMul(ir_.CreateUDiv(total, ir_.CreateSelect(ir_.CreateICmpEQ(tiles, i64(0)), i64(1), tiles)), all_cost);
  const auto begin_of = [&](llvm::Value* thread) {
    llvm::Value* at = ir_.CreateUDiv(ir_.CreateMul(total_cost, thread), ir_.CreateSExt(count_, ir_.getInt64Ty()));
    llvm::Value *row_of_panels = ir_.CreateUDiv(at, safe_cost), *in_it = ir_.CreateURem(at, safe_cost);
    llvm::Value* in_rest = ir_.CreateAdd(whole_tiles, ir_.CreateUDiv(ir_.CreateSub(in_it, whole_cost), i64(rest_cost)));
    llvm::Value* tile =
        ir_.CreateSelect(ir_.CreateICmpULT(in_it, whole_cost), ir_.CreateUDiv(in_it, i64(cost)), in_rest);
    return ir_.CreateAdd(ir_.CreateMul(row_of_panels, tiles), tile);
  };
  llvm::Value* thread = ir_.CreateSExt(thread_, ir_.getInt64Ty());
  return {begin_of(thread), begin_of(ir_.CreateAdd(thread, i64(1)))};
}

ProductEmitter::Tile ProductEmitter::make_tile(const TileGrid& grid, llvm::Value* unit) {
  Tile tile;
  tile.sums_stride = i64(tile_columns());
  const std::vector<llvm::Value*> position = decompose(unit, grid.extents);
  tile.outer.resize(product().outer.size());
  llvm::Value* block = nullptr;
  for (size_t at = 0; at < position.size(); ++at) {
    if (grid.axes[at] >= 0)
      tile.outer[static_cast<size_t>(grid.axes[at])] = position[at];
    else
      (grid.axes[at] == TileGrid::kPanels   ? tile.panel
       : grid.axes[at] == TileGrid::kBlocks ? block
                                            : tile.number) = position[at];
  }
  tile.in_block = tile.number;
  if (block != nullptr) {
    const int32_t axis = grid.blocks->axis;
    llvm::Value*& blocked = axis >= 0 ? tile.outer[static_cast<size_t>(axis)] : tile.number;
    blocked = ir_.CreateAdd(ir_.CreateMul(block, i64(grid.blocks->positions)), blocked);
    tile.exists = ir_.CreateICmpSLT(blocked, grid.blocked);
  }
  set_rows(tile, grid.split, tile.number);
  tile.column = ir_.CreateMul(tile.panel, i64(tile_columns()));
  tile.columns = at_most(tile_columns(), ir_.CreateSub(grid.columns, tile.column));
  return tile;
}

void ProductEmitter::emit_work() {
  if (schedule().left == LeftOperand::InStrips) return emit_strips();
  if (schedule().form == ProductForm::Streamed) return emit_streamed();
  const TileGrid grid = make_grid();
  if (schedule().blocks) return emit_blocks(grid, *schedule().blocks);
  if (const auto* copied = std::get_if<CopiedColumns>(&schedule().right)) return emit_stretches(grid, copied->steps);
  const Product& product = this->product();
  const Stmt* store = only_store();
  llvm::Value* sums = store == nullptr ? stack(scalars_.element_type(product.dtype), sums_of_tile(), "tile") : nullptr;
  for_range(grid.begin, grid.end, 1, [&](llvm::Value* unit) {
    Tile tile = make_tile(grid, unit);
    const auto compute = [&] {
      tile.sums = sums;
      if (store != nullptr) place_in_result(tile, *store);
      emit_panel_prefetch(tile, grid);
      if (store == nullptr) emit_prefetch(tile);
      emit_tile_sums(tile);
      if (store == nullptr) emit_epilogue(tile);
    };
    if (tile.exists != nullptr)
      if_then(tile.exists, compute);
    else
      compute();
  });
}

/// All tiles pass over a block of the depth's outermost axis before the next one; their sums lie in memory between
/// blocks.
void ProductEmitter::emit_blocks(const TileGrid& grid, const DepthBlocks& blocks) {
  const Product& product = this->product();
  const auto each_tile = [&](const std::function<void(Tile&)>& body) {
    for_range(grid.begin, grid.end, 1, [&](llvm::Value* unit) {
      Tile tile = make_tile(grid, unit);
      llvm::Value* at = ir_.CreateMul(unit, i64(sums_of_tile()));
      tile.sums = element_pointer(buffer_pointer(blocks.sums), product.dtype, at);
      body(tile);
    });
  };
  each_tile([&](Tile& tile) { clear_sums(tile); });
  llvm::Value* const positions = extent(product.inner[0].extent);
  for_range(i64(0), positions, blocks.positions, [&](llvm::Value* first) {
    each_tile([&](Tile& tile) {
      tile.block_begin = first;
      tile.block_end = smaller(positions, ir_.CreateAdd(first, i64(blocks.positions)));
      emit_tile_sums(tile);
    });
  });
  each_tile([&](Tile& tile) { emit_epilogue(tile); });
}

/// A run of row tiles passes over a stretch of the depth in one panel before the next stretch: columns are copied for
/// it, so that they lie side by side, and sums lie on the stack between stretches. A sum takes its terms in the same
/// order as without.
void ProductEmitter::emit_stretches(const TileGrid& grid, int64_t stretch) {
  const Product& product = this->product();
  const int64_t in_run = tiles_in_run(product);
  const TileRun run{.stretch = stretch,
                    .sums = stack(scalars_.element_type(product.dtype), in_run * sums_of_tile(), "tiles"),
                    .columns = stack(scalars_.element_type(product.dtype), stretch * tile_columns(), "columns")};
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
    TileRun here = run;
    here.begin = ir_.CreateSelect(ir_.CreateICmpSLT(begin, grid.begin), grid.begin, begin);
    here.end = smaller(end, grid.end);
    const std::vector<ProductOperands>& pairs = product.pairs;
    for (size_t p = 0; p < pairs.size(); ++p) emit_run(grid, here, pairs[p], p == 0, p + 1 == pairs.size());
  };
  if_then(ir_.CreateICmpSLT(grid.begin, grid.end), [&] {
    for_range(run_of(grid.begin), ir_.CreateAdd(run_of(ir_.CreateSub(grid.end, i64(1))), i64(1)), 1, emit);
  });
}

/// All stretches of one pair of operands; the first pair clears the sums, the last one finishes the tiles.
void ProductEmitter::emit_run(const TileGrid& grid, const TileRun& run, const ProductOperands& pair, bool clears,
                              bool finishes) {
  const Product& product = this->product();
  const StretchSize size = stretch_size(product, run.stretch);
  llvm::Value* turns = product.inner.size() > 1 ? extent(product.inner[0].extent) : i64(1);
  llvm::Value* depth = extent(product.inner.back().extent);
  llvm::Value* b = right_start(make_tile(grid, run.begin));
  // At least one stretch, if of no steps: it finishes the tiles.
  const auto at_least_one = [&](llvm::Value* count) {
    return ir_.CreateSelect(ir_.CreateICmpSLT(count, i64(1)), i64(1), count);
  };
  for_range(i64(0), at_least_one(turns), size.turns, [&](llvm::Value* turn) {
    for_range(i64(0), at_least_one(depth), size.steps, [&](llvm::Value* step) {
      Stretch stretch{.turn = turn,
                      .step = step,
                      .turns = at_most(size.turns, ir_.CreateSub(turns, turn)),
                      .steps = at_most(size.steps, ir_.CreateSub(depth, step))};
      llvm::Value *next_turn = ir_.CreateAdd(turn, i64(size.turns)), *next_step = ir_.CreateAdd(step, i64(size.steps));
      llvm::Value *ends_turn = ir_.CreateICmpSGE(next_step, depth), *ends = ir_.CreateICmpSGE(next_turn, turns);
      stretch.is_first = ir_.CreateAnd(ir_.CreateICmpEQ(turn, i64(0)), ir_.CreateICmpEQ(step, i64(0)));
      stretch.is_last = ir_.CreateAnd(ends_turn, ends);
      // The next stretch begins further down, in the next turns, or at the top of the next panel.
      llvm::Value* below = ir_.CreateSelect(ends_turn, right_at(b, next_turn, i64(0)), right_at(b, turn, next_step));
      stretch.next = ir_.CreateSelect(stretch.is_last, ir_.CreateAdd(b, i64(tile_columns())), below);
      copy_stretch(run, stretch, pair.b, right_at(b, turn, step), make_tile(grid, run.begin).columns);
      for_range(run.begin, run.end, 1, [&](llvm::Value* unit) {
        Tile tile = make_tile(grid, unit);
        llvm::Value* in_run = ir_.CreateSub(unit, run.begin);
        tile.sums = element_pointer(run.sums, product.dtype, ir_.CreateMul(in_run, i64(sums_of_tile())));
        tile.turns = stretch.turns;
        tile.steps = stretch.steps;
        tile.copied = run.columns;
        if (clears) if_then(stretch.is_first, [&] { clear_sums(tile); });
        if (finishes) if_then(stretch.is_last, [&] { emit_prefetch(tile); });
        for (int64_t t = 0; t < size.turns; ++t)
          prefetch_part(pair.b, right_at(stretch.next, i64(t), i64(0)), size.steps, in_run,
                        ir_.CreateSub(run.end, run.begin));
        llvm::Value* a = advance(left_start(tile), step, product.inner.back().a_stride);
        if (product.inner.size() > 1) a = advance(a, turn, product.inner[0].a_stride);
        emit_sums(tile, pair, a, nullptr);
        if (finishes) if_then(stretch.is_last, [&] { emit_epilogue(tile); });
      });
    });
  });
}

/// The element of b so many turns and steps behind `from`.
llvm::Value* ProductEmitter::right_at(llvm::Value* from, llvm::Value* turn, llvm::Value* step) {
  const Product& product = this->product();
  llvm::Value* at = advance(from, step, product.inner.back().b_stride);
  return product.inner.size() > 1 ? advance(at, turn, product.inner[0].b_stride) : at;
}

/// [turns, steps, columns of a tile]
void ProductEmitter::copy_stretch(const TileRun& run, const Stretch& stretch, int32_t right, llvm::Value* from,
                                  llvm::Value* columns) {
  const DType dtype = product().dtype, stored = operand_dtype(right);
  llvm::Value* elements = ir_.CreateMul(stretch.steps, i64(tile_columns()));  // of a turn
  for_range(i64(0), stretch.turns, 1, [&](llvm::Value* t) {
    copy_columns_side_by_side({.source = element_pointer(buffer_pointer(right), stored, right_at(from, t, i64(0))),
                               .panel = element_pointer(run.columns, dtype, ir_.CreateMul(t, elements)),
                               .from = stored,
                               .to = dtype,
                               .depth_stride = product().inner.back().b_stride,
                               .width = tile_columns(),
                               .depth = stretch.steps,
                               .columns = columns});
  });
}

/// The store of an epilogue that does nothing else, where the micro-kernel can do it: columns side by side, one
/// micro-kernel for all sums of the tile.
const Stmt* ProductEmitter::only_store() const {
  const Product& product = this->product();
  const std::vector<Stmt>& body = kernel_.sweeps[0].body;
  if (body.size() != 2 || body[0].kind != StmtKind::Product || body[1].kind != StmtKind::Store) return nullptr;
  const Access& access = body[1].access;
  const bool simple = access.row < 0 && access.predicate < 0 && body[1].operands[0] == body[0].value &&
                      body[1].dtype == product.dtype &&
                      !function_.buffers[static_cast<size_t>(access.buffer)].check_finite;
  if (product.row.outer_loop >= 0) return nullptr;
  const bool in_columns = product.column.loop >= 0 && access.offset.coefficient(product.column.loop) == 1;
  return simple && in_columns && schedule().form == ProductForm::Broadcast && !adds_up(product) ? &body[1] : nullptr;
}

void ProductEmitter::place_in_result(Tile& tile, const Stmt& store) {
  const Product& product = this->product();
  set_outer_loops(tile);
  if (product.row.loop >= 0) loop_values_[static_cast<size_t>(product.row.loop)] = tile.row;
  loop_values_[static_cast<size_t>(product.column.loop)] = tile.column;
  tile.sums = element_pointer(buffer_pointer(store.access.buffer), store.dtype, affine(store.access.offset));
  tile.sums_stride = i64(product.row.loop >= 0 ? store.access.offset.coefficient(product.row.loop) : 0);
}

/// A known number of rows is shared evenly. Of an unknown one the last tile moves up to be whole, and computes rows
/// that the one before it has finished, unless there are fewer rows than a tile has.
void ProductEmitter::set_rows(Tile& tile, const EvenSplit& split, llvm::Value* number) {
  const Product& product = this->product();
  if (product.row.extent.is_static()) {
    tile.longer = split.extra > 0 ? ir_.CreateICmpSLT(number, i64(split.extra)) : nullptr;
    tile.row = ir_.CreateAdd(ir_.CreateMul(number, i64(split.base)), at_most(split.extra, number));
    tile.rows =
        tile.longer != nullptr ? ir_.CreateSelect(tile.longer, i64(split.base + 1), i64(split.base)) : i64(split.base);
    return;
  }
  llvm::Value* rows = extent(product.row.extent);
  llvm::Value* first = ir_.CreateMul(number, i64(schedule().tile.rows));
  llvm::Value* last_start = ir_.CreateSub(rows, i64(schedule().tile.rows));
  llvm::Value* moved_up = ir_.CreateAnd(ir_.CreateICmpSGT(first, last_start), ir_.CreateICmpSGE(last_start, i64(0)));
  tile.row = ir_.CreateSelect(moved_up, last_start, first);
  tile.done = ir_.CreateSub(first, tile.row);
  tile.rows = at_most(schedule().tile.rows, ir_.CreateSub(rows, tile.row));
}

}  // namespace smelt
