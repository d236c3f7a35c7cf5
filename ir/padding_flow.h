// Rows of strings are as long as the longest one of their batch. What lies behind the end of a shorter one is padding,
// and how much there is depends on which rows met: a value that it gets into is another one in another batch.
#pragma once

#include <cstdint>
#include <span>

#include "ir/graph.h"

namespace smelt {

/// An operation that puts padding together with what rows have: a sum over positions, softmax, a carry after the last
/// step. `node` is null where there is none; it may be one of the body of a loop.
struct PaddingRead {
  const Node* node = nullptr;
  int32_t symbol = -1;  // the length
};

/// The first such operation that `results` depend on. `lengths`: symbols of run-time dims of strings.
///
/// A mask is taken to leave out the right positions: a comparison of what the data alone say (`lengths > index(T)`,
/// `text != 0`, causal masks), and what is computed from one. Padding of the data itself is 0, which sums and products
/// leave alone.
PaddingRead find_padding_read(const Graph& graph, std::span<const Output> results, std::span<const int32_t> lengths);

}  // namespace smelt
