// Checked construction of graphs: the only way to add nodes.
#pragma once

#include <span>
#include <vector>

#include "ir/graph.h"
#include "ir/op.h"
#include "ir/support/result.h"

namespace smelt {

/// The type that `op` gives these operands, or the user's mistake. Counts and attribute names are those of the record.
Result<TensorType> infer_type(const Graph& graph, OpKind op, std::span<const NodeId> inputs, const Attributes& attrs);

/// Appends nodes to one graph. `span` is attached to each node made while it is set.
///
/// `push` reports a user's mistake as an Error; the named helpers are for code that knows its types (vjp rules,
/// expansions, passes) and throw InternalError on a mismatch. Operands of elementwise helpers have equal shapes;
/// a constant of the needed type is `like(x, value)`.
class Builder {
 public:
  explicit Builder(Graph& graph) : graph_(graph) {}

  Graph& graph() { return graph_; }
  const TensorType& type(NodeId id) const { return graph_.type(id); }
  void set_span(Span span) { span_ = span; }
  /// See Node::call.
  void set_call(Span call) { call_ = call; }
  Span call() const { return call_; }
  /// Both as `node` has them.
  void set_place(const Node& node) {
    span_ = node.span;
    call_ = node.call;
  }
  Span span() const { return span_; }

  Result<NodeId> push(OpKind op, Operands inputs, Attributes attrs = {});
  NodeId make(OpKind op, Operands inputs, Attributes attrs = {});  // InternalError instead of Error

  /// `node` as it is, with its place and body, but for its operands, which have the types of the old ones.
  NodeId copy(const Node& node, Operands inputs);
  NodeId argument(Argument argument, TensorType type);  // its `node` is filled in
  void result(Output output) { graph_.results.push_back(std::move(output)); }

  NodeId constant(double value, const TensorType& type);
  NodeId like(NodeId x, double value) { return constant(value, type(x)); }
  NodeId index(const TensorType& type, int64_t axis);  // i32 or i64 position along `axis`
  NodeId extent(int32_t symbol, int64_t bound, DType dtype);
  /// i32: a number for each element of `shape`, in row-major order of the bounds.
  NodeId position(Shape shape);
  /// The number of elements along `axes` of x as a scalar: constants and run-time extents multiplied.
  NodeId count(NodeId x, std::span<const int64_t> axes, DType dtype);

  NodeId neg(NodeId a) { return make(OpKind::Neg, {a}); }
  NodeId exp(NodeId a) { return make(OpKind::Exp, {a}); }
  NodeId log(NodeId a) { return make(OpKind::Log, {a}); }
  NodeId sqrt(NodeId a) { return make(OpKind::Sqrt, {a}); }
  NodeId add(NodeId a, NodeId b) { return make(OpKind::Add, {a, b}); }
  NodeId sub(NodeId a, NodeId b) { return make(OpKind::Sub, {a, b}); }
  NodeId mul(NodeId a, NodeId b) { return make(OpKind::Mul, {a, b}); }
  NodeId div(NodeId a, NodeId b) { return make(OpKind::Div, {a, b}); }
  NodeId select(NodeId c, NodeId a, NodeId b) { return make(OpKind::Select, {c, a, b}); }
  NodeId cast(NodeId a, DType dtype);  // a itself when it has that dtype

  NodeId reduce_sum(NodeId x, std::vector<int64_t> axes);  // axes are removed; x when there are none
  NodeId reduce_max(NodeId x, std::vector<int64_t> axes);
  NodeId reduce_min(NodeId x, std::vector<int64_t> axes);
  /// Result axis axes[i] reads operand axis i; the others repeat.
  NodeId broadcast(NodeId x, const Shape& shape, std::vector<int64_t> axes);
  /// Puts back axes that a reduction over `axes` removed.
  NodeId broadcast_back(NodeId reduced, const Shape& shape, std::span<const int64_t> axes);
  NodeId transpose(NodeId x, std::vector<int64_t> permutation);
  NodeId reshape(NodeId x, const Shape& shape);
  NodeId contract(NodeId a, NodeId b, IndexFormula formula);
  /// x at the map of the formula's one operand, which sums nothing; positions outside of x give `outside`.
  NodeId read(NodeId x, IndexFormula formula, double outside = 0);

 private:
  Graph& graph_;
  Span span_, call_;
};

}  // namespace smelt
