// The register tile of a product and how it is computed: by its shape and the target's registers alone.
#pragma once

#include <cstdint>

#include "compiler/loops/loop_ir.h"

namespace smelt {

/// What register tiles are made of: a fact of the target.
struct VectorRegisters {
  int64_t count = 32;
  int64_t lanes = 16;       // elements of the program's vector type in one
  int64_t scratch = 2;      // not for sums or columns
  bool bf16_pairs = false;  // an instruction adds products of pairs of bf16 to sums in f32
};

/// Sets the form and the tile. Rows are shared evenly among as few tiles as the registers allow, columns are whole
/// vectors. The transposed form exchanges the product's sides. `usual_rows`: how many there are, where that is known at
/// run time only.
void choose_tile(Product& product, const VectorRegisters& registers, int64_t usual_rows);

/// How long depths are cut. Caches are sized for any machine: results depend on these numbers.
struct Blocking {
  int64_t cache_bytes = int64_t{512} << 10;  // of operands in a block: half of a second-level cache
  int64_t stretch = 128;                     // steps of the depth that are copied at a time
  int64_t rows_apart = 4096;  // bytes: rows of b at multiples of it meet in one set of the first-level cache
  int64_t fewest_tiles = 4;   // of rows, that share what a copy costs
  int64_t pairs_pay = 32;     // rows, columns and steps for which packing pairs of bf16 pays
};
inline constexpr Blocking kFineBlocking{.cache_bytes = 1,
                                        .stretch = 3,
                                        .rows_apart = 4,
                                        .fewest_tiles = 1,
                                        .pairs_pay = 1};  // for trying it on small shapes

/// Positions of the depth's outermost axis whose operands stay in a cache while all tiles pass over them; 0: the whole
/// depth does, or the shape is not known. The depth of a convolution's weight gradient is all pixels of all images.
int64_t choose_block(const Product& product, const Blocking& blocking);
/// Elements of all tiles of a product whose shape is known.
int64_t tile_elements(const Product& product);

/// Steps of the depth whose columns are copied, to lie side by side while tiles of rows pass over them; 0: b is read in
/// place. That is slow where rows of b meet in one set of the first-level cache, and in few of the second's.
int64_t choose_stretch(const Product& product, const Blocking& blocking, int64_t usual_rows);
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
