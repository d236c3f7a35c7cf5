// Loops that write a sequence one position a step, and what of such a loop a step needs when it computes the new
// position alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "compiler/graph/cut_axis.h"
#include "ir/graph.h"

namespace smelt {

/// A carry of which step t changes position t + lead alone.
struct Sequence {
  NodeId carry;  // its argument
  int32_t axis = -1;
  int64_t lead = 0;
};

/// A body whose steps read a sequence as far as it is written.
struct SequenceLoop {
  const Graph* body = nullptr;
  NodeId step;  // the argument that counts the steps
  int64_t length = 0;
  std::vector<Sequence> sequences;
  std::vector<bool> is_read;                    // by node: read at the position of the step: `gather` of it at `step`
  std::vector<bool> depends;                    // by node: on a sequence, but not by way of such a read
  std::vector<bool> varies;                     // by node: it is another value in each step, sequences apart
  std::vector<std::vector<int32_t>> positions;  // by node: axes along which it has positions of a sequence

  const Sequence* sequence_of(NodeId id) const;
};

/// Nullopt: no carry of the loop is a sequence, or nothing reads one at the position of the step.
std::optional<SequenceLoop> find_sequence_loop(const Graph& graph, const Node& scan);

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

/// What cannot be computed position by position.
struct Refusal {
  NodeId node;
  std::string why;
};

/// By operand, what position `axis` of node `id` is computed from.
struct StepNeeds {
  std::vector<Operand> operands;
  std::optional<AxisCut> cut;  // but for windows, loops and what is sliced
  bool sliced = false;         // one position of the whole value, which is the same in all steps
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
StepNeeds step_needs(const SequenceLoop& loop, NodeId id, int32_t axis);

/// The maps by which a node reads its operands; empty: it has none.
std::vector<IndexMap> maps_of(const Graph& body, const Node& node);

/// The stacked result of an inner loop over the positions.
bool is_stacked_part(const Graph& body, const Node& node);

}  // namespace smelt
