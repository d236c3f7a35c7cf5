// What the steps of a loop over a sequence need of its body, when each computes one position.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "compiler/graph/sequence_loop.h"

namespace smelt {

/// What cannot be computed position by position.
struct Refusal {
  NodeId node;
  std::string why;
};

/// What all steps together need of the nodes of the body.
struct Demands {
  std::vector<bool> whole;
  std::vector<std::vector<int32_t>> steps;  // by node: axes of which one position is needed
  std::vector<int32_t> kept;                // by node: the axis of which positions are kept, or -1 ..
  std::vector<int64_t> look_back;           // .. and how many, the step's own among them
  std::optional<Refusal> refusal;
  bool saves = false;  // a product or a loop is computed at one position
};

Demands find_demands(const SequenceLoop& loop);

/// Of a node whose positions are no positions of its operands.
Refusal mixed_positions(const Graph& body, NodeId id);

}  // namespace smelt
