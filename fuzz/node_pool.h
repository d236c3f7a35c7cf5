// The growing graph of a random draw: its nodes with their values, and which of them may be read again.
#pragma once

#include <optional>
#include <vector>

#include "fuzz/numbers.h"
#include "ir/builder.h"
#include "ir/evaluator.h"
#include "ir/op.h"

namespace smelt::fuzz {

/// What a graph does with f16 and bf16.
enum class Halves : uint8_t {
  None,
  Stored,   // values are rounded to them, moved and read, and no gradient goes through one
  Computed  // ops have them as operands and results
};

class NodePool {
 public:
  /// Static sizes, one run-time dimension `B`, and whether there are halves (with probability `halves`) are drawn;
  /// everything else starts empty.
  NodePool(uint64_t seed, DType dtype, double halves);

  DType dtype() const { return dtype_; }
  Halves halves() const { return halves_; }
  Numbers& numbers() { return numbers_; }
  const Graph& graph() const { return graph_; }
  const TensorType& type(NodeId id) const { return graph_.type(id); }
  const RefTensor& value(NodeId id) const { return values_[id.index]; }
  const std::vector<NodeId>& live() const { return live_; }
  const std::vector<int64_t>& extents() const { return extents_; }
  const std::vector<RefTensor>& arguments() const { return arguments_; }

  /// A feed with values in -2..2, or what `values` says.
  NodeId argument(TensorType type, std::optional<RefTensor> values = {});
  /// Adds a node when its type can be inferred and its value is finite, moderate and stable (see random_graph.h).
  std::optional<NodeId> add(OpKind op, Operands inputs, Attributes attrs = {});
  /// Adds a scan and a live part of each result, under the same conditions; returns the last part.
  std::optional<NodeId> add_scan(Graph body, Operands inputs, const Extent& steps, bool reverse, int32_t until = -1);
  NodeId constant(double value, TensorType type);
  void keep(NodeId id) { live_.push_back(id); }

  Extent draw_extent();
  Shape draw_shape(size_t max_rank);
  /// A live node of the class with at least `min_rank` axes; recent ones more often.
  std::optional<NodeId> draw_live(DTypeClass cls, size_t min_rank = 0, size_t max_rank = 4);
  std::optional<NodeId> draw_live_half(size_t min_rank = 0, size_t max_rank = 4);
  /// bf16 twice as often as f16.
  DType draw_half_dtype() { return numbers_.chance(2.0 / 3) ? DType::BF16 : DType::F16; }
  /// x rounded to `half`, through which no gradient goes unless the graph computes with halves.
  std::optional<NodeId> to_half(NodeId x, DType half);
  /// x in the graph's float dtype.
  std::optional<NodeId> to_float(NodeId x) {
    return add(OpKind::Cast, {x}, {{"dtype", std::string(to_string(dtype_))}});
  }
  /// A value of the type of x: live, a broadcast, or a constant.
  NodeId like(NodeId x);
  /// Whole numbers in 0..limit-1 of the given shape, or of any shape.
  std::optional<NodeId> indices(int64_t limit, const Shape* shape);
  std::optional<NodeId> condition(NodeId x);

 private:
  std::optional<NodeId> pick_recent(std::vector<NodeId> fitting);

  Graph graph_;
  Builder builder_;
  Numbers numbers_;
  DType dtype_;
  Halves halves_ = Halves::None;
  std::vector<int64_t> sizes_;
  std::vector<int64_t> extents_;
  std::vector<RefTensor> arguments_;
  std::vector<RefTensor> values_;
  std::vector<NodeId> live_;
};

/// Most elements a tensor of a random graph has, at the bounds.
inline constexpr int64_t kMaxElements = 1200;

}  // namespace smelt::fuzz
