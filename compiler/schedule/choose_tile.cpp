#include "compiler/schedule/choose_tile.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "compiler/schedule/panels.h"

namespace smelt {
namespace {

constexpr int64_t kMaxVectors = 6;
constexpr int64_t kUsualVectors = 3;  // tiles of one form share code, so another one has to pay
constexpr double kWorthAnother = 0.97;
constexpr int64_t kSumsInFlight = 8;  // fewer sums wait for each other: latency times throughput of multiply-add

/// Rows of a product: a known number is shared evenly by its tiles; of a run-time one, usually `usual`, all tiles have
/// one size and the last of them computes rows again that others have.
struct Rows {
  bool known = true;
  int64_t usual = 1;
};

double panel_cycles(const Rows& rows, int64_t row_limit, int64_t vectors) {
  const EvenSplit split = split_evenly(rows.usual, row_limit);
  if (!rows.known) return static_cast<double>(split.tiles * step_cycles(row_limit, vectors));
  return static_cast<double>(split.extra * step_cycles(split.base + 1, vectors) +
                             (split.tiles - split.extra) * step_cycles(split.base, vectors));
}

double cycles(const Rows& rows, int64_t row_limit, int64_t total_vectors, int64_t vectors) {
  const int64_t rest = total_vectors % vectors;
  return static_cast<double>(total_vectors / vectors) * panel_cycles(rows, row_limit, vectors) +
         (rest > 0 ? panel_cycles(rows, row_limit, rest) : 0);
}

int64_t rows_beside(int64_t vectors, const VectorRegisters& registers) {
  return std::max<int64_t>(1, (registers.count - registers.scratch - vectors) / vectors);
}

/// As many as the registers allow, or fewer where that many leave the last tile less to repeat.
int64_t choose_rows(const Rows& rows, int64_t vectors, const VectorRegisters& registers) {
  constexpr double kWorthFewer = 0.96;  // columns are loaded more often for them
  int64_t chosen = rows_beside(vectors, registers);
  if (rows.known) return chosen;
  for (int64_t fewer = chosen - 1, least = (chosen + 1) / 2; fewer >= least; --fewer) {
    if (panel_cycles(rows, fewer, vectors) < kWorthFewer * panel_cycles(rows, chosen, vectors)) chosen = fewer;
  }
  return chosen;
}

TileShape broadcast_tile(const Product& product, const VectorRegisters& registers, int64_t usual_rows) {
  const int64_t total = std::max<int64_t>(1, (product.column.extent.bound + registers.lanes - 1) / registers.lanes);
  const Rows rows{.known = product.row.extent.is_static(), .usual = std::max<int64_t>(1, usual_rows)};
  const auto cost = [&](int64_t vectors) {
    return cycles(rows, choose_rows(rows, vectors, registers), total, vectors);
  };
  int64_t chosen = std::min({kUsualVectors, total, registers.count / 8});
  double least = cost(chosen) * kWorthAnother;
  for (int64_t vectors = 1; vectors <= std::min(kMaxVectors, total); ++vectors) {
    if (cost(vectors) < least) {
      chosen = vectors;
      least = cost(vectors);
    }
  }
  return {choose_rows(rows, chosen, registers), chosen * registers.lanes};
}

/// Axes of the depth that are left when those that are one for a are one for b as well, as they are in panels.
size_t axes_in_panels(const Product& product) {
  const std::vector<ProductAxis>& inner = product.inner;
  size_t axes = 1;
  for (size_t axis = 0; axis + 1 < inner.size(); ++axis)
    axes += inner[axis].a_stride == inner[axis + 1].extent.bound * inner[axis + 1].a_stride ? 0 : 1;
  return axes;
}

int64_t steps_of_depth(const Product& product) {
  int64_t steps = 1;
  for (const ProductAxis& axis : product.inner) steps *= axis.extent.bound;
  return steps;
}

/// Long dot products of rows that lie along the depth, whose innermost axis fills vectors.
bool sums_along_depth(const Product& product, const VectorRegisters& registers) {
  constexpr int64_t kVectorsToPay = 4;  // for adding up across lanes
  constexpr int64_t kRowsToPay = 6;     // for packing a single column
  const ProductAxis& depth = product.inner.back();
  const bool fills_vectors =
      depth.extent.bound >= kVectorsToPay * registers.lanes || depth.extent.bound % registers.lanes == 0;
  const bool is_packed = depth.b_stride != 1 && depth.extent.is_static() && depth.extent.bound % kPanelDepthStep == 0;
  const size_t axes = is_packed ? axes_in_panels(product) : product.inner.size();
  return axes <= kMicroKernelAxes && product.pairs.size() <= 1 && depth.a_stride == 1 && fills_vectors &&
         steps_of_depth(product) >= kVectorsToPay * registers.lanes &&
         (product.column.extent.bound > 1 || product.row.extent.bound >= kRowsToPay);
}

void transpose(Product& product) {
  const auto exchange = [](ProductAxis& axis) { std::swap(axis.a_stride, axis.b_stride); };
  for (ProductAxis& axis : product.outer) exchange(axis);
  for (ProductAxis& axis : product.inner) exchange(axis);
  exchange(product.row);
  exchange(product.column);
  std::swap(product.row, product.column);
  for (ProductOperands& pair : product.pairs) std::swap(pair.a, pair.b);
  std::swap(product.a_start, product.b_start);
}

/// So many that `rows` rows fit beside them, at least one.
int64_t vectors_beside(int64_t rows, const VectorRegisters& registers) {
  return std::clamp<int64_t>((registers.count - registers.scratch) / (rows + 1), 1, kMaxVectors);
}

}  // namespace

int64_t step_cycles(int64_t rows, int64_t vectors) { return std::max({rows * vectors, rows + vectors, kSumsInFlight}); }

EvenSplit split_evenly(int64_t size, int64_t limit) {
  const int64_t tiles = std::max<int64_t>(1, (size + limit - 1) / limit);
  return {tiles, size / tiles, size % tiles};
}

void choose_tile(Product& product, const VectorRegisters& registers, int64_t usual_rows) {
  ProductSchedule& schedule = product.schedule.emplace();
  const Extent columns = product.column.extent;
  if (columns.is_static() && columns.bound >= 1 && columns.bound < registers.lanes) {
    if (sums_along_depth(product, registers)) {
      schedule.form = ProductForm::Dot;
      // A register for each sum, each row, and a few for the columns that pass by.
      schedule.tile = {std::max<int64_t>(1, (registers.count - registers.scratch - 2) / (columns.bound + 1)),
                       registers.lanes};
      return;
    }
    // Results lie apart then: few rows are worth it where a quarter of a vector's lanes at most would work.
    const int64_t fewest_rows = columns.bound <= registers.lanes / 4 ? registers.lanes : 2 * registers.lanes;
    if (product.row.a_stride == 1 && product.row.extent.bound >= fewest_rows) {
      transpose(product);
      schedule.form = ProductForm::Transposed;
      schedule.tile = {product.row.extent.bound, vectors_beside(product.row.extent.bound, registers) * registers.lanes};
      return;
    }
  }
  schedule.tile = broadcast_tile(product, registers, usual_rows);
}

int64_t tile_elements(const Product& product) {
  const TileShape& tile = product.schedule->tile;
  int64_t tiles = split_evenly(product.row.extent.bound, tile.rows).tiles *
                  split_evenly(product.column.extent.bound, tile.columns).tiles;
  for (const ProductAxis& axis : product.outer) tiles *= axis.extent.bound;
  return tiles * tile.rows * tile.columns;
}

int64_t choose_block(const Product& product, const Blocking& blocking, int64_t usual_rows) {
  constexpr int64_t kPositions = 2;
  const auto known = [](const ProductAxis& axis) { return axis.extent.is_static(); };
  if (product.inner.size() <= kMicroKernelAxes || product.schedule->form != ProductForm::Broadcast) return 0;
  if (!known(product.row) || !known(product.column) || !std::ranges::all_of(product.outer, known)) return 0;
  if (choose_stretch(product, blocking, usual_rows) > 0) return 0;  // passes by in shorter pieces
  if (product.column.b_stride != 1 && axes_in_panels(product) <= kMicroKernelAxes) return 0;  // panels hold it in order
  // One position reads what lies between it and the next.
  const ProductAxis& outermost = product.inner[0];
  const int64_t bytes = (std::abs(outermost.a_stride) + std::abs(outermost.b_stride)) * size_of(product.dtype);
  if (bytes == 0 || outermost.extent.bound * bytes <= blocking.cache_bytes) return 0;
  return std::max(kPositions, blocking.cache_bytes / bytes);
}

bool lies_along_rows(const Product& product) { return product.row.a_stride == 1 && product.inner.back().a_stride != 1; }

bool is_free(const ProductAxis& outer) { return outer.b_stride == 0; }

int64_t tiles_of_panel(const Product& product, int64_t usual_rows) {
  int64_t tiles = split_evenly(usual_rows, product.schedule->tile.rows).tiles;
  for (const ProductAxis& axis : product.outer) tiles *= is_free(axis) ? axis.extent.bound : 1;
  return tiles;
}

bool passes_panels_first(const Product& product, const Blocking& blocking) {
  if (std::holds_alternative<CopiedColumns>(product.schedule->right)) return false;
  int64_t bytes = product.column.extent.bound * size_of(product.dtype);
  for (const ProductAxis& axis : product.inner) bytes *= axis.extent.bound;
  return bytes > blocking.cache_bytes;
}

// Rows that pass over one panel after the other come from the third level each time. Best of seven runs of
// `benchmarks/products`, without blocks and with, in turns: 16384,1024,256 111 and 140 GFLOP/s, 16384,512,256 118 and
// 138, 2048,1024,256 136 and 139, where the third level still keeps up.
std::optional<RowBlocks> choose_row_blocks(const Product& product, const Blocking& blocking) {
  const ProductSchedule& schedule = *product.schedule;
  const bool in_place = schedule.left == LeftOperand::InPlace && schedule.form == ProductForm::Broadcast;
  if (!in_place || schedule.blocks || std::holds_alternative<CopiedColumns>(schedule.right)) return std::nullopt;
  const int64_t limit = blocking.cache_bytes / 2;  // the panel takes a part, and what is written passes by
  const auto blocks_of = [&](int32_t axis, int64_t count, int64_t bytes_apart) -> std::optional<RowBlocks> {
    if (bytes_apart == 0 || count * bytes_apart <= limit) return std::nullopt;
    const EvenSplit split = split_evenly(count, std::max<int64_t>(1, limit / bytes_apart));
    return RowBlocks{axis, split.base + (split.extra > 0 ? 1 : 0)};
  };
  const auto bytes = [&](int64_t stride) { return std::abs(stride) * size_of(product.dtype); };
  if (product.column.extent.bound <= schedule.tile.columns) return std::nullopt;  // a passes by once
  if (passes_panels_first(product, blocking)) {
    // The outermost axis of which a position fits; those around it are outside of the panels then.
    for (size_t axis = 0; axis < product.outer.size(); ++axis) {
      const ProductAxis& outer = product.outer[axis];
      if (!is_free(outer) || outer.extent.bound < 2 || bytes(outer.a_stride) > limit) continue;
      return blocks_of(static_cast<int32_t>(axis), outer.extent.bound, bytes(outer.a_stride));
    }
  }
  const int64_t tiles = split_evenly(product.row.extent.bound, schedule.tile.rows).tiles;
  return blocks_of(RowBlocks::kRowTiles, tiles, bytes(product.row.a_stride) * schedule.tile.rows);
}

bool passes_in_strips(const Product& product, const Blocking& blocking) {
  return lies_along_rows(product) && product.row.extent.is_static() && product.column.extent.is_static() &&
         product.row.extent.bound * product.column.extent.bound >= blocking.strips_pay;
}

// Time of the 24 weight gradients of a step of examples/gpt.smelt by that of 8 other products, which do not
// change: 2.01 with 16 tiles of rows and 128 steps, 1.87 with 32 and 64, 1.72 when the next strip is asked for
// (emit_strips.cpp); 4, 5, 8 or 11 panels 1.70 to 1.75. `smelt profile examples/gpt.smelt --top 400`, two rounds, an
// idle AMD Zen 5.
StripShape strip_shape(const Product& product, const Blocking& blocking, int64_t stretch) {
  constexpr int64_t kRowTiles = 32, kPanels = 5, kLine = 16;  // elements
  const TileShape& tile = product.schedule->tile;
  StripShape shape;
  const int64_t steps = std::max<int64_t>(product.inner.back().extent.bound, 1);
  shape.steps = split_evenly(steps, stretch).base + (split_evenly(steps, stretch).extra > 0 ? 1 : 0);
  if (product.inner.size() > 1) shape.lines = std::max<int64_t>(1, stretch / shape.steps);
  const int64_t apart = std::abs(product.inner.back().a_stride) * size_of(product.dtype);
  shape.copies_rows = apart > blocking.rows_far || steps < blocking.short_line;
  const auto share = [](int64_t tiles, int64_t limit) {
    const EvenSplit split = split_evenly(tiles, limit);
    return split.base + (split.extra > 0 ? 1 : 0);
  };
  if (!shape.copies_rows && product.inner.size() > 1)
    shape.lines = share(product.inner[product.inner.size() - 2].extent.bound, shape.lines);
  const EvenSplit rows = split_evenly(product.row.extent.bound, tile.rows);
  shape.row_tiles = share(rows.tiles, kRowTiles);
  shape.panels = share(split_evenly(product.column.extent.bound, tile.columns).tiles, kPanels);
  const int64_t lines = (shape.row_tiles * (rows.base + (rows.extra > 0 ? 1 : 0)) + kLine - 1) / kLine;
  shape.row_step = (lines + (lines % 2 == 0 ? 1 : 0)) * kLine;
  return shape;
}

StretchSize stretch_size(const Product& product, int64_t stretch) {
  const int64_t steps = std::max<int64_t>(product.inner.back().extent.bound, 1);
  if (product.inner.size() > 1 && steps < stretch) return {stretch / steps, steps};
  const int64_t parts = (steps + stretch - 1) / stretch;
  return {1, (steps + parts - 1) / parts};
}

int64_t choose_stretch(const Product& product, const Blocking& blocking, int64_t usual_rows) {
  constexpr int64_t kFewRows = 8;      // a line of b is used up before the next one of its set can arrive
  constexpr int64_t kLongDepth = 4;    // stretches
  constexpr int64_t kFarApart = 2048;  // bytes from step to step of a: fewer lines of a set in a stretch
  const ProductSchedule& schedule = *product.schedule;
  const ProductAxis& depth = product.inner.back();
  const bool in_strips = passes_in_strips(product, blocking);
  const bool is_plain = schedule.form == ProductForm::Broadcast && product.column.b_stride == 1 &&
                        (product.inner.size() <= kMicroKernelAxes || in_strips);
  const auto bytes = [&](int64_t stride) { return std::abs(stride) * size_of(product.dtype); };
  const int64_t apart = bytes(depth.b_stride);
  const int64_t tiles =
      in_strips ? tiles_of_panel(product, usual_rows) : split_evenly(usual_rows, schedule.tile.rows).tiles;
  if (!is_plain || apart == 0 || tiles < blocking.fewest_tiles) return 0;
  // 1024 x 256 over 2048: 41 GFLOP/s in place, 77 in stretches of 128, 93 of 64; 256 x 256 over 2048: 54, 115 and 109.
  // Medians of `benchmarks/products TN` in place, the fastest of two runs otherwise, on a machine with other work.
  const int64_t steps = steps_of_depth(product);
  const bool is_long = steps >= kLongDepth * blocking.stretch ||
                       (steps >= blocking.stretch && bytes(depth.a_stride) >= 4 * blocking.rows_apart);
  if (in_strips && is_long && product.inner.size() > 1) return blocking.stretch;
  if (in_strips && is_long) return std::max<int64_t>(blocking.stretch / 2, 1);
  if (lies_along_rows(product) && is_long)
    return bytes(depth.a_stride) > kFarApart ? std::max<int64_t>(blocking.stretch / 2, 1) : blocking.stretch;
  if (product.inner.size() > 1 || apart % blocking.rows_apart != 0 || depth.extent.bound < blocking.stretch / 2)
    return 0;
  // Where more lines of these sets pass by than the second level holds, none is found there by the next tile of rows.
  // `benchmarks/products 64,1024,1024` in place and copied, where the third level is far, on a Xeon with 480 MB of it:
  // 77 and 169 GFLOP/s. Half as many lines are as fast in place.
  const int64_t lines = 2 * blocking.cache_bytes / apart;
  return schedule.tile.rows < kFewRows || depth.extent.bound > lines ? blocking.stretch : 0;
}

int64_t tiles_in_run(const Product& product) {
  constexpr int64_t kSumsBytes = int64_t{32} << 10;
  const TileShape& tile = product.schedule->tile;
  const int64_t tiles = (product.row.extent.bound + tile.rows - 1) / tile.rows;
  return std::clamp<int64_t>(kSumsBytes / (tile.rows * tile.columns * size_of(product.dtype)), 1,
                             std::max<int64_t>(1, tiles));
}

}  // namespace smelt
