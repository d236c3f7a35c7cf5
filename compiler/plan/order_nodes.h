// Orders a step's nodes so that each value is computed as late as possible: a parameter is updated right after its
// gradient, and after everything that reads the old value. Scalars made of scalars come first.
//
// Assumes:  a graph of primitives after `isolate_results`.
// Ensures:  a topological order of all nodes in which, besides operands, the loss and all readers of a variable's old
//           value - directly, or through values that are recomputed where they are read - come before the variable's
//           new value.
#pragma once

#include <optional>
#include <vector>

#include "compiler/plan/fusion_plan.h"

namespace smelt {

FusionPlan order_nodes(const Graph& graph, const NodeSchedule& schedule, FusionPlan plan);

/// By node, those that must precede it: its operands and, for a variable's new value, guards and readers of the old.
std::vector<std::vector<NodeId>> predecessors(const Graph& graph);

std::vector<NodeId> order_of(const Graph& graph, const NodeSchedule& schedule = {});

/// False when a variable would have to be read after its new value is known.
bool can_be_ordered(const Graph& graph);
/// A new value that waits for another one that waits for it: p <- p - a (p - q) and q <- q + a (p - q), each of which
/// reads the other's old value. nullopt when there is none.
std::optional<size_t> variable_on_a_cycle(const Graph& graph);

/// A part of a scan that is a carry after the last step: its memory is the carry's.
bool is_left_in_carry(const Graph& graph, NodeId id);

/// A new value that `isolate_results` made a copy of another one: that one, which has memory of its own, so that the
/// copy reads nothing else.
std::optional<NodeId> copied_by(const Graph& graph, const Output& result);

}  // namespace smelt
