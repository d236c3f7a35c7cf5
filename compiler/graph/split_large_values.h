// Large values that come from small ones and go into small ones are computed a part of one axis at a time, in a loop
// whose parts stay in a cache: the scores of attention, [heads, T, T], from queries and keys of [T, width] (Rabe,
// Staats 2021; Dao et al. 2022), logits over a large vocabulary, distances of all pairs. Memory grows with one axis
// less.
//
// Assumes:  primitives; what can leave loops has left them.
// Ensures:  each such region is one `scan` for its values of the forward pass and one for those of the backward pass,
//           which computes large values again; small ones are handed on. Sums over the axis are carries.
// Leaves:   values of less than LargeValues::bytes, axes of run-time size, and regions in which a node needs the whole
//           axis: a maximum over it, a window, a draw.
#pragma once

#include <cstdint>

#include "ir/graph.h"

namespace smelt {

struct LargeValues {
  int64_t bytes = int64_t{32} << 20;         // no cache holds more
  int64_t prefix_bytes = int64_t{32} << 20;  // of which rows may see a prefix (seen_prefix.h)
  int64_t part_bytes = int64_t{1} << 20;     // of the large value in a turn
  int64_t growth = 8;                        // times the operands of the product that makes it
  int64_t fewest_rows = 64;                  // for which a turn's products run at full speed
  int64_t tile = 16;                         // rows, and positions, that are computed together
};

Graph split_large_values(Graph graph);
Graph split_large_values(Graph graph, const LargeValues& limits);

}  // namespace smelt
