// Values of f16 and bf16 in a graph: whether every correct executor rounds them in the same places.
#pragma once

#include <cstdint>
#include <string>

#include "ir/graph.h"

namespace smelt::fuzz {

enum class HalfRounding : uint8_t {
  None,   // there are no halves
  Once,   // where the graph says and nowhere else: halves are converted, moved and read
  Freely  // there is arithmetic on halves, or gradients go through them: a rewrite, or another order of cotangents,
          // rounds elsewhere
};

/// Of what the results of `graph`, composites and `grad` included, need.
HalfRounding half_rounding(const Graph& graph);

/// Whether products on `cpu` may multiply pairs of bf16 (decision 8): then one that has a left operand of bf16 may
/// round the other.
bool has_bf16_pairs(const Graph& graph, const std::string& cpu);

}  // namespace smelt::fuzz
