// Derivatives of every op against 5-point differences in f64, to first and second order; values at kinks, tails and
// branches that are not taken; and what a sweep shares.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>

#include "compiler/graph/differentiate.h"
#include "compiler/graph/remove_dead_nodes.h"
#include "ir/builder.h"
#include "ir/op.h"
#include "ir/text.h"
#include "ir/verifier.h"
#include "tests/support/gradient_samples.h"
#include "tests/support/graph_checks.h"
#include "tests/support/op_samples.h"

using namespace smelt;
using namespace smelt::testing;

TEST_CASE("first derivatives of every op agree with differences, second ones with differences of the first") {
  Numbers numbers(21);
  for (const OpSample& sample : op_samples(DType::F64)) {
    if (!sample.differentiable) continue;
    INFO(sample.name);
    for (const bool second : {false, true}) {
      const GradientSample test = second ? second_order(sample, numbers) : first_order(sample, numbers);
      const Graph graph = differentiate(test.graph);
      CHECK(verify(graph, GraphStage::Differentiated) == std::vector<std::string>{});
      check_gradients(sample, test, graph, second ? 1e-6 : 1e-7);
    }
  }
}

TEST_CASE("ops without a derivative give zero") {
  for (const char* op : {"sign", "floor", "stop"}) {
    const Result<Graph> graph = parse_graph(fmt::format(R"(func @f(%x: feed f64) {{
  %1 = {} %x : f64
  %2 = grad %1, %x : f64
  return %2 as value "g"
}})",
                                                        op));
    REQUIRE(graph.has_value());
    Numbers numbers(1);
    const std::vector<RefTensor> arguments = {numbers.tensor({DType::F64, {}}, {}, 1.2, 1.8)};
    CHECK(run(differentiate(*graph), arguments, {})[0].values[0] == 0);
  }
}

namespace {

/// f(x) and its gradient at the given numbers; `body` computes %y from %x, both f64[n], starting at node %1.
std::vector<double> gradient_at(std::string_view body, int last, const std::vector<double>& x) {
  const std::string text = fmt::format(R"(func @f(%x: feed f64[{0}]) {{
{1}  %{2} = reduce_sum %{3} {{axes = [0]}} : f64
  %{4} = grad %{2}, %x : f64[{0}]
  return %{4} as value "g"
}})",
                                       x.size(), body, last + 1, last, last + 2);
  const Result<Graph> graph = parse_graph(text);
  REQUIRE_MESSAGE(graph.has_value(), graph.error().message);
  RefTensor argument{graph->type(graph->arguments[0].node), {static_cast<int64_t>(x.size())}, x};
  return run(differentiate(*graph), std::span(&argument, 1), {})[0].values;
}

}  // namespace

TEST_CASE("subgradients at kinks are those that the records state") {
  CHECK(gradient_at("  %1 = relu %x : f64[3]\n", 1, {-1, 0, 2}) == std::vector<double>{0, 0, 1});
  CHECK(gradient_at("  %1 = abs %x : f64[3]\n", 1, {-1, 0, 2}) == std::vector<double>{-1, 0, 1});
  // A tie of max goes to the first operand: max(x, 0) here, so the derivative at 0 is 1.
  CHECK(gradient_at("  %1 = constant {value = 0} : f64[3]\n  %2 = max %x, %1 : f64[3]\n", 2, {-1, 0, 2}) ==
        std::vector<double>{0, 1, 1});
  CHECK(gradient_at("  %1 = constant {value = 0} : f64[3]\n  %2 = min %1, %x : f64[3]\n", 2, {-1, 0, 2}) ==
        std::vector<double>{1, 0, 0});
  const std::string max = "  %1 = reduce_max %x {axes = [0]} : f64\n  %2 = reshape %1 : f64[1]\n";
  CHECK(gradient_at(max, 2, {3, 1, 3, 2}) == std::vector<double>{0.5, 0, 0.5, 0});
}

