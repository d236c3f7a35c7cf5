// What a mask is where a position lies behind the one that a step computes: arithmetic of positions, decided without
// knowing them.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "ir/affine.h"
#include "ir/graph.h"

namespace smelt {

/// What affine functions of positions are made of here: the position of the step; how much later than the next one
/// another position is, 0 or more; and, from kFree on, positions of which nothing is known.
inline constexpr int32_t kNow = 0, kLater = 1, kFree = 2;
using Positions = std::vector<Affine>;  // by axis of a value

/// The value of a node at these positions, when it is an affine function of them. `step` counts the steps.
std::optional<Affine> position_at(const Graph& graph, NodeId id, const Positions& at, NodeId step);

/// The number that a node is at these positions, whatever they are.
std::optional<double> number_at(const Graph& graph, NodeId id, const Positions& at, NodeId step);

/// What an elementwise op gives when this is all that is known of its operands: infinities and zeros decide alone,
/// because the other operands are taken to be finite.
std::optional<double> number_of(const Node& node, const std::vector<std::optional<double>>& operands);

}  // namespace smelt
