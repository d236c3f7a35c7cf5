#include "ir/example_axis.h"

#include <algorithm>

#include "ir/index_formula.h"
#include "ir/op.h"

namespace smelt {

std::span<const NodeId> paths_of(const Node& node) {
  return std::span(node.inputs).first(node.op == OpKind::Adjoint ? 2 : node.inputs.size());
}

std::vector<bool> ancestors_of(const Graph& graph, NodeId root) {
  std::vector<bool> reached(graph.size(), false);
  reached[root.index] = true;
  for (uint32_t i = root.index + 1; i-- > 0;) {
    const Node& node = graph.nodes[i];
    const bool passes = is_float(node.type.dtype) || node.op == OpKind::Scan;
    if (!reached[i] || node.op == OpKind::Stop || !passes) continue;
    for (const NodeId input : paths_of(node)) reached[input.index] = true;
  }
  return reached;
}

std::vector<int64_t> folded_axes(const Node& node) {
  if (node.op == OpKind::Broadcast) return {};  // its `axes` say where the operand's are
  if (const AttrValue* axes = node.attrs.find("axes")) return std::get<std::vector<int64_t>>(*axes);
  if (const AttrValue* one = node.attrs.find("axis"); one != nullptr && op_def(node).kind != Kind::Index)
    return {std::get<int64_t>(*one)};
  return {};
}

int64_t through_reshape(const Shape& from, const Shape& to, int64_t axis) {
  int64_t before = 1, reached = 1;
  for (int64_t i = 0; i < axis; ++i) before *= from[static_cast<size_t>(i)].bound;
  for (size_t j = 0; j < to.size(); ++j) {
    if (reached == before && to[j] == from[static_cast<size_t>(axis)]) return static_cast<int64_t>(j);
    reached *= to[j].bound;
  }
  return kMixesAxis;
}

ExampleSums ExampleSums::moved(const std::map<NodeId, NodeId>& inside) const {
  ExampleSums there;
  for (const auto& [from, to] : inside) {
    if (const auto sum = axes.find(from); sum != axes.end()) there.axes.emplace(to, sum->second);
    if (const auto body = bodies.find(from); body != bodies.end()) there.bodies.emplace(to, body->second);
  }
  return there;
}

namespace {

/// The axis of y that follows axis `axis` of x.
int64_t inside(const Graph& graph, const ExampleSums& sums, NodeId y, NodeId x, int64_t axis) {
  const ExampleAxis own(graph, sums, y, x, axis);
  return own.coupling().valid() ? kMixesAxis : own.axis_of(y);
}

int64_t through_formula(const Node& node, size_t k, int64_t axis) {
  const IndexFormula& formula = node.attrs.formula("formula");
  const Affine& position = formula.operands[k].axes[static_cast<size_t>(axis)];
  if (!position.is_index() || formula.is_summed(position.terms[0].first)) return kMixesAxis;
  return position.terms[0].first;
}

/// A custom adjoint mixes what its value mixes: the clause is taken to keep to that.
int64_t through_adjoint(const Graph& graph, const ExampleSums& sums, const Node& node, int64_t axis) {
  NodeId value = node.inputs[0];
  while (graph[value].op == OpKind::Adjoint) value = graph[value].inputs[0];
  return inside(graph, sums, graph[value].inputs[0], node.inputs[1], axis);  // what `stop` holds
}

/// dy[b]/dx[b] of y[b] depends on what y[b] depends on.
int64_t through_gradient(const ExampleSums& sums, const Node& node, size_t k, int64_t axis) {
  const auto sum = sums.axes.find(node.inputs[0]);
  if (sum == sums.axes.end() || (k == 1 && axis != sum->second)) return kMixesAxis;
  return sum->second;
}

/// y[b.., i.., r..] = table[b.., index[b.., i..], r..]
int64_t through_gather(const Graph& graph, const Node& node, size_t k, int64_t axis) {
  const auto row = static_cast<int64_t>(row_axis(node));
  if (k == 1 || axis < row) return axis;
  return axis == row ? kMixesAxis : axis - row - 1 + static_cast<int64_t>(graph.type(node.inputs[1]).rank());
}

}  // namespace

int64_t follow_axis(const Graph& graph, const ExampleSums& sums, NodeId id, size_t k, int64_t axis) {
  const Node& node = graph[id];
  const OpDef& op = op_def(node);
  if (op.kind == Kind::Contract) return through_formula(node, k % 2, axis);
  if (node.op == OpKind::Adjoint) return k == 0 ? axis : through_adjoint(graph, sums, node, axis);
  if (node.op == OpKind::Grad) return through_gradient(sums, node, k, axis);
  if (node.op == OpKind::Jvp) return k == 0 ? axis : inside(graph, sums, node.inputs[0], node.inputs[1], axis);
  if (op.kind == Kind::Gather) return through_gather(graph, node, k, axis);
  if (op.kind == Kind::Scatter) return axis < static_cast<int64_t>(row_axis(node)) ? axis : kMixesAxis;
  if (op.kind == Kind::Meta) return kMixesAxis;
  // What a loop does with an axis is not followed into its body.
  if (op.kind == Kind::Scan || op.kind == Kind::Part) return kMixesAxis;
  if (node.op == OpKind::Read) return through_formula(node, k, axis);
  if (node.op == OpKind::Broadcast) return node.attrs.integers("axes")[static_cast<size_t>(axis)];
  if (node.op == OpKind::Transpose) {
    const auto& permutation = node.attrs.integers("permutation");
    return std::ranges::find(permutation, axis) - permutation.begin();
  }
  if (node.op == OpKind::Reshape) return through_reshape(graph.type(node.inputs[k]).shape, node.type.shape, axis);
  const std::vector<int64_t> folded = folded_axes(node);
  if (std::ranges::find(folded, axis) != folded.end()) return kMixesAxis;
  if (node.type.rank() == graph.type(node.inputs[k]).rank()) return axis;
  return axis - std::ranges::count_if(folded, [&](int64_t removed) { return removed < axis; });
}

ExampleAxis::ExampleAxis(const Graph& graph, const ExampleSums& sums, NodeId y, NodeId x, int64_t axis)
    : graph_(graph), sums_(sums), axes_(graph.size(), kMixesAxis) {
  const std::vector<bool> matters = ancestors_of(graph, y);
  axes_[x.index] = axis;
  for (uint32_t i = x.index + 1; i <= y.index && !coupling_.valid(); ++i) {
    if (matters[i]) visit(NodeId{i});
  }
}

void ExampleAxis::visit(NodeId id) {
  const Node& node = graph_[id];
  if (sums_.contains(id)) {  // read by its gradient alone, which is one per example
    axes_[id.index] = axes_[node.inputs[0].index];
    return;
  }
  int64_t axis = kMixesAxis;
  for (size_t k = 0; k < paths_of(node).size(); ++k) {
    const int64_t before = axes_[node.inputs[k].index];
    if (before == kMixesAxis || node.op == OpKind::Stop) continue;
    const int64_t moved = follow_axis(graph_, sums_, id, k, before);
    if (moved == kMixesAxis || (axis != kMixesAxis && axis != moved)) {
      coupling_ = id;
      return;
    }
    axis = moved;
  }
  axes_[id.index] = axis;
}

}  // namespace smelt
