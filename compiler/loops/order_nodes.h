// Orders a step's nodes so that each value is computed as late as possible: a parameter is updated right after its
// gradient, and after everything that reads the old value. Scalars made of scalars come first.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "ir/graph.h"

namespace smelt {

/// Over which loops a sum runs in vectors. The order of its additions follows from it, and so do its last bits.
enum class SumForm : uint8_t {
  Any,     // as the kernel has it in which the sum fits
  Rows,    // over the summed axes
  Columns  // over the last axis that remains
};

/// What a caller may ask of the order of the nodes and of their kernels. The default is what runs fastest.
struct NodeSchedule {
  bool deepest_last = false;       // a layer's gradients are used up before those of the layer below are computed
  std::vector<bool> late;          // by node, or empty: right before the first reader, and in no earlier kernel
  std::vector<bool> again;         // by node, or empty: stands for a value that was stored before; for explaining
  std::vector<SumForm> sum_forms;  // by node, or empty

  bool is_late(NodeId id) const { return !late.empty() && late[id.index]; }
  SumForm sum_form(NodeId id) const { return sum_forms.empty() ? SumForm::Any : sum_forms[id.index]; }
};

/// A topological order of all nodes in which, besides operands, the loss and all readers of a variable's old value -
/// directly, or through values that are recomputed where they are read - come before the variable's new value.
std::vector<NodeId> order_nodes(const Graph& graph, const NodeSchedule& schedule = {});

/// False when a variable would have to be read after its new value is known.
bool can_be_ordered(const Graph& graph);

/// A part of a scan that is a carry after the last step: its memory is the carry's.
bool is_left_in_carry(const Graph& graph, NodeId id);

/// A new value that `isolate_results` made a copy of another one: that one, which has memory of its own, so that the
/// copy reads nothing else.
std::optional<NodeId> copied_by(const Graph& graph, const Output& result);

}  // namespace smelt
