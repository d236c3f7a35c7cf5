// What a memory budget asks of the order of a graph's nodes and of their kernels.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "ir/support/result.h"

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

/// A graph with what is asked of it.
struct ScheduledGraph {
  Graph graph;
  NodeSchedule schedule;
};

/// The graph's text, then a line `schedule` when something is asked.
std::string print(const ScheduledGraph& source);

}  // namespace smelt
