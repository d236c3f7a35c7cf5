// Where the examples of a batch are: which axis of each value holds them, and which operations mix them.
#pragma once

#include <map>
#include <span>
#include <vector>

#include "ir/graph.h"

namespace smelt {

/// Sums over examples that a gradient per example was taken of, with the axis of its x that holds the examples; and
/// those in the bodies of loops.
struct ExampleSums {
  std::map<NodeId, int64_t> axes;
  std::map<NodeId, ExampleSums> bodies;  // by loop

  bool contains(NodeId id) const { return axes.contains(id); }
  /// Of nodes that went into a body, where `inside` says what they are called.
  ExampleSums moved(const std::map<NodeId, NodeId>& inside) const;
};

/// What `follow_axis` answers when the operation mixes the elements of the axis.
inline constexpr int64_t kMixesAxis = -1;

/// Where axis `axis` of operand `k` is in the result of `id`.
int64_t follow_axis(const Graph& graph, const ExampleSums& sums, NodeId id, size_t k, int64_t axis);

/// The axis of a reshape's result that is axis `axis` of its operand, or the other way round.
int64_t through_reshape(const Shape& from, const Shape& to, int64_t axis);

/// The axes that a reduction, or a composite over axes, folds.
std::vector<int64_t> folded_axes(const Node& node);

/// The operands that a value, or its gradient, is computed from: of an `adjoint`, not those that only say how.
std::span<const NodeId> paths_of(const Node& node);

/// Whether each node has an influence on `root` that a gradient follows.
std::vector<bool> ancestors_of(const Graph& graph, NodeId root);

/// Follows which axis of each value that depends on x holds the examples. A value that mixes them ends the walk.
class ExampleAxis {
 public:
  ExampleAxis(const Graph& graph, const ExampleSums& sums, NodeId y, NodeId x, int64_t axis);

  /// The first operation on the way to y that mixes examples; not valid when y[b] depends on x[b] alone.
  NodeId coupling() const { return coupling_; }
  /// The axis of y that holds the examples, when none are mixed and y depends on x.
  int64_t axis_of(NodeId y) const { return axes_[y.index]; }

 private:
  void visit(NodeId id);

  const Graph& graph_;
  const ExampleSums& sums_;
  std::vector<int64_t> axes_;  // kMixesAxis: does not depend on x
  NodeId coupling_;
};

}  // namespace smelt
