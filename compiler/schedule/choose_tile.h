// The register tile of a product and how it is computed: by its shape and the target's registers alone.
#pragma once

#include <cstdint>
#include <optional>

#include "compiler/loops/loop_ir.h"
#include "compiler/schedule/target.h"

namespace smelt {

/// Gives the product a schedule with a form and a tile. Rows are shared evenly among as few tiles as the registers
/// allow, columns are whole vectors. The transposed form exchanges the product's sides. `usual_rows`: how many there
/// are, where that is known at run time only.
void choose_tile(Product& product, const VectorRegisters& registers, int64_t usual_rows);

/// Positions of the depth's outermost axis whose operands stay in a cache while all tiles pass over them; 0: the whole
/// depth does, or the shape is not known. The depth of a convolution's weight gradient is all pixels of all images.
int64_t choose_block(const Product& product, const Blocking& blocking, int64_t usual_rows);
/// Elements of all tiles of a product whose shape is known.
int64_t tile_elements(const Product& product);

/// A product such as the gradient of a weight, x^T dy: a has its rows side by side, and its depth is the batch.
bool lies_along_rows(const Product& product);
/// Outer axes that b does not depend on, such as the lines of a picture: their tiles of rows may pass over the same
/// panel of columns.
bool is_free(const ProductAxis& outer);
/// Tiles of rows that one panel of columns meets, over free axes as well.
int64_t tiles_of_panel(const Product& product, int64_t usual_rows);
/// Whether all of them pass over a panel before the next panel, and b comes from memory once; else all panels pass over
/// a row of tiles, and a comes once. b is too large for the second level.
bool passes_panels_first(const Product& product, const Blocking& blocking);

/// Rows that pass over all panels before the next ones do, where those of a product do not stay in the second level
/// from panel to panel: so many positions of a free axis, or tiles of rows.
struct RowBlocks {
  static constexpr int32_t kRowTiles = -1;
  int32_t axis = kRowTiles;  // of `outer`
  int64_t positions = 1;
};
std::optional<RowBlocks> choose_row_blocks(const Product& product, const Blocking& blocking);

/// Whether a strip of the depth at a time is copied: a long depth of a gradient of a weight.
bool passes_in_strips(const Product& product, const Blocking& blocking);
/// A strip takes so many lines of the depth's last axis, or a part of one. A run of tiles passes over it together.
struct StripShape {
  bool copies_rows = true;  // else a is read where it lies, and the lines are of one position of the axes around them
  int64_t lines = 1, steps = 1;
  int64_t row_tiles = 1, panels = 1;  // of a run: their sums and their copies stay in the second-level cache
  int64_t row_step = 1;  // elements from step to step of the copied rows: an odd number of lines of a cache
};
StripShape strip_shape(const Product& product, const Blocking& blocking, int64_t stretch);

/// Steps of the depth whose columns are copied, to lie side by side while tiles of rows pass over them; 0: b is read in
/// place. That is slow where rows of b meet in one set of the first-level cache, and in few of the second's, and where
/// a long depth of a left operand that lies along its rows passes by at each tile: both sides come from afar then.
int64_t choose_stretch(const Product& product, const Blocking& blocking, int64_t usual_rows);
/// What a stretch takes of the last two axes of the depth: several turns, or an even part of one.
struct StretchSize {
  int64_t turns = 1, steps = 1;
  friend bool operator==(const StretchSize&, const StretchSize&) = default;
};
StretchSize stretch_size(const Product& product, int64_t stretch);
/// Row tiles that pass over a stretch together: their sums stay in the first-level cache.
int64_t tiles_in_run(const Product& product);

/// Cycles of one step of the depth in a tile: multiply-adds, or loads of columns and broadcasts of rows, or waiting.
int64_t step_cycles(int64_t rows, int64_t vectors);

/// How `size` positions are split into tiles of at most `limit`: the first `extra` tiles have one more than `base`.
struct EvenSplit {
  int64_t tiles = 1, base = 1, extra = 0;
};
EvenSplit split_evenly(int64_t size, int64_t limit);

}  // namespace smelt
