// Every op at its samples: compiled code against the reference evaluator, f32 and f64, on each ISA level.
#include <doctest/doctest.h>

#include <cmath>

#include "compiler/run_passes.h"
#include "fuzz/compiled_graphs.h"
#include "ir/op.h"
#include "tests/support/op_samples.h"
#include "tests/support/run_compiled.h"

using namespace smelt;

namespace {

Graph primitives(const Graph& graph) {
  Result<Graph> result = run_graph_passes(graph);
  REQUIRE(result.has_value());
  return *std::move(result);
}

/// The largest |a - b| / (1 + |b|); values that are not finite must be the same.
double worst_error(const RefTensor& got, const RefTensor& expected, size_t& at) {
  double worst = 0;
  REQUIRE(got.values.size() == expected.values.size());
  for (size_t i = 0; i < got.values.size(); ++i) {
    const double a = got.values[i], b = expected.values[i];
    const bool same = a == b || (std::isnan(a) && std::isnan(b));
    const double error = same ? 0 : std::abs(a - b) / (1 + std::abs(b));
    if (!(error <= worst)) worst = std::isnan(error) ? INFINITY : error, at = i;
  }
  return worst;
}

void compare_all(DType dtype, double tolerance, const test::RunOptions& options) {
  for (const testing::OpSample& sample : testing::op_samples(dtype)) {
    const auto expected = evaluate(sample.graph, sample.arguments, sample.extents, {.rounding = Rounding::ToDType});
    REQUIRE(expected.has_value());
    CAPTURE(sample.name);
    const Graph graph = primitives(sample.graph);
    const auto got = test::run_compiled(graph, sample.arguments, sample.extents, options);
    REQUIRE(got.has_value());
    size_t at = 0;
    const double worst = worst_error((*got)[0], (*expected)[0], at);
    INFO(sample.name, " on ", options.cpu, ": element ", at, " is ",
         (*got)[0].values.empty() ? 0 : (*got)[0].values[at], ", expected ",
         (*expected)[0].values.empty() ? 0 : (*expected)[0].values[at], "\n", fuzz::loops_text(graph));
    CHECK(worst <= tolerance);
  }
}

}  // namespace

TEST_CASE("compiled ops agree with the reference in f32") { compare_all(DType::F32, 3e-6, {}); }
TEST_CASE("compiled ops agree with the reference in f64") { compare_all(DType::F64, 1e-12, {}); }
TEST_CASE("compiled ops agree with the reference on AVX2") { compare_all(DType::F32, 3e-6, {.cpu = "x86-64-v3"}); }
TEST_CASE("compiled ops agree with the reference without AVX") { compare_all(DType::F32, 3e-6, {.cpu = "x86-64-v2"}); }
TEST_CASE("compiled ops agree with the reference on three threads") { compare_all(DType::F64, 1e-12, {.threads = 3}); }
