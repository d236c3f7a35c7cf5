// What steers differentiation: variables that rewrites may not lead around, custom adjoints, and the values at kinks
// and in the tails, in every order.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>

#include "compiler/graph/differentiate.h"
#include "compiler/run_passes.h"
#include "ir/text.h"
#include "tests/support/graph_checks.h"
#include "tests/support/op_samples.h"

using namespace smelt;
using namespace smelt::testing;

namespace {

Graph parsed(const std::string& text) {
  const Result<Graph> graph = parse_graph(text);
  REQUIRE_MESSAGE(graph, graph.error().message);
  return *graph;
}

std::vector<double> first_result(const Graph& graph, std::vector<double> x) {
  const TensorType type = graph.type(graph.arguments[0].node);
  RefTensor argument{type, actual_sizes(type.shape, {}), std::move(x)};
  return run(graph, std::span(&argument, 1), {})[0].values;
}

/// dy/dx, d2y/dx2 and d3y/dx3 at x of `body`, which computes %1 from %x, f64 scalars.
std::vector<double> three_orders(const std::string& body, int last, double x) {
  const std::string text = fmt::format(R"(func @f(%x: feed f64) {{
{0}  %{2} = grad %{1}, %x : f64
  %{3} = grad %{2}, %x : f64
  %{4} = grad %{3}, %x : f64
  return %{2} as value "d1", %{3} as value "d2", %{4} as value "d3"
}})",
                                       body, last, last + 1, last + 2, last + 3);
  RefTensor argument{{DType::F64, {}}, {}, {x}};
  std::vector<double> orders;
  for (const RefTensor& result : run(differentiate(parsed(text)), std::span(&argument, 1), {}))
    orders.push_back(result.values[0]);
  return orders;
}

}  // namespace

TEST_CASE("rewrites do not lead around the value that something is differentiated by") {
  // Each y is the sum of squares of x up to a movement that a rule would merge with the one that made x.
  for (const char* moved : {"transpose %x {permutation = [1, 0]} : f64[3, 2]", "reshape %x : f64[3, 2]"}) {
    const std::string text = fmt::format(R"(func @f(%x: feed f64[2, 3]) {{
  %1 = {0}
  %2 = transpose %1 {{permutation = [1, 0]}} : f64[2, 3]
  %3 = reshape %1 : f64[6]
  %4 = contract %2, %2 {{formula = [i,j] [i,j] -> []}} : f64
  %5 = contract %3, %3 {{formula = [i] [i] -> []}} : f64
  %6 = add %4, %5 : f64
  %7 = grad %6, %1 : f64[3, 2]
  return %7 as value "g"
}})",
                                         moved);
    const auto prepared = run_graph_passes(parsed(text));
    REQUIRE(prepared);
    const std::vector<double> x = {1, 2, 3, 4, 5, 6}, g = first_result(*prepared, x);
    double sum = 0;
    for (const double value : g) sum += value;
    CHECK(sum == doctest::Approx(4 * 21));
  }
  // neg(x) merged into a difference
  const auto prepared = run_graph_passes(parsed(R"(func @f(%x: feed f64) {
  %1 = neg %x : f64
  %2 = sub %x, %1 : f64
  %3 = mul %2, %2 : f64
  %4 = grad %3, %1 : f64
  return %4 as value "g"
})"));
  REQUIRE(prepared);
  CHECK(first_result(*prepared, {3}) == std::vector<double>{-12});
}

TEST_CASE("a custom adjoint replaces the derivative in reverse and forward mode, and has one itself") {
  // y = floor(x), whose cotangent of x is 2 x ct.
  const std::string adjoint = R"(  %1 = floor %x : f64
  %2 = stop %1 : f64
  %3 = cotangent {id = 0} : f64
  %4 = mul %3, %x : f64
  %5 = add %4, %4 : f64
  %6 = adjoint %2, %x, %3, %5 : f64
)";
  const std::vector<double> orders = three_orders(adjoint + "  %7 = mul %6, %6 : f64\n", 7, 2.5);
  // d1 = 2 y * 2x = 4 x floor(x); d2 = 4 floor(x) + 4x * 2x; d3 = 4 * 2x + 16 x
  CHECK(orders == std::vector<double>{20, 8 + 50, 20 + 40});
  const Graph forward = parsed("func @f(%x: feed f64) {\n" + adjoint + R"(  %7 = constant {value = 3} : f64
  %8 = jvp %6, %x, %7 : f64
  return %8 as value "jv"
})");
  CHECK(first_result(differentiate(forward), {2.5}) == std::vector<double>{15});
  // Without a derivative only the value is left.
  const Graph plain = parsed("func @f(%x: feed f64) {\n" + adjoint + "  return %6 as value \"y\"\n}");
  CHECK(first_result(differentiate(plain), {2.5}) == std::vector<double>{2});
}

