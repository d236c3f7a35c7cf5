// Reads of earlier positions move towards the sequence: `f(x)[t - 1]` becomes `f(x[t - 1])`, and 0 where there is no
// such position. A loop that writes x has x[s - 1] in its step s, and x[s] only behind it: a decoder that embeds a text
// and then looks one position back needs no more.
//
// Results are equal to the last bit.
#pragma once

#include <optional>

#include "ir/graph.h"

namespace smelt {

/// The scan with such a body. Nullopt: nothing in it moves.
std::optional<Node> move_shifts(const Graph& graph, const Node& scan);

}  // namespace smelt