TEST_CASE("x^2 has an exact derivative everywhere, x^0.5 at positive x") {
  const auto power = [](double exponent) {
    return fmt::format("  %1 = constant {{value = {}}} : f64[4]\n  %2 = pow %x, %1 : f64[4]\n", exponent);
  };
  CHECK(gradient_at(power(2), 2, {-3, 0, 0.5, 2}) == std::vector<double>{-6, 0, 1, 4});
  CHECK(gradient_at(power(3), 2, {-2, 0, 1, 2}) == std::vector<double>{12, 0, 3, 12});
  CHECK(gradient_at(power(1), 2, {-2, 0, 1, 2}) == std::vector<double>{1, 1, 1, 1});
  CHECK(gradient_at(power(0), 2, {-2, 0, 1, 2}) == std::vector<double>{0, 0, 0, 0});
  CHECK(gradient_at(power(0.5), 2, {0.25, 1, 4, 16}) == std::vector<double>{1, 0.5, 0.25, 0.125});
  // Both operands vary: 0^0 and a negative base give no NaN.
  CHECK(gradient_at("  %1 = pow %x, %x : f64[2]\n", 1, {0, -2})[0] == 0);
  CHECK(gradient_at("  %1 = pow %x, %x : f64[2]\n", 1, {0, -2})[1] == doctest::Approx(0.25));
}

TEST_CASE("a branch that is not taken adds no NaN, through any chain of factors") {
  for (const char* op : {"log", "sqrt", "rsqrt"}) {
    const std::string body = fmt::format(R"(  %1 = constant {{value = 0}} : f64[3]
  %2 = gt %x, %1 : bool[3]
  %3 = sqrt %x : f64[3]
  %4 = {} %3 : f64[3]
  %5 = add %4, %3 : f64[3]
  %6 = div %5, %x : f64[3]
  %7 = select %2, %6, %1 : f64[3]
)",
                                         op);
    const std::vector<double> g = gradient_at(body, 7, {-1, 0, 4});
    CHECK(g[0] == 0);
    CHECK(g[1] == 0);
    CHECK(std::isfinite(g[2]));
    CHECK(g[2] != 0);
  }
}

TEST_CASE("the second derivative of log sigmoid keeps its digits in the tail") {
  const Result<Graph> graph = parse_graph(R"(func @f(%x: feed f64) {
  %1 = neg %x : f64
  %2 = softplus %1 : f64
  %3 = neg %2 : f64
  %4 = grad %3, %x : f64
  %5 = grad %4, %x : f64
  return %5 as value "g"
})");
  REQUIRE(graph.has_value());
  for (const double x : {-37.43, 37.43, 0.3}) {
    RefTensor argument{{DType::F64, {}}, {}, {x}};
    const double exact = -1 / ((1 + std::exp(x)) * (1 + std::exp(-x)));
    CHECK(run(differentiate(*graph), std::span(&argument, 1), {})[0].values[0] ==
          doctest::Approx(exact).epsilon(1e-12));
  }
}

TEST_CASE("reuse: x op x, fan-out, an unused operand and a value that is not on the path") {
  const Result<Graph> graph = parse_graph(R"(func @f(%x: feed f64[3], %z: feed f64[3]) {
  %2 = mul %x, %x : f64[3]
  %3 = sub %x, %x : f64[3]
  %4 = add %2, %3 : f64[3]
  %5 = exp %2 : f64[3]
  %6 = mul %4, %5 : f64[3]
  %7 = reduce_sum %6 {axes = [0]} : f64
  %8 = grad %7, %x : f64[3]
  %9 = grad %7, %z : f64[3]
  %10 = grad %7, %2 : f64[3]
  %11 = grad %7, %7 : f64
  return %7 as value "y", %8 as value "gx", %9 as value "gz", %10 as value "g2", %11 as value "g7"
})");
  REQUIRE(graph.has_value());
  const Graph differentiated = differentiate(*graph);
  CHECK(verify(differentiated, GraphStage::Differentiated) == std::vector<std::string>{});
  Numbers numbers(5);
  const std::vector<RefTensor> arguments = {numbers.tensor({DType::F64, {3}}, {}, -1, 1),
                                            numbers.tensor({DType::F64, {3}}, {})};
  CHECK(check_gradient(differentiated, 1, 0, 0, arguments, {}).worst <= 1e-7);
  const std::vector<RefTensor> results = run(differentiated, arguments, {});
  CHECK(results[2].values == std::vector<double>{0, 0, 0});
  CHECK(results[4].values == std::vector<double>{1});
  for (size_t i = 0; i < 3; ++i) {
    const double square = arguments[0].values[i] * arguments[0].values[i];
    CHECK(results[3].values[i] == doctest::Approx(std::exp(square) * (1 + square)));
  }
}

