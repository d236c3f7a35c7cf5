// Loops that write a sequence one position a step: which carries are sequences, and which axes of the values of a body
// are their positions.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <vector>

#include "compiler/graph/step_rows.h"
#include "ir/graph.h"

namespace smelt {

/// A carry of which step t changes position t + lead alone, and may put the rows, its first axis, in another order.
struct Sequence {
  NodeId carry;  // its argument
  int32_t axis = -1;
  int64_t lead = 0;
  NodeId moved = {};  // the carry with its rows in the new order: `gather` of it at `parents`; else not valid
};

/// A body whose steps read a sequence as far as it is written.
struct SequenceLoop {
  const Graph* body = nullptr;
  NodeId step;  // the argument that counts the steps
  int64_t length = 0;
  std::vector<Sequence> sequences;
  NodeId parents;                               // the row that each row goes on from; not valid: its own
  std::vector<RowPlace> rows;                   // by node, where there are parents
  std::vector<bool> is_read;                    // by node: read at the position of the step: `gather` of it at `step`
  std::vector<bool> depends;                    // by node: on a sequence, but not by way of such a read
  std::vector<bool> varies;                     // by node: it is another value in each step, sequences apart
  std::vector<std::vector<int32_t>> positions;  // by node: axes along which it has positions of a sequence

  const Sequence* sequence_of(NodeId id) const;
  bool is_moved(NodeId id) const;
};

/// Else the node of the body that mixes positions of a sequence, of what is read at the position of the step; not
/// valid: no carry of the loop is a sequence, or nothing reads one there.
std::expected<SequenceLoop, NodeId> find_sequence_loop(const Graph& graph, const Node& scan);

/// Carry `ref` of a loop, when it is a sequence.
std::optional<Sequence> sequence_of_carry(const Graph& graph, const Node& scan, int32_t ref);

/// The maps by which a node reads its operands; empty: it has none.
std::vector<IndexMap> maps_of(const Graph& body, const Node& node);

/// The stacked result of an inner loop over the positions.
bool is_stacked_part(const Graph& body, const Node& node);

/// Whether a loop in the body runs over the positions, from the first to the last.
bool runs_over_positions(const SequenceLoop& loop, const Node& scan);

/// Adds an axis that is not there yet.
void add_axis(std::vector<int32_t>& axes, int64_t axis);

}  // namespace smelt
