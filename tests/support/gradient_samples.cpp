#include "tests/support/gradient_samples.h"

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

}  // namespace smelt::testing
