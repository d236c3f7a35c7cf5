// Random graphs, about half of them with gradients: the reference evaluator against compiled code, with and without
// optimisation.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>

#include "compiler/pipeline.h"
#include "tests/support/random_graph.h"
#include "tests/support/run_compiled.h"

using namespace smelt;

namespace {

void compare(uint64_t seed, const test::RunOptions& options) {
  const testing::RandomGraph sample = testing::random_graph(seed, 25, DType::F64);
  auto prepared = run_graph_pipeline(sample.graph, {});
  REQUIRE(prepared.has_value());
  const auto expected = evaluate(prepared->graph, sample.arguments, sample.extents);
  const auto got = test::run_compiled(prepared->graph, sample.arguments, sample.extents, options);
  REQUIRE(expected.has_value());
  REQUIRE(got.has_value());
  for (size_t r = 0; r < got->size(); ++r) {
    const RefTensor &a = (*got)[r], &b = (*expected)[r];
    for (size_t i = 0; i < b.values.size(); ++i) {
      const bool both_nan = std::isnan(a.values[i]) && std::isnan(b.values[i]);
      const double error = std::abs(a.values[i] - b.values[i]) / (1 + std::abs(b.values[i]));
      if (both_nan || error <= 1e-9 || a.values[i] == b.values[i]) continue;
      FAIL(fmt::format("seed {} result {} element {}: {} expected {}\n{}", seed, r, i, a.values[i], b.values[i],
                       test::loops_of(prepared->graph)));
    }
  }
}

}  // namespace

TEST_CASE("compiled random graphs agree with the evaluator") {
  for (uint64_t seed = 1; seed <= 60; ++seed) compare(seed, {.threads = 1 + static_cast<int>(seed % 3)});
}
TEST_CASE("random graphs agree without LLVM's passes") {
  for (uint64_t seed = 100; seed <= 120; ++seed) compare(seed, {.optimize = false});
}
