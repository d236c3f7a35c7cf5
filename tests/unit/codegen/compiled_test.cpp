#include <doctest/doctest.h>

#include <random>

#include "fuzz/compiled_graphs.h"
#include "ir/builder.h"
#include "tests/support/run_compiled.h"

using namespace smelt;

namespace {

TensorType f32(Shape shape) { return {DType::F32, std::move(shape)}; }

std::vector<RefTensor> random_arguments(const Graph& graph, std::span<const int64_t> extents) {
  std::mt19937 bits(1);
  std::vector<RefTensor> tensors;
  for (const Argument& argument : graph.arguments) {
    RefTensor tensor{graph.type(argument.node), actual_sizes(graph.type(argument.node).shape, extents), {}};
    for (int64_t i = 0; i < tensor.count(); ++i) {
      tensor.values.push_back(static_cast<double>(static_cast<float>(static_cast<double>(bits()) / 4294967296.0 - 0.5)));
    }
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

void expect_equal(const Graph& graph, std::vector<int64_t> extents = {}, double tolerance = 2e-5) {
  const auto arguments = random_arguments(graph, extents);
  const auto expected = evaluate(graph, arguments, extents);
  REQUIRE(expected.has_value());
  for (const char* cpu : {"native", "x86-64-v3", "x86-64-v2"}) {
    for (const int threads : {1, 3}) {
      const auto got = test::run_compiled(graph, arguments, extents, {.cpu = cpu, .threads = threads});
      REQUIRE(got.has_value());
      for (size_t r = 0; r < got->size(); ++r) {
        double worst = 0;
        size_t at = 0;
        for (size_t i = 0; i < (*expected)[r].values.size(); ++i) {
          const double error = std::abs((*got)[r].values[i] - (*expected)[r].values[i]) / (1 + std::abs((*expected)[r].values[i]));
          if (!(error <= worst)) worst = error, at = i;
        }
        INFO(cpu, " threads ", threads, " result ", r, " element ", at, ": ", (*got)[r].values[at], " expected ",
             (*expected)[r].values[at], "\n", fuzz::loops_of(graph));
        CHECK(worst <= tolerance);
      }
    }
  }
}

NodeId argument(Builder& b, const char* name, TensorType type) {
  return b.argument({.name = name, .role = ArgRole::Feed}, std::move(type));
}

}  // namespace

TEST_CASE("an elementwise chain with a masked tail") {
  Graph graph;
  Builder b(graph);
  const NodeId x = argument(b, "x", f32({5, 37}));
  b.result({.name = "y", .node = b.make(OpKind::Tanh, {b.mul(x, b.exp(x))})});
  expect_equal(graph);
}

TEST_CASE("products of all transposes and odd sizes") {
  for (const auto& [m, n, k] : {std::tuple{128, 400, 784}, {17, 33, 7}, {3, 5, 1}, {128, 10, 50}, {9, 97, 130}}) {
    for (const char* formula : {"[m,k] [k,n] -> [m,n]", "[k,m] [k,n] -> [m,n]", "[m,k] [n,k] -> [m,n]", "[k,m] [n,k] -> [m,n]",
                                "[m,k] [k,n] -> [n,m]"}) {
      Graph graph;
      Builder b(graph);
      const std::string text = formula;
      const NodeId x = argument(b, "a", f32(text.starts_with("[m") ? Shape{m, k} : Shape{k, m}));
      const NodeId y = argument(b, "b", f32(text.substr(6).starts_with("[k") ? Shape{k, n} : Shape{n, k}));
      b.result({.name = "c", .node = b.contract(x, y, formula)});
      CAPTURE(formula);
      expect_equal(graph);
    }
  }
}

TEST_CASE("a softmax row kernel under a run-time batch") {
  Graph graph;
  graph.symbols = {{"B", 16}};
  Builder b(graph);
  const Shape shape{Extent(16, 0), Extent(10)};
  const NodeId x = argument(b, "x", f32(shape));
  const NodeId top = b.broadcast_back(b.reduce_max(x, {1}), shape, std::vector<int64_t>{1});
  const NodeId e = b.exp(b.sub(x, top));
  const NodeId sum = b.broadcast_back(b.reduce_sum(e, {1}), shape, std::vector<int64_t>{1});
  b.result({.name = "p", .node = b.div(e, sum)});
  b.result({.name = "columns", .node = b.reduce_sum(b.div(e, sum), {0})});
  for (const int64_t batch : {16, 13, 1, 0}) expect_equal(graph, {batch});
}

TEST_CASE("a dense layer with activation in the epilogue, run-time batch") {
  Graph graph;
  graph.symbols = {{"B", 40}};
  Builder b(graph);
  const NodeId x = argument(b, "x", f32({Extent(40, 0), Extent(30)}));
  const NodeId w = argument(b, "w", f32({30, 50}));
  const NodeId bias = argument(b, "b", f32({50}));
  const NodeId h = b.contract(x, w, "[b,i] [i,o] -> [b,o]");
  const NodeId y = b.make(OpKind::Tanh, {b.add(h, b.broadcast(bias, b.type(h).shape, {1}))});
  const NodeId dw = b.contract(x, y, "[b,i] [b,o] -> [i,o]");
  b.result({.name = "y", .node = y});
  b.result({.name = "dw", .node = b.mul(dw, dw)});
  for (const int64_t batch : {40, 37, 3}) expect_equal(graph, {batch});
}
