// Nodes of one graph as nodes of another, as they are asked for: with what they are computed from, each once.
#pragma once

#include <vector>

#include "ir/builder.h"

namespace smelt {

class NeededCopies {
 public:
  NeededCopies(const Graph& from, Builder& to) : from_(from), to_(to), copies_(from.size()) {}

  /// `now` stands for `old`, which is an argument, or is computed in another way there.
  void set(NodeId old, NodeId now) { copies_[old.index] = now; }
  /// All arguments that it is computed from have been set.
  NodeId of(NodeId wanted);

 private:
  const Graph& from_;
  Builder& to_;
  std::vector<NodeId> copies_;
};

}  // namespace smelt
