// Smaller variants of a graph with its arguments.
#pragma once

#include <functional>
#include <vector>

#include "fuzz/random_graph.h"

namespace smelt::fuzz {

/// Dead nodes and arguments that nobody reads are gone.
RandomGraph without_dead(const RandomGraph& random);

/// Variants with something left out, likely ones first; each is a valid graph.
std::vector<std::function<RandomGraph()>> smaller_variants(const RandomGraph& random);

int count_ops(const Graph& graph);

}  // namespace smelt::fuzz
