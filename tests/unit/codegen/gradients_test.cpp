// Gradients of every op, compiled for f64, against 5-point differences of the reference evaluator.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "compiler/pipeline.h"
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
