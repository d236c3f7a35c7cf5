#include "fuzz/stability.h"

#include <algorithm>
#include <cmath>

#include "compiler/graph/differentiate.h"
#include "ir/builder.h"
#include "ir/op.h"

namespace smelt::fuzz {
namespace {

constexpr double kMoved = 1e-4;        // how far operands move, relative to 1 + |x|
constexpr double kValueChange = 0.02;  // what a value may then change, relative to 1 + the largest
constexpr double kSlopeChange = 0.05;  // and a derivative

/// The node on arguments of its own: one for each distinct operand, so that x op x stays that.
struct Alone {
  Graph graph;
  std::vector<RefTensor> arguments;
  std::vector<NodeId> inputs;
  NodeId node;
};

Alone isolate(const Graph& graph, NodeId id, std::span<const RefTensor* const> operands) {
  Alone alone;
  alone.graph.symbols = graph.symbols;
  Builder builder(alone.graph);
  const Node& node = graph[id];
  for (size_t k = 0; k < node.inputs.size(); ++k) {
    const auto first = std::ranges::find(node.inputs, node.inputs[k]) - node.inputs.begin();
    if (static_cast<size_t>(first) < k) {
      alone.inputs.push_back(alone.inputs[static_cast<size_t>(first)]);
      continue;
    }
    alone.inputs.push_back(builder.argument({"", ArgRole::Feed, -1, {}}, graph.type(node.inputs[k])));
    alone.arguments.push_back(*operands[k]);
  }
  alone.node = builder.make(node.op, alone.inputs, node.attrs);
  builder.result({"y", ResultRole::Value, -1, alone.node});
  return alone;
}

void move_floats(std::vector<RefTensor>& tensors, Numbers& numbers) {
  for (RefTensor& tensor : tensors) {
    if (!is_float(tensor.type.dtype)) continue;
    for (double& value : tensor.values) value += kMoved * (1 + std::fabs(value)) * numbers.uniform(-1, 1);
  }
}

bool close(const RefTensor& a, const RefTensor& b, double tolerance) {
  double largest = 0, difference = 0;
  for (size_t i = 0; i < a.values.size(); ++i) {
    largest = std::max(largest, std::fabs(a.values[i]));
    difference = std::max(difference, std::fabs(a.values[i] - b.values[i]));
    if (!std::isfinite(a.values[i] - b.values[i])) return false;
  }
  return is_float(a.type.dtype) ? difference <= tolerance * (1 + largest) : difference == 0;
}

/// Adds the derivatives of sum(y * w) as results; false when there are none.
bool add_derivatives(Alone& alone, std::span<const int64_t> extents, Numbers& numbers) {
  const TensorType type = alone.graph.type(alone.node);
  if (!is_float(type.dtype) || !op_def(alone.graph[alone.node]).samples.differentiable) return false;
  Builder builder(alone.graph);
  const NodeId weights = builder.argument({"", ArgRole::Feed, -1, {}}, type);
  std::vector<int64_t> axes;
  for (size_t axis = 0; axis < type.rank(); ++axis) axes.push_back(static_cast<int64_t>(axis));
  const NodeId loss = builder.reduce_sum(builder.mul(alone.node, weights), axes);
  bool any = false;
  for (const NodeId input : alone.inputs) {
    if (alone.graph.type(input).dtype != type.dtype) continue;
    builder.result({"g", ResultRole::Value, -1, builder.make(OpKind::Grad, {loss, input})});
    any = true;
  }
  alone.arguments.push_back(numbers.tensor(type, extents, 0.5, 2));
  return any;
}

}  // namespace

Result<RefTensor> value_of(const Graph& graph, NodeId id, std::span<const RefTensor* const> operands,
                           std::span<const int64_t> extents) {
  const Alone alone = isolate(graph, id, operands);
  SMELT_TRY(std::vector<RefTensor> results,
            evaluate(alone.graph, alone.arguments, extents, {.rounding = Rounding::Halves}));
  return std::move(results[0]);
}

bool is_stable(const Graph& graph, NodeId id, std::span<const RefTensor* const> operands,
               std::span<const int64_t> extents, const RefTensor& value, Numbers& numbers) {
  Alone alone = isolate(graph, id, operands);
  if (std::ranges::none_of(alone.arguments, [](const RefTensor& t) { return is_float(t.type.dtype); })) return true;
  std::vector<RefTensor> moved = alone.arguments;
  move_floats(moved, numbers);
  const auto after = evaluate(alone.graph, moved, extents);
  if (!after || !close(value, (*after)[0], kValueChange)) return false;
  if (!add_derivatives(alone, extents, numbers)) return true;
  moved.push_back(alone.arguments.back());
  const Graph slopes = differentiate(std::move(alone.graph));
  const auto here = evaluate(slopes, alone.arguments, extents), there = evaluate(slopes, moved, extents);
  if (!here || !there) return false;
  for (size_t r = 1; r < here->size(); ++r) {
    if (!close((*here)[r], (*there)[r], kSlopeChange)) return false;
  }
  return true;
}

}  // namespace smelt::fuzz
