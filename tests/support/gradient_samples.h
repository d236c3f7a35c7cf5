// Samples of ops with a loss and its gradients, for the evaluator and for compiled code.
#pragma once

#include <string>
#include <vector>

#include "ir/builder.h"
#include "tests/support/op_samples.h"

namespace smelt::testing {

NodeId sum_all(Builder& builder, NodeId x);
/// The sum of y * w for a new argument w.
NodeId weighted_sum(Builder& builder, NodeId y, std::string name);
NodeId gradient(Builder& builder, NodeId y, NodeId x);
void add_result(Builder& builder, std::string name, NodeId node);

/// A sample with the loss sum(y * w) as result 0 and its gradient for each float operand after it.
struct GradientSample {
  Graph graph;
  std::vector<RefTensor> arguments;
  std::vector<size_t> wrt;  // arguments; result k + 1 is the gradient for wrt[k]
};
GradientSample first_order(const OpSample& sample, Numbers& numbers);
/// The same for the second order: the loss is a weighted sum over all first gradients, so that mixed derivatives count.
GradientSample second_order(const OpSample& sample, Numbers& numbers);

/// Checks that the gradients of `graph`, which was made of `sample.graph`, agree with differences of its loss to
/// `tolerance`. `computed`: what something else computed of it; none: the reference evaluator does.
void check_gradients(const OpSample& op, const GradientSample& sample, const Graph& graph, double tolerance,
                     const std::vector<RefTensor>* computed = nullptr);

}  // namespace smelt::testing
