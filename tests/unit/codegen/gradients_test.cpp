// Gradients of every op and their gradients, compiled for f64, against 5-point differences of the reference evaluator.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "compiler/pipeline.h"
#include "ir/builder.h"
#include "tests/support/gradient_samples.h"
#include "tests/support/graph_checks.h"
#include "tests/support/run_compiled.h"

using namespace smelt;
using namespace smelt::testing;

TEST_CASE("compiled gradients of every op agree with differences to 1e-7") {
  Numbers numbers(31);
  for (const OpSample& sample : op_samples(DType::F64)) {
    if (!sample.differentiable) continue;
    const GradientSample gradients = first_order(sample, numbers);
    const auto prepared = run_graph_pipeline(gradients.graph, {});
    REQUIRE(prepared.has_value());
    const auto compiled = test::run_compiled(prepared->graph, gradients.arguments, sample.extents);
    REQUIRE(compiled.has_value());
    for (size_t k = 0; k < gradients.wrt.size(); ++k) {
      const GradientError error =
          check_gradient((*compiled)[k + 1], prepared->graph, 0, gradients.wrt[k], gradients.arguments, sample.extents);
      CHECK_MESSAGE(error.worst <= 1e-7, fmt::format("{} operand {}: {}", sample.name, gradients.wrt[k], error.where));
    }
  }
}

TEST_CASE("compiled second derivatives of every op agree with differences of the first to 1e-6") {
  Numbers numbers(34);
  for (const OpSample& sample : op_samples(DType::F64)) {
    if (!sample.differentiable) continue;
    GradientSample test = first_order(sample, numbers);
    Builder builder(test.graph);
    NodeId total;
    for (size_t k = 0; k < test.wrt.size(); ++k) {
      const NodeId g = test.graph.results[k + 1].node;
      test.arguments.push_back(numbers.tensor(builder.type(g), sample.extents));
      const NodeId part = weighted_sum(builder, g, fmt::format("v{}", k));
      total = total.valid() ? builder.add(total, part) : part;
    }
    test.graph.results.clear();
    add_result(builder, "loss", total);
    for (const size_t i : test.wrt) add_result(builder, "grad", gradient(builder, total, test.graph.arguments[i].node));
    const auto prepared = run_graph_pipeline(test.graph, {});
    REQUIRE(prepared.has_value());
    const auto compiled = test::run_compiled(prepared->graph, test.arguments, sample.extents);
    REQUIRE(compiled.has_value());
    for (size_t k = 0; k < test.wrt.size(); ++k) {
      const GradientError error = check_gradient((*compiled)[k + 1], prepared->graph, 0, test.wrt[k], test.arguments, sample.extents);
      CHECK_MESSAGE(error.worst <= 1e-6, fmt::format("{} operand {}: {}", sample.name, test.wrt[k], error.where));
    }
  }
}
