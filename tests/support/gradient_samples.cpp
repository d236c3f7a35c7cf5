#include "tests/support/gradient_samples.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "tests/support/graph_checks.h"

namespace smelt::testing {

NodeId sum_all(Builder& builder, NodeId x) {
  std::vector<int64_t> axes;
  for (size_t axis = 0; axis < builder.type(x).rank(); ++axis) axes.push_back(static_cast<int64_t>(axis));
  return builder.reduce_sum(x, axes);
}

NodeId weighted_sum(Builder& builder, NodeId y, std::string name) {
  const TensorType type = builder.type(y);
  const NodeId w = builder.argument({std::move(name), ArgRole::Feed, -1, {}}, type);
  return sum_all(builder, builder.mul(y, w));
}

NodeId gradient(Builder& builder, NodeId y, NodeId x) { return builder.make(OpKind::Grad, {y, x}); }

void add_result(Builder& builder, std::string name, NodeId node) {
  builder.result({std::move(name), ResultRole::Value, -1, node});
}

GradientSample first_order(const OpSample& sample, Numbers& numbers) {
  GradientSample result{sample.graph, sample.arguments, {}};
  const NodeId y = result.graph.results[0].node;
  result.graph.results.clear();
  Builder builder(result.graph);
  const NodeId loss = weighted_sum(builder, y, "w");
  result.arguments.push_back(numbers.tensor(builder.type(y), sample.extents));
  add_result(builder, "loss", loss);
  for (size_t i = 0; i < sample.arguments.size(); ++i) {
    const NodeId x = result.graph.arguments[i].node;
    if (!is_float(builder.type(x).dtype)) continue;
    add_result(builder, "grad", gradient(builder, loss, x));
    result.wrt.push_back(i);
  }
  return result;
}

GradientSample second_order(const OpSample& sample, Numbers& numbers) {
  GradientSample result = first_order(sample, numbers);
  Builder builder(result.graph);
  NodeId total;
  for (size_t k = 0; k < result.wrt.size(); ++k) {
    const NodeId g = result.graph.results[k + 1].node;
    result.arguments.push_back(numbers.tensor(builder.type(g), sample.extents));
    const NodeId part = weighted_sum(builder, g, fmt::format("v{}", k));
    total = total.valid() ? builder.add(total, part) : part;
  }
  result.graph.results.clear();
  add_result(builder, "loss", total);
  for (const size_t i : result.wrt)
    add_result(builder, "grad", gradient(builder, total, result.graph.arguments[i].node));
  return result;
}

void check_gradients(const OpSample& op, const GradientSample& sample, const Graph& graph, double tolerance,
                     const std::vector<RefTensor>* computed) {
  for (size_t k = 0; k < sample.wrt.size(); ++k) {
    const GradientError error =
        computed != nullptr ? check_gradient((*computed)[k + 1], graph, 0, sample.wrt[k], sample.arguments, op.extents)
                            : check_gradient(graph, k + 1, 0, sample.wrt[k], sample.arguments, op.extents);
    CHECK_MESSAGE(error.worst <= tolerance, fmt::format("{} operand {}: {}", op.name, sample.wrt[k], error.where));
  }
}

}  // namespace smelt::testing
