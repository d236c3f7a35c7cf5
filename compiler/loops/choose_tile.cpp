#include "compiler/loops/choose_tile.h"

#include <algorithm>

namespace smelt {
namespace {

constexpr int64_t kMaxVectors = 6;
constexpr int64_t kUsualVectors = 3;   // tiles of one form share code, so another one has to pay
constexpr double kWorthAnother = 0.97;
constexpr int64_t kSumsInFlight = 8;   // fewer sums wait for each other: latency times throughput of multiply-add

/// Cycles of one step of the depth in a tile: multiply-adds, or loads of columns and broadcasts of rows, or waiting.
double step_cycles(int64_t rows, int64_t vectors) {
  return static_cast<double>(std::max({rows * vectors, rows + vectors, kSumsInFlight}));
}

double cycles(int64_t rows, int64_t row_limit, int64_t total_vectors, int64_t vectors) {
  const EvenSplit split = split_evenly(rows, row_limit);
  const auto panel = [&](int64_t width) {
    return static_cast<double>(split.extra) * step_cycles(split.base + 1, width) +
           static_cast<double>(split.tiles - split.extra) * step_cycles(split.base, width);
  };
  const int64_t rest = total_vectors % vectors;
  return static_cast<double>(total_vectors / vectors) * panel(vectors) + (rest > 0 ? panel(rest) : 0);
}

int64_t rows_beside(int64_t vectors, const VectorRegisters& registers) {
  return std::max<int64_t>(1, (registers.count - registers.scratch - vectors) / vectors);
}

}  // namespace

EvenSplit split_evenly(int64_t size, int64_t limit) {
  const int64_t tiles = std::max<int64_t>(1, (size + limit - 1) / limit);
  return {tiles, size / tiles, size % tiles};
}

TileShape choose_tile(const Product& product, const VectorRegisters& registers) {
  const int64_t total = std::max<int64_t>(1, (product.column.extent.bound + registers.lanes - 1) / registers.lanes);
  const int64_t rows = std::max<int64_t>(1, product.row.extent.bound);
  const auto cost = [&](int64_t vectors) { return cycles(rows, rows_beside(vectors, registers), total, vectors); };
  int64_t chosen = std::min({kUsualVectors, total, registers.count / 8});
  double least = cost(chosen) * kWorthAnother;
  for (int64_t vectors = 1; vectors <= std::min(kMaxVectors, total); ++vectors) {
    if (cost(vectors) < least) {
      chosen = vectors;
      least = cost(vectors);
    }
  }
  return {rows_beside(chosen, registers), chosen * registers.lanes};
}

}  // namespace smelt
