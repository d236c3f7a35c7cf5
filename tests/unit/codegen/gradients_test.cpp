// Gradients of every op and their gradients, compiled for f64, against 5-point differences of the reference evaluator.
#include <doctest/doctest.h>

#include "compiler/run_passes.h"
#include "tests/support/gradient_samples.h"
#include "tests/support/run_compiled.h"

using namespace smelt;
using namespace smelt::testing;

TEST_CASE("compiled gradients of every op agree with differences to 1e-7, second derivatives to 1e-6") {
  Numbers numbers(31);
  for (const OpSample& sample : op_samples(DType::F64)) {
    if (!sample.differentiable) continue;
    for (const bool second : {false, true}) {
      const GradientSample test = second ? second_order(sample, numbers) : first_order(sample, numbers);
      const auto prepared = run_graph_passes(test.graph);
      REQUIRE(prepared.has_value());
      const auto compiled = test::run_compiled(*prepared, test.arguments, sample.extents);
      REQUIRE(compiled.has_value());
      check_gradients(sample, test, *prepared, second ? 1e-6 : 1e-7, &*compiled);
    }
  }
}
