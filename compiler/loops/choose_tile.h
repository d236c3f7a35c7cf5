// The register tile of a product and how it is computed: by its shape and the target's registers alone.
#pragma once

#include <cstdint>

#include "compiler/loops/loop_ir.h"

namespace smelt {

/// What register tiles are made of: a fact of the target.
struct VectorRegisters {
  int64_t count = 32;
  int64_t lanes = 16;   // elements of the program's vector type in one
  int64_t scratch = 2;  // not for sums or columns
  bool bf16_pairs = false;  // an instruction adds products of pairs of bf16 to sums in f32
};

/// Sets the form and the tile. Rows are shared evenly among as few tiles as the registers allow, columns are whole vectors.
/// The transposed form exchanges the product's sides.
void choose_tile(Product& product, const VectorRegisters& registers);

/// Positions of the depth's outermost axis whose operands stay in a cache while all tiles pass over them; 0: the whole depth
/// does, or the shape is not known. The depth of a convolution's weight gradient is all pixels of all images.
int64_t choose_block(const Product& product, int64_t cache_bytes);
inline constexpr int64_t kBlockBytes = int64_t{512} << 10;  // half of a second-level cache
/// Elements of all tiles of a product whose shape is known.
int64_t tile_elements(const Product& product);

/// How `size` positions are split into tiles of at most `limit`: the first `extra` tiles have one more than `base`.
struct EvenSplit {
  int64_t tiles = 1, base = 1, extra = 0;
};
EvenSplit split_evenly(int64_t size, int64_t limit);

}  // namespace smelt