TEST_CASE("two branches of one condition add their gradients inside the condition") {
  const Result<Graph> graph = parse_graph(R"(func @f(%x: feed f64[3], %w: feed f64[3]) {
  %2 = constant {value = 0} : f64[3]
  %3 = gt %w, %2 : bool[3]
  %4 = exp %x : f64[3]
  %5 = select %3, %4, %w : f64[3]
  %6 = mul %4, %4 : f64[3]
  %7 = select %3, %6, %w : f64[3]
  %8 = add %5, %7 : f64[3]
  %9 = reduce_sum %8 {axes = [0]} : f64
  %10 = grad %9, %x : f64[3]
  return %9 as value "y", %10 as value "g"
})");
  REQUIRE(graph.has_value());
  Numbers numbers(6);
  const std::vector<RefTensor> arguments = {numbers.tensor({DType::F64, {3}}, {}, -1, 1),
                                            numbers.tensor({DType::F64, {3}}, {}, 0.5, 1)};
  CHECK(check_gradient(differentiate(*graph), 1, 0, 0, arguments, {}).worst <= 1e-7);
}

TEST_CASE("gradients of one y share one sweep, and what leads to no x costs nothing") {
  const Result<Graph> graph = parse_graph(R"(func @f(%x: feed f32[8, 4], %a: feed f32[4, 5], %b: feed f32[5, 6]) {
  %3 = contract %x, %a {formula = [i,k] [k,j] -> [i,j]} : f32[8, 5]
  %4 = tanh %3 : f32[8, 5]
  %5 = contract %4, %b {formula = [i,k] [k,j] -> [i,j]} : f32[8, 6]
  %6 = reduce_sum %5 {axes = [0, 1]} : f32
  %7 = grad %6, %a : f32[4, 5]
  %8 = grad %6, %b : f32[5, 6]
  return %7 as value "ga", %8 as value "gb"
})");
  REQUIRE(graph.has_value());
  int contractions = 0;
  for (const Node& node : remove_dead_nodes(differentiate(*graph)).nodes) contractions += node.op == OpKind::Contract;
  // Two forward and three backward: none for x, which nobody asked for. (The forward one to the sum is dead.)
  CHECK(contractions == 4);
}

TEST_CASE("spans of gradient nodes are those of the node that was differentiated") {
  Graph graph;
  Builder builder(graph);
  const NodeId x = builder.argument({"x", ArgRole::Feed, -1, {}}, {DType::F64, {}});
  builder.set_span({0, 10, 12});
  const NodeId y = builder.make(OpKind::Tanh, {x});
  builder.set_span({0, 20, 22});
  add_result(builder, "g", gradient(builder, y, x));
  const Graph differentiated = differentiate(graph);
  for (uint32_t i = 2; i < differentiated.size(); ++i) CHECK(differentiated.nodes[i].span == Span{0, 10, 12});
}

TEST_CASE("a gradient penalty keeps w2 and drops b2") {
  // d score / d x does not depend on b2, so the penalty alone has gradient 0 there.
  const Result<Graph> graph = parse_graph(R"(func @f(%x: feed f64, %b: feed f64) {
  %2 = mul %x, %x : f64
  %3 = add %2, %b : f64
  %4 = grad %3, %x : f64
  %5 = mul %4, %4 : f64
  %6 = grad %5, %b : f64
  %7 = grad %5, %x : f64
  return %6 as value "gb", %7 as value "gx"
})");
  REQUIRE(graph.has_value());
  Numbers numbers(2);
  const std::vector<RefTensor> arguments = {numbers.tensor({DType::F64, {}}, {}), numbers.tensor({DType::F64, {}}, {})};
  const std::vector<RefTensor> results = run(differentiate(*graph), arguments, {});
  CHECK(results[0].values[0] == 0);
  CHECK(results[1].values[0] == doctest::Approx(8 * arguments[0].values[0]));
}
