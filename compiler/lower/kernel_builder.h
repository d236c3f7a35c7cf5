// Builds the statements of one kernel: evaluates nodes at affine indices, inlining everything that is not stored.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "compiler/loops/loop_ir.h"
#include "compiler/plan/fusion_plan.h"
#include "compiler/plan/index_walk.h"
#include "ir/graph.h"

namespace smelt {

/// Where a function's nodes live: the buffer of an argument or stored node, -1 for others.
struct BufferTable {
  std::vector<int32_t> of_node;
  const std::vector<LoopBuffer>& buffers;

  /// A variable and its new value do.
  bool share_memory(NodeId a, NodeId b) const;
};

class KernelBuilder {
 public:
  KernelBuilder(const Graph& graph, const FusionPlan& plan, const BufferTable& buffers, int32_t kernel_id);

  Kernel build();

 private:
  using Key = std::pair<uint32_t, std::vector<int64_t>>;
  // Where a value is computed: once a thread, once an outer point, or in the sweep's body.
  enum Level : uint8_t { kThread, kOuter, kBody };

  void build_nest();
  void build_product_epilogue();
  void build_scatter(NodeId id);
  void build_sweep(const SweepPlan& plan);
  void define(NodeId id, const IndexVector& index, bool to_folds);
  void flush_stores();

  int32_t value(NodeId id, const IndexVector& index);
  int32_t compute(NodeId id, const IndexVector& index);
  int32_t load(NodeId root, const Affine& offset, DType dtype, Span span);
  int32_t gather(const Node& node, const IndexVector& index);
  int32_t random(const Node& node, const IndexVector& index);
  int32_t moved(const Node& node, const IndexVector& index);
  /// A Bool value that is true where `position` lies in [0, extent); -1 when it always does.
  int32_t in_bounds(const IndexVector& position, const Shape& shape, Span span);
  int32_t call(OpKind op, std::vector<int32_t> operands, DType dtype, Span span, Attributes attrs = {});
  int32_t integer(int64_t value);
  int32_t index_value(const Affine& index, DType dtype, Span span);

  int32_t emit(Stmt stmt, Level level);
  void store(NodeId id, const IndexVector& index, int32_t value);
  Level level_of(const Affine& affine) const;
  Level level_of_value(int32_t value) const { return value < 0 ? kThread : levels_[static_cast<size_t>(value)]; }
  int32_t new_value(Level level);
  int32_t new_loop(std::string name, Extent extent);
  static Key key(NodeId id, const IndexVector& index);
  std::optional<int32_t> remembered(const Key& key) const;

  const Graph& graph_;
  const FusionPlan& plan_;
  const BufferTable& buffers_;
  const int32_t kernel_id_;
  const KernelPlan& kernel_plan_;
  Kernel kernel_;
  int32_t level_split_ = 0;  // loops below it are outer
  Sweep sweep_;
  std::vector<Level> levels_;
  std::map<Key, int32_t> outer_memo_, body_memo_;
  std::vector<Stmt> pending_;  // stores of finished folds, for the next sweep's setup
  // The predicate that loads are under, while the operand of a bounded move is evaluated; -1 outside.
  int32_t predicate_ = -1;
};

}  // namespace smelt
