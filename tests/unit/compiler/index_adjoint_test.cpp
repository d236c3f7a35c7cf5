// Gradients of what is read in strides and along run-time axes: right, and without products by zeros.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "compiler/graph/differentiate.h"
#include "compiler/graph/remove_dead_nodes.h"
#include "ir/builder.h"
#include "ir/text.h"
#include "ir/text_formula.h"
#include "ir/verifier.h"
#include "tests/support/graph_checks.h"
#include "tests/support/op_samples.h"

using namespace smelt;
using namespace smelt::testing;

namespace {

/// What the contractions of a graph multiply.
int64_t multiplications(const Graph& graph) {
  int64_t sum = 0;
  for (const Node& node : graph.nodes) {
    if (node.op != OpKind::Contract) continue;
    std::vector<Shape> shapes;
    for (const NodeId x : node.inputs) shapes.push_back(graph.type(x).shape);
    const Shape extents = extents_of(node.attrs.formula("formula"), shapes).value();
    int64_t product = 1;
    for (const Extent& extent : extents) product *= extent.bound;
    sum += product;
  }
  return sum;
}

}  // namespace

TEST_CASE("the gradient of what is read in strides multiplies by no zeros between its taps") {
  constexpr int64_t kSize = 48;
  struct Window {
    int64_t taps, stride, pad;
  };
  for (const auto& [taps, stride, pad] : {Window{1, 2, 0},
                                          {3, 2, 1},
                                          {3, 2, 0},
                                          {4, 2, 1},
                                          {5, 2, 2},
                                          {7, 2, 3},
                                          {2, 3, 0},
                                          {4, 3, 1},
                                          {5, 3, 2},
                                          {3, 4, 0},
                                          {9, 4, 4},
                                          {11, 4, 2},
                                          // Fewer positions than taps, as of the windows of a spectrum.
                                          {24, 4, 0},
                                          {16, 8, 4},
                                          {32, 8, 0}}) {
    INFO(fmt::format("{} taps, stride {}, pad {}", taps, stride, pad));
    const int64_t positions = (kSize + 2 * pad - taps) / stride + 1;
    Graph graph;
    Builder build(graph);
    const NodeId x = build.argument({.name = "x", .role = ArgRole::Feed}, {DType::F64, {kSize}});
    const NodeId w = build.argument({.name = "w", .role = ArgRole::Feed}, {DType::F64, {taps}});
    const NodeId ct = build.argument({.name = "ct", .role = ArgRole::Feed}, {DType::F64, {positions}});
    const NodeId y =
        build.contract(x, w, formula_of(fmt::format("?[{}*i+u-{}] [u] -> [i<{}]", stride, pad, positions)));
    const NodeId loss = build.reduce_sum(build.mul(y, ct), {0});
    build.result({.name = "dx", .node = build.make(OpKind::Grad, {loss, x})});
    const Graph gradient = remove_dead_nodes(differentiate(graph));
    CHECK(verify(gradient, GraphStage::Differentiated) == std::vector<std::string>{});
    CHECK(multiplications(gradient) * 8 <= (kSize / stride + 1) * taps * 9);  // 11 taps at a stride of 4 are 12

    Numbers numbers(1);
    const std::vector<RefTensor> arguments = {numbers.tensor({DType::F64, {kSize}}, {}, -1, 1),
                                              numbers.tensor({DType::F64, {taps}}, {}, -1, 1),
                                              numbers.tensor({DType::F64, {positions}}, {}, -1, 1)};
    std::vector<double> expected(kSize, 0);
    for (int64_t i = 0; i < positions; ++i) {
      for (int64_t u = 0; u < taps; ++u) {
        const int64_t at = stride * i + u - pad;
        if (at >= 0 && at < kSize)
          expected[static_cast<size_t>(at)] +=
              arguments[2].values[static_cast<size_t>(i)] * arguments[1].values[static_cast<size_t>(u)];
      }
    }
    const RefTensor dx = run(gradient, arguments, {})[0];
    for (size_t at = 0; at < expected.size(); ++at)
      CHECK(dx.values[at] == doctest::Approx(expected[at]).epsilon(1e-12));
  }
}

namespace {

void check_run_time_gradient(const Graph& graph) {
  const Graph made = differentiate(graph);
  CHECK(verify(made, GraphStage::Differentiated) == std::vector<std::string>{});
  for (const int64_t size : {9, 3, 2, 1}) {
    const int64_t extents[] = {size};
    Numbers numbers(1);
    const std::vector<RefTensor> arguments = {numbers.tensor(graph.type(graph.arguments[0].node), extents, 0.5, 1.5),
                                              numbers.tensor(graph.type(graph.arguments[1].node), extents, 0.5, 1.5)};
    CAPTURE(size);
    const GradientError error = check_gradient(made, 1, 0, 0, arguments, extents);
    CHECK_MESSAGE(error.worst < 1e-8, error.where);
  }
}

}  // namespace

TEST_CASE("a diagonal that is read along an axis of another size: its gradient takes a part of that axis") {
  struct Case {
    const char *x, *formula, *y;
  };
  // A place of a run-time axis; a run-time part of a known one; both axes of a run-time size.
  constexpr Case kCases[] = {{"f64[3, 3, 1]", "?[i,i,j-2] -> [i<3,j<B<=9]", "f64[3, B<=9]"},
                             {"f64[3, 3, B<=9]", "?[i,i,j-2] -> [i<3,j<12]", "f64[3, 12]"},
                             {"f64[B<=9, B<=9, 2]", "[i,i,j] -> [i,j]", "f64[B<=9, 2]"}};
  for (const Case& each : kCases) {
    const Result<Graph> graph = parse_graph(fmt::format(R"(dims B<=9
func @f(%x: feed {0}, %w: feed {2}) {{
  %2 = read %x {{formula = {1}, outside = 0}} : {2}
  %3 = mul %2, %w : {2}
  %4 = sin %3 : {2}
  %5 = reduce_sum %4 {{axes = [0, 1]}} : f64
  %6 = grad %5, %x : {0}
  return %5 as value "loss", %6 as value "g"
}})",
                                                        each.x, each.formula, each.y));
    REQUIRE_MESSAGE(graph.has_value(), graph.error().message);
    check_run_time_gradient(*graph);
  }
}
