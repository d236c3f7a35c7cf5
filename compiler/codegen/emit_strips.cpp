// Gradients of weights: the depth is all pixels of all examples, and neither operand has its steps side by side. The
// columns of a strip of the depth are copied, and its rows where steps lie far apart, so that a run of tiles of rows
// and panels of columns passes over memory in order; sums of the run lie on the stack between strips. A strip's terms
// are added up in registers before they join them: the error grows with the number of strips and not with that of
// pixels.
//
// Rows that are near are read in place: those of a filter's taps overlap, and a copy has each of them as often as it
// has taps.
#include <algorithm>
#include <cstdlib>
#include <functional>
#include <tuple>
#include <utility>

#include "compiler/codegen/product_emitter.h"

namespace smelt {

struct ProductEmitter::Strips {
  StripShape shape;
  EvenSplit split;                                                 // of all rows
  int64_t panels = 0;                                              // of all columns
  int64_t rows = 0;                                                // that a run's tiles have at most
  llvm::Value *sums = nullptr, *left = nullptr, *right = nullptr;  // left: null where rows are read in place
  llvm::Value *lines = nullptr, *depth = nullptr;  // of the product: all axes but the last, and the last
  std::vector<llvm::Value*> line_extents;
};

struct ProductEmitter::StripRun {
  std::vector<llvm::Value*> outer;
  llvm::Value *panel = nullptr, *row_tile = nullptr;  // the first ones
  llvm::Value* row = nullptr;                         // the first one
  llvm::Value *begin = nullptr, *end = nullptr;       // this thread's tiles of it
  bool clears = false, finishes = false;              // the first pair of operands, the last one
};

/// Where a strip begins and how long it is: so many steps of so many lines.
struct ProductEmitter::Strip {
  llvm::Value *line = nullptr, *step = nullptr, *lines = nullptr, *steps = nullptr;
  llvm::Value* rows = nullptr;  // the first element of a, where rows are read in place
};

/// Halves are copied, so that they are widened once.
StripShape ProductEmitter::shape_of_strips() {
  StripShape shape = strip_shape(product(), target_.blocking, std::get<CopiedColumns>(schedule().right).steps);
  const auto is_half = [&](const ProductOperands& pair) { return operand_dtype(pair.a) != product().dtype; };
  shape.copies_rows = shape.copies_rows || std::ranges::any_of(product().pairs, is_half);
  return shape;
}

void ProductEmitter::emit_strips() {
  const Product& product = this->product();
  llvm::Type* element = scalars_.element_type(product.dtype);
  Strips strips{.shape = shape_of_strips(),
                .split = split_evenly(product.row.extent.bound, schedule().tile.rows),
                .panels = split_evenly(product.column.extent.bound, tile_columns()).tiles};
  const StripShape& shape = strips.shape;
  strips.rows = shape.row_tiles * (strips.split.base + (strips.split.extra > 0 ? 1 : 0));
  const int64_t steps = shape.lines * shape.steps;
  strips.sums = stack(element, shape.row_tiles * shape.panels * sums_of_tile(), "tiles");
  if (strips.shape.copies_rows) strips.left = stack(element, steps * shape.row_step, "rows");
  strips.right = stack(element, steps * shape.panels * tile_columns(), "columns");
  strips.lines = i64(1);
  for (size_t axis = 0; axis + 1 < product.inner.size(); ++axis) {
    strips.line_extents.push_back(extent(product.inner[axis].extent));
    strips.lines = ir_.CreateMul(strips.lines, strips.line_extents.back());
  }
  strips.depth = extent(product.inner.back().extent);

  std::vector<llvm::Value*> extents;
  for (const ProductAxis& axis : product.outer) extents.push_back(extent(axis.extent));
  extents.push_back(i64(split_evenly(strips.panels, shape.panels).tiles));
  extents.push_back(i64(split_evenly(strips.split.tiles, shape.row_tiles).tiles));
  llvm::Value *runs = i64(1), *in_run = i64(shape.row_tiles * shape.panels);
  for (llvm::Value* size : extents) runs = ir_.CreateMul(runs, size);
  llvm::Value *begin = nullptr, *end = nullptr;
  std::tie(begin, end) = my_share(ir_.CreateMul(runs, in_run));
  llvm::Value* last_run = ir_.CreateSDiv(ir_.CreateAdd(end, ir_.CreateSub(in_run, i64(1))), in_run);
  if_then(ir_.CreateICmpSLT(begin, end), [&] {
    for_range(ir_.CreateSDiv(begin, in_run), last_run, 1, [&](llvm::Value* number) {
      StripRun run{.outer = decompose(number, extents)};
      llvm::Value* first = ir_.CreateMul(number, in_run);
      // A thread's share begins and ends anywhere.
      run.begin = ir_.CreateSub(ir_.CreateSelect(ir_.CreateICmpSLT(first, begin), begin, first), first);
      run.end = ir_.CreateSub(smaller(ir_.CreateAdd(first, in_run), end), first);
      run.row_tile = ir_.CreateMul(run.outer.back(), i64(shape.row_tiles));
      run.outer.pop_back();
      run.panel = ir_.CreateMul(run.outer.back(), i64(shape.panels));
      run.outer.pop_back();
      Tile tile;
      set_rows(tile, strips.split, run.row_tile);
      run.row = tile.row;
      emit_strip_run(strips, std::move(run));
    });
  });
}

void ProductEmitter::emit_strip_run(const Strips& strips, StripRun run) {
  const std::vector<ProductOperands>& pairs = product().pairs;
  for (size_t p = 0; p < pairs.size(); ++p) {
    run.clears = p == 0;
    run.finishes = p + 1 == pairs.size();
    for_each_strip(strips, [&](const Strip& strip) { emit_strip(strips, run, pairs[p], strip); });
  }
}

/// At least one strip, if of no steps: it finishes the tiles. Lines of rows that are read in place lie evenly apart:
/// they are of one position of the axes around them.
void ProductEmitter::for_each_strip(const Strips& strips, const std::function<void(const Strip&)>& body) {
  const StripShape& shape = strips.shape;
  const auto at_least_one = [&](llvm::Value* count) {
    return ir_.CreateSelect(ir_.CreateICmpSLT(count, i64(1)), i64(1), count);
  };
  const bool is_split = !strips.shape.copies_rows && !strips.line_extents.empty();
  llvm::Value* group = at_least_one(is_split ? strips.line_extents.back() : strips.lines);  // of lines
  for_range(i64(0), at_least_one(ir_.CreateSDiv(strips.lines, group)), 1, [&](llvm::Value* number) {
    for_range(i64(0), group, shape.lines, [&](llvm::Value* in_group) {
      Strip strip{.line = ir_.CreateAdd(ir_.CreateMul(number, group), in_group)};
      llvm::Value* left = smaller(ir_.CreateSub(group, in_group), ir_.CreateSub(strips.lines, strip.line));
      strip.lines = at_most(shape.lines, left);
      for_range(i64(0), at_least_one(strips.depth), shape.steps, [&](llvm::Value* step) {
        strip.step = step;
        strip.steps = at_most(shape.steps, ir_.CreateSub(strips.depth, step));
        body(strip);
      });
    });
  });
}

/// Tile `number` of a run; some of the last runs have no rows or no columns.
ProductEmitter::Tile ProductEmitter::make_strip_tile(const Strips& strips, const StripRun& run, const Strip& strip,
                                                     llvm::Value* number) {
  llvm::Value* panel = ir_.CreateSDiv(number, i64(strips.shape.row_tiles));
  Tile tile;
  tile.outer = run.outer;
  tile.panel = ir_.CreateAdd(run.panel, panel);
  tile.number = ir_.CreateAdd(run.row_tile, ir_.CreateSRem(number, i64(strips.shape.row_tiles)));
  set_rows(tile, strips.split, tile.number);
  tile.column = ir_.CreateMul(tile.panel, i64(tile_columns()));
  tile.columns = at_most(tile_columns(), ir_.CreateSub(extent(product().column.extent), tile.column));
  tile.sums = element_pointer(strips.sums, product().dtype, ir_.CreateMul(number, i64(sums_of_tile())));
  tile.sums_stride = i64(tile_columns());
  llvm::Value* in_run = ir_.CreateSub(tile.row, run.row);
  tile.left = strips.shape.copies_rows ? element_pointer(strips.left, product().dtype, in_run)
                                       : element_pointer(strip.rows, product().dtype, in_run);
  tile.left_step = strips.shape.copies_rows ? strips.shape.row_step : product().inner.back().a_stride;
  tile.turns = strips.shape.copies_rows ? nullptr : strip.lines;
  tile.steps = strips.shape.copies_rows ? ir_.CreateMul(strip.lines, strip.steps) : strip.steps;
  const int64_t in_panel = strips.shape.lines * strips.shape.steps * tile_columns();
  tile.copied = element_pointer(strips.right, product().dtype, ir_.CreateMul(panel, i64(in_panel)));
  return tile;
}

void ProductEmitter::emit_strip(const Strips& strips, const StripRun& run, const ProductOperands& pair,
                                const Strip& part) {
  Strip strip = part;
  if (!strips.shape.copies_rows)
    strip.rows =
        element_pointer(buffer_pointer(pair.a), product().dtype, strip_line(strips, run, strip.line, strip.step).first);
  copy_strip(strips, run, pair, strip);
  llvm::Value* is_first = ir_.CreateAnd(ir_.CreateICmpEQ(strip.line, i64(0)), ir_.CreateICmpEQ(strip.step, i64(0)));
  llvm::Value* is_last = ir_.CreateAnd(ir_.CreateICmpSGE(ir_.CreateAdd(strip.line, strip.lines), strips.lines),
                                       ir_.CreateICmpSGE(ir_.CreateAdd(strip.step, strip.steps), strips.depth));
  for_range(run.begin, run.end, 1, [&](llvm::Value* number) {
    const Tile tile = make_strip_tile(strips, run, strip, number);
    llvm::Value* exists = ir_.CreateAnd(ir_.CreateICmpSLT(tile.panel, i64(strips.panels)),
                                        ir_.CreateICmpSLT(tile.number, i64(strips.split.tiles)));
    if_then(exists, [&] {
      if (run.clears) if_then(is_first, [&] { clear_sums(tile); });
      if (run.finishes) if_then(is_last, [&] { emit_prefetch(tile); });
      if_then(ir_.CreateNot(is_last), [&] { prefetch_strip(strips, run, pair, strip, number); });
      emit_block_sums(tile, pair, nullptr, nullptr);
      if (run.finishes) if_then(is_last, [&] { emit_epilogue(tile); });
    });
  });
}

/// Where line `line` of the run's rows begins in a, and of its columns in b, at `step`.
std::pair<llvm::Value*, llvm::Value*> ProductEmitter::strip_line(const Strips& strips, const StripRun& run,
                                                                 llvm::Value* line, llvm::Value* step) {
  const Product& product = this->product();
  Tile corner;
  corner.outer = run.outer;
  corner.row = run.row;
  corner.panel = run.panel;
  corner.column = ir_.CreateMul(run.panel, i64(tile_columns()));
  llvm::Value *a = advance(left_start(corner), step, product.inner.back().a_stride),
              *b = advance(right_start(corner), step, product.inner.back().b_stride);
  if (strips.line_extents.empty()) return {a, b};
  const std::vector<llvm::Value*> position = decompose(line, strips.line_extents);
  for (size_t axis = 0; axis < position.size(); ++axis) {
    a = advance(a, position[axis], product.inner[axis].a_stride);
    b = advance(b, position[axis], product.inner[axis].b_stride);
  }
  return {a, b};
}

/// Tile `number` of a run asks for its part of the strip behind this one, whose lines lie too far apart for the machine
/// to see what comes next: they arrive while sums are computed.
void ProductEmitter::prefetch_strip(const Strips& strips, const StripRun& run, const ProductOperands& pair,
                                    const Strip& strip, llvm::Value* number) {
  const StripShape& shape = strips.shape;
  llvm::Value* next_step = ir_.CreateAdd(strip.step, i64(shape.steps));
  llvm::Value* ends_line = ir_.CreateICmpSGE(next_step, strips.depth);
  llvm::Value* first_line = ir_.CreateSelect(ends_line, ir_.CreateAdd(strip.line, strip.lines), strip.line);
  llvm::Value* first_step = ir_.CreateSelect(ends_line, i64(0), next_step);
  const auto begin_of = [&](llvm::Value* part) {
    llvm::Value* steps = ir_.CreateMul(part, i64(shape.lines * shape.steps));
    return ir_.CreateUDiv(steps, ir_.CreateSub(run.end, run.begin));
  };
  // Rows of a step that the next one has as well are asked for with it.
  const int64_t rows =
      strips.shape.copies_rows ? strips.rows : std::min(strips.rows, std::abs(product().inner.back().a_stride));
  llvm::Value* part = ir_.CreateSub(number, run.begin);
  for_range(begin_of(part), begin_of(ir_.CreateAdd(part, i64(1))), 1, [&](llvm::Value* at) {
    const auto [a, b] = strip_line(strips, run, ir_.CreateAdd(first_line, ir_.CreateUDiv(at, i64(shape.steps))),
                                   ir_.CreateAdd(first_step, ir_.CreateURem(at, i64(shape.steps))));
    prefetch_elements(pair.a, a, rows);
    prefetch_elements(pair.b, b, std::min(strips.panels, shape.panels) * tile_columns());
  });
}

/// Line by line: rows as [step, row], columns as [panel, step, column].
void ProductEmitter::copy_strip(const Strips& strips, const StripRun& run, const ProductOperands& pair,
                                const Strip& strip) {
  const Product& product = this->product();
  const StripShape& shape = strips.shape;
  const ProductAxis& depth = product.inner.back();
  llvm::Value* steps = strip.steps;
  llvm::Value* rows = at_most(strips.rows, ir_.CreateSub(extent(product.row.extent), run.row));
  llvm::Value* first_column = ir_.CreateMul(run.panel, i64(tile_columns()));
  for_range(i64(0), strip.lines, 1, [&](llvm::Value* l) {
    const auto [a, b] = strip_line(strips, run, ir_.CreateAdd(strip.line, l), strip.step);
    llvm::Value* at = ir_.CreateMul(l, steps);
    const auto copy = [&](int32_t buffer, llvm::Value* from, llvm::Value* to, int64_t stride, int64_t width,
                          llvm::Value* columns) {
      copy_columns_side_by_side({.source = element_pointer(buffer_pointer(buffer), operand_dtype(buffer), from),
                                 .panel = to,
                                 .from = operand_dtype(buffer),
                                 .to = product.dtype,
                                 .depth_stride = stride,
                                 .width = width,
                                 .depth = steps,
                                 .columns = columns});
    };
    if (strips.shape.copies_rows) {
      llvm::Value* place = ir_.CreateMul(at, i64(shape.row_step));
      copy(pair.a, a, element_pointer(strips.left, product.dtype, place), depth.a_stride, shape.row_step, rows);
    }
    llvm::Value* first_panel = ir_.CreateSDiv(run.begin, i64(shape.row_tiles));
    llvm::Value* end_panel = ir_.CreateSDiv(ir_.CreateAdd(run.end, i64(shape.row_tiles - 1)), i64(shape.row_tiles));
    end_panel = smaller(end_panel, ir_.CreateSub(i64(strips.panels), run.panel));
    for_range(first_panel, end_panel, 1, [&](llvm::Value* p) {
      llvm::Value *column = ir_.CreateMul(p, i64(tile_columns())),
                  *place = ir_.CreateMul(p, i64(shape.lines * shape.steps * tile_columns()));
      llvm::Value* to = ir_.CreateAdd(place, ir_.CreateMul(at, i64(tile_columns())));
      llvm::Value* left = ir_.CreateSub(extent(product.column.extent), ir_.CreateAdd(first_column, column));
      copy(pair.b, ir_.CreateAdd(b, column), element_pointer(strips.right, product.dtype, to), depth.b_stride,
           tile_columns(), at_most(tile_columns(), left));
    });
  });
}

}  // namespace smelt
