// Derivatives of every op and of whole models against 5-point differences in f64, to first and second order.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>

#include "compiler/graph/differentiate.h"
#include "compiler/graph/remove_dead_nodes.h"
#include "ir/builder.h"
#include "ir/op.h"
#include "ir/text.h"
#include "ir/text_formula.h"
#include "ir/verifier.h"
#include "tests/support/gradient_samples.h"
#include "tests/support/graph_checks.h"
#include "tests/support/op_samples.h"

using namespace smelt;
using namespace smelt::testing;

namespace {

void check_verified(const Graph& graph, GraphStage stage) {
  const std::vector<std::string> violations = verify(graph, stage);
  CHECK_MESSAGE(violations.empty(), fmt::format("{}", fmt::join(violations, "\n")));
}

}  // namespace

TEST_CASE("first derivatives of every op agree with differences, second ones with differences of the first") {
  Numbers numbers(21);
  for (const OpSample& sample : op_samples(DType::F64)) {
    if (!sample.differentiable) continue;
    INFO(sample.name);
    for (const bool second : {false, true}) {
      const GradientSample test = second ? second_order(sample, numbers) : first_order(sample, numbers);
      const Graph graph = differentiate(test.graph);
      check_verified(graph, GraphStage::Differentiated);
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
  check_verified(differentiated, GraphStage::Differentiated);
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
  constexpr int64_t kSize = 48;  // more positions than taps
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
                                          {11, 4, 2}}) {
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
    check_verified(gradient, GraphStage::Differentiated);
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
  check_verified(made, GraphStage::Differentiated);
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

namespace {

/// [B, in] -> [B, out]
NodeId dense(Builder& b, NodeId x, NodeId w, NodeId bias) {
  const NodeId y = b.contract(x, w, formula_of("[b,k] [k,o] -> [b,o]"));
  const Shape shape = b.type(y).shape;
  return b.add(y, b.broadcast(bias, shape, {1}));
}

NodeId mean_over_batch(Builder& b, NodeId x) {
  const std::vector<int64_t> batch = {0};
  const NodeId count = b.count(x, batch, b.type(x).dtype);
  return b.div(sum_all(b, x), count);
}

struct Model {
  Graph graph;
  std::vector<RefTensor> arguments;
  std::vector<int64_t> extents{5};
  std::vector<size_t> parameters;

  Model() { graph.symbols = {{"B", 8}}; }
  NodeId argument(Numbers& numbers, std::string name, Shape shape, bool is_parameter) {
    Builder builder(graph);
    const TensorType type{DType::F64, std::move(shape)};
    if (is_parameter) parameters.push_back(arguments.size());
    arguments.push_back(numbers.tensor(type, extents, -0.8, 0.8));
    return builder.argument({std::move(name), ArgRole::Feed, -1, {}}, type);
  }
  void finish(NodeId loss) {
    Builder builder(graph);
    add_result(builder, "loss", loss);
    for (const size_t k : parameters) add_result(builder, "grad", gradient(builder, loss, graph.arguments[k].node));
  }
};

/// Two layers and softmax cross entropy on a run-time batch.
Model mlp() {
  Numbers numbers(31);
  Model model;
  const Extent batch(8, 0);
  const NodeId x = model.argument(numbers, "x", {batch, 4}, false);
  const NodeId w1 = model.argument(numbers, "w1", {4, 6}, true), b1 = model.argument(numbers, "b1", {6}, true);
  const NodeId w2 = model.argument(numbers, "w2", {6, 3}, true), b2 = model.argument(numbers, "b2", {3}, true);
  Builder b(model.graph);
  const NodeId label = b.argument({"label", ArgRole::Feed, -1, {}}, {DType::I32, {batch}});
  model.arguments.push_back(numbers.tensor({DType::I32, {batch}}, model.extents, 0, 2));
  const NodeId logits = dense(b, b.make(OpKind::Tanh, {dense(b, x, w1, b1)}), w2, b2);
  const NodeId log_p = b.make(OpKind::LogSoftmax, {logits}, {{"axes", std::vector<int64_t>{1}}});
  const NodeId positions = b.index({DType::I32, {batch, 3}}, 1);
  const NodeId hit = b.make(OpKind::Eq, {positions, b.broadcast(label, {batch, 3}, {0})});
  model.finish(b.neg(mean_over_batch(b, b.select(hit, log_p, b.like(log_p, 0)))));
  return model;
}

/// Encoder to mean and log variance, a draw, decoder, Bernoulli likelihood on logits and the KL term.
Model vae() {
  Numbers numbers(32);
  Model model;
  const Extent batch(8, 0);
  const NodeId x = model.argument(numbers, "x", {batch, 5}, false);
  const auto layer = [&](const char* name, int64_t in, int64_t out) {
    return std::pair(model.argument(numbers, fmt::format("{}.W", name), {in, out}, true),
                     model.argument(numbers, fmt::format("{}.b", name), {out}, true));
  };
  const auto encoder = layer("enc", 5, 7), mean_layer = layer("mean", 7, 2), var_layer = layer("logvar", 7, 2);
  const auto decoder = layer("dec", 2, 7), out_layer = layer("out", 7, 5);
  Builder b(model.graph);
  const TensorType scalar{DType::I64, {}};
  const NodeId seed = b.argument({"seed", ArgRole::Seed, -1, {}}, scalar);
  const NodeId run_number = b.argument({"run", ArgRole::Run, -1, {}}, scalar);
  model.arguments.push_back(numbers.tensor(scalar, {}, 0, 1000));
  model.arguments.push_back(numbers.tensor(scalar, {}, 0, 1000));

  const NodeId h = b.make(OpKind::Tanh, {dense(b, x, encoder.first, encoder.second)});
  const NodeId mean = dense(b, h, mean_layer.first, mean_layer.second);
  const NodeId logvar = dense(b, h, var_layer.first, var_layer.second);
  const TensorType latent = b.type(mean);
  const NodeId noise =
      b.make(OpKind::RandomNormal, {seed, run_number}, {{"site", int64_t{17}}, {"loop", int64_t{0}}, {"type", latent}});
  const NodeId deviation = b.exp(b.mul(logvar, b.like(logvar, 0.5)));
  const NodeId z = b.add(mean, b.mul(deviation, noise));
  const NodeId g = b.make(OpKind::Sigmoid, {dense(b, z, decoder.first, decoder.second)});
  const NodeId logits = dense(b, g, out_layer.first, out_layer.second);
  const NodeId nll = b.sub(b.make(OpKind::Softplus, {logits}), b.mul(logits, x));
  const NodeId square = b.make(OpKind::Square, {mean});
  const NodeId kl = b.sub(b.add(square, b.exp(logvar)), b.add(logvar, b.like(logvar, 1)));
  const NodeId half = b.constant(0.5, {DType::F64, {}});
  model.finish(b.add(mean_over_batch(b, nll), b.mul(half, mean_over_batch(b, kl))));
  return model;
}

void check_model(const Model& model) {
  const Graph graph = differentiate(model.graph);
  check_verified(graph, GraphStage::Differentiated);
  for (size_t k = 0; k < model.parameters.size(); ++k) {
    const GradientError error = check_gradient(graph, k + 1, 0, model.parameters[k], model.arguments, model.extents);
    CHECK_MESSAGE(error.worst <= 1e-7,
                  fmt::format("{}: {}", model.graph.arguments[model.parameters[k]].name, error.where));
  }
}

}  // namespace

TEST_CASE("an MLP with cross entropy on a partial batch") { check_model(mlp()); }
TEST_CASE("a VAE with a reparameterised draw") { check_model(vae()); }

TEST_CASE("a gradient penalty: the gradient of a norm of a gradient") {
  Numbers numbers(33);
  Model model;
  const NodeId x = model.argument(numbers, "x", {3, 4}, false);
  const NodeId w1 = model.argument(numbers, "w1", {4, 6}, true), b1 = model.argument(numbers, "b1", {6}, true);
  const NodeId w2 = model.argument(numbers, "w2", {6, 1}, true), b2 = model.argument(numbers, "b2", {1}, true);
  Builder b(model.graph);
  const NodeId score = dense(b, b.make(OpKind::Softplus, {dense(b, x, w1, b1)}), w2, b2);
  const NodeId g = gradient(b, sum_all(b, score), x);
  const NodeId norm = b.sqrt(b.reduce_sum(b.make(OpKind::Square, {g}), {1}));
  const NodeId penalty = b.make(OpKind::Square, {b.sub(norm, b.like(norm, 1))});
  model.finish(b.add(sum_all(b, penalty), sum_all(b, score)));
  check_model(model);
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