TEST_CASE("a custom adjoint inside another keeps its own cotangent") {
  // inner: y = x with cotangent 3 ct; outer: y = x with the cotangent that inner(x) * ct has, 3 ct * .. of its own
  // graph.
  const Graph graph = parsed(R"(func @f(%x: feed f64) {
  %1 = stop %x : f64
  %2 = cotangent {id = 0} : f64
  %3 = stop %x : f64
  %4 = cotangent {id = 1} : f64
  %5 = add %4, %4 : f64
  %6 = add %5, %4 : f64
  %7 = adjoint %3, %x, %4, %6 : f64
  %8 = mul %2, %7 : f64
  %9 = adjoint %1, %x, %2, %8 : f64
  %10 = grad %9, %x : f64
  %11 = grad %10, %x : f64
  return %10 as value "g", %11 as value "h"
})");
  RefTensor argument{{DType::F64, {}}, {}, {5}};
  const std::vector<RefTensor> results = run(differentiate(graph), std::span(&argument, 1), {});
  CHECK(results[0].values[0] == 5);
  CHECK(results[1].values[0] == 3);
}

TEST_CASE("kinks have the documented derivatives, and no other, in three orders") {
  const std::string zero = "  %1 = constant {value = 0} : f64\n";
  using Orders = std::vector<double>;
  CHECK(three_orders("  %1 = relu %x : f64\n", 1, 0) == Orders{0, 0, 0});
  CHECK(three_orders("  %1 = abs %x : f64\n", 1, 0) == Orders{0, 0, 0});
  CHECK(three_orders(zero + "  %2 = max %x, %1 : f64\n", 2, 0) == Orders{1, 0, 0});
  CHECK(three_orders(zero + "  %2 = min %1, %x : f64\n", 2, 0) == Orders{0, 0, 0});
  for (const double x : {-40.0, 40.0, -100.0, 100.0, -HUGE_VAL, HUGE_VAL}) {
    CHECK(three_orders("  %1 = relu %x : f64\n", 1, x) == Orders{x > 0 ? 1.0 : 0.0, 0, 0});
  }
}

TEST_CASE("log sigmoid and softplus keep their digits in the tails, in three orders") {
  for (const double x : {-100.0, -40.0, -37.43, -1.0, 1.0, 37.43, 40.0, 100.0}) {
    const double p = 1 / (1 + std::exp(-x)), q = 1 / (1 + std::exp(x));
    const std::vector<double> log_sigmoid =
        three_orders("  %1 = neg %x : f64\n  %2 = softplus %1 : f64\n  %3 = neg %2 : f64\n", 3, x);
    const std::vector<double> softplus = three_orders("  %1 = softplus %x : f64\n", 1, x);
    const double exact[] = {q, -p * q, -p * q * (q - p)};
    for (size_t k = 0; k < 3; ++k) {
      CHECK(log_sigmoid[k] == doctest::Approx(exact[k]).epsilon(1e-12));
      CHECK(softplus[k] == doctest::Approx(k == 0 ? p : -exact[k]).epsilon(1e-12));
    }
  }
  for (const double x : {-HUGE_VAL, HUGE_VAL}) {
    for (const double d : three_orders("  %1 = softplus %x : f64\n", 1, x)) CHECK(std::isfinite(d));
  }
}

TEST_CASE("a branch that is not taken adds no NaN in any order, also across movements") {
  // where(x > 0, sum over a repetition of log(x), 0) at x = 0 and below
  const std::string body = R"(  %1 = constant {value = 0} : f64
  %2 = gt %x, %1 : bool
  %3 = log %x : f64
  %4 = reshape %3 : f64[1]
  %5 = sqrt %4 : f64[1]
  %6 = reduce_sum %5 {axes = [0]} : f64
  %7 = select %2, %6, %1 : f64
)";
  for (const double x : {-1.0, 0.0}) CHECK(three_orders(body, 7, x) == std::vector<double>{0, 0, 0});
  for (const double d : three_orders(body, 7, 3.0)) CHECK((std::isfinite(d) && d != 0));
}

TEST_CASE("masks within masks, and the sum of two masks, keep what is masked out") {
  const std::string conditions = R"(  %1 = constant {value = 0} : f64
  %2 = constant {value = -2} : f64
  %3 = gt %x, %1 : bool
  %4 = gt %x, %2 : bool
  %5 = log %x : f64
)";
  const std::string nested = conditions + "  %6 = select %3, %5, %1 : f64\n  %7 = select %4, %6, %1 : f64\n";
  const std::string summed =
      conditions + "  %6 = select %3, %5, %1 : f64\n  %7 = gt %x, %5 : bool\n  %8 = select %7, %5, %6 : f64\n";
  for (const double x : {-1.0, 0.0}) {
    CHECK(three_orders(nested, 7, x) == std::vector<double>{0, 0, 0});
  }
  CHECK(three_orders(nested, 7, 2) == std::vector<double>{0.5, -0.25, 0.25});
  CHECK(three_orders(summed, 8, 2) == std::vector<double>{0.5, -0.25, 0.25});
  CHECK(three_orders(summed, 8, -1) == std::vector<double>{0, 0, 0});
}
