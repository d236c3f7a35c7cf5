// The register tile at hand while a product is emitted, and the order of tiles.
#pragma once

#include <vector>

#include "compiler/codegen/kernel_emitter.h"

namespace smelt {

struct KernelEmitter::Tile {
  llvm::Value* sums = nullptr;                  // of its first row and column
  llvm::Value* sums_stride = nullptr;           // elements from row to row
  llvm::Value* number = nullptr;                // among the tiles of rows
  llvm::Value *row = nullptr, *rows = nullptr;  // first row, number of rows
  llvm::Value* done = nullptr;                  // rows at the start that another tile has finished; null: none
  llvm::Value* longer = nullptr;                // an even split's tile has one row more; null: all have the same number
  llvm::Value *column = nullptr, *columns = nullptr;  // first column, number of columns
  llvm::Value* panel = nullptr;
  std::vector<llvm::Value*> outer;
  llvm::Value *block_begin = nullptr, *block_end = nullptr;  // of the depth's outermost axis; null: all of it
  llvm::Value *steps = nullptr,
              *copied = nullptr;  // of its innermost axis, and their columns of b; null: all of it, in place
};

/// How the tiles of a product are numbered. Rows run fastest: a panel of columns stays in cache while all rows pass
/// over it.
struct KernelEmitter::TileGrid {
  EvenSplit split;  // of a known number of rows
  llvm::Value* columns = nullptr;
  std::vector<llvm::Value*> extents;             // outer axes, panels of columns, tiles of rows
  llvm::Value *begin = nullptr, *end = nullptr;  // this thread's tiles

  llvm::Value* row_tiles() const { return extents.back(); }
};

/// Row tiles of one panel of columns that pass over the depth together.
struct KernelEmitter::Run {
  int64_t stretch = 0;                              // steps of the depth
  llvm::Value *sums = nullptr, *columns = nullptr;  // of all its tiles; of the stretch at hand, side by side
  llvm::Value *begin = nullptr, *end = nullptr;
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
