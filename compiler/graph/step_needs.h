// What one position of a value is computed from: of each operand the same position, a window, or all positions so far.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "compiler/graph/cut_axis.h"
#include "compiler/graph/sequence_loop.h"

namespace smelt {

/// How a step that computes one position of a node gets an operand.
enum class Need : uint8_t {
  Whole,    // the same in all steps
  Step,     // its position along `axis`
  History,  // all positions so far along `axis`; what lies behind them is not settled
  Window    // some positions along `axis`, which the index map says
};
struct Operand {
  Need need = Need::Whole;
  int32_t axis = -1;
};

/// The positions that a window reads: `size` of them, from `first` on behind the step's own, `stride` apart. `inside`
/// says which of them each point reads.
struct PositionWindow {
  int64_t first = 0, stride = 1, size = 1;
  Affine inside;
  int64_t last() const { return first + (size - 1) * stride; }
};
/// Of operand k of a node that needs a window of it. Nullopt: it is not as long at every run.
std::optional<PositionWindow> window_of(const Graph& body, const Node& node, size_t k, int32_t axis, int32_t index);

/// By operand, what position `axis` of node `id` is computed from.
struct StepNeeds {
  std::vector<Operand> operands;
  std::optional<AxisCut> cut;  // but for windows, loops and what is sliced
  bool sliced = false;         // one position of the whole value, which is the same in all steps
};

StepNeeds step_needs(const SequenceLoop& loop, NodeId id, int32_t axis);

}  // namespace smelt
