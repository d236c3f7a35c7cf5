// Who reads the old value of a variable, and what has to be known before a new one is committed.
#pragma once

#include <vector>

#include "ir/graph.h"

namespace smelt {

/// The scalars that must be finite before anything is committed.
std::vector<NodeId> guards_of(const Graph& graph);

/// Who reads an argument. One object answers for all variables of a graph, because what it has to know of the whole
/// graph would be found again for each of the thousands that a deep net has.
class Readers {
 public:
  explicit Readers(const Graph& graph);

  /// The nodes that may read `argument` from memory: its users, and what reads it through values that are recomputed
  /// where they are read. A sum, a product and a result have memory of their own.
  std::vector<NodeId> of(NodeId argument);

 private:
  const Graph& graph_;
  std::vector<std::vector<NodeId>> users_;
  std::vector<bool> has_memory_;
  std::vector<NodeId> seen_by_;  // the argument whose readers a node was last found among
};

}  // namespace smelt
