// Large values in parts: loops over them, and what rows do not see.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "compiler/graph/remove_dead_nodes.h"
#include "compiler/graph/split_large_values.h"
#include "compiler/run_passes.h"
#include "ir/op.h"
#include "ir/text.h"
#include "ir/verifier.h"
#include "tests/support/graph_checks.h"
#include "tests/support/op_samples.h"

using namespace smelt;
using namespace smelt::testing;

namespace {

Graph parse(std::string_view text) {
  Result<Graph> graph = parse_graph(text);
  REQUIRE_MESSAGE(graph.has_value(), graph.error().message);
  return *std::move(graph);
}

constexpr std::string_view kAttention = R"(func @attention(%q: feed f64[8, 3], %k: feed f64[8, 3], %v: feed f64[8, 3]) {
  %3 = contract %q, %k {formula = [i,k] [j,k] -> [i,j]} : f64[8, 8]
  %4 = index {axis = 0} : i32[8]
  %5 = broadcast %4 {axes = [0]} : i32[8, 8]
  %6 = broadcast %4 {axes = [1]} : i32[8, 8]
  %7 = MASK : bool[8, 8]
  %8 = constant {value = BEHIND} : f64[8, 8]
  %9 = select %7, %3, %8 : f64[8, 8]
  %10 = softmax %9 {axes = [1]} : f64[8, 8]
  %11 = contract %10, %v {formula = [i,k] [k,j] -> [i,j]} : f64[8, 3]
  %12 = mul %11, %11 : f64[8, 3]
  %13 = reduce_sum %12 {axes = [0, 1]} : f64
  %14 = grad %13, %q : f64[8, 3]
  %15 = grad %13, %k : f64[8, 3]
  %16 = grad %13, %v : f64[8, 3]
  return %11 as value "y", %14 as value "dq", %15 as value "dk", %16 as value "dv"
})";

/// Loops and products of a graph and of the bodies in it.
struct Count {
  int loops = 0;
  double flops = 0;  // a turn of a loop counts once
};
Count count_of(const Graph& graph) {
  Count count;
  for (const Node& node : graph.nodes) {
    if (node.op == OpKind::Contract) {
      const auto elements = [&](const TensorType& type) { return static_cast<double>(*num_elements(type.shape)); };
      count.flops +=
          std::sqrt(elements(graph.type(node.inputs[0])) * elements(graph.type(node.inputs[1])) * elements(node.type));
    }
    if (node.body == nullptr) continue;
    const Count inner = count_of(*node.body);
    count.loops += 1 + inner.loops;
    count.flops += inner.flops;
  }
  return count;
}

}  // namespace

TEST_CASE("attention and its gradients keep no table of scores; what no row sees is not computed") {
  // Scores of 8 places by 8, in parts of 2 places.
  constexpr LargeValues kScores{.bytes = 8 * 8 * 8, .part_bytes = 1, .growth = 1, .fewest_rows = 2, .tile = 1};
  struct Row {
    const char *mask, *behind;
    bool by_prefix;
  };
  const Row rows[] = {{"le %6, %5", "-inf", true},  {"ge %5, %6", "-inf", true}, {"lt %6, %5", "-1e30", false},
                      {"le %5, %6", "-inf", false}, {"le %6, %5", "0", false},   {"gt %5, %6", "-inf", false},
                      {"ne %5, %6", "-inf", false}, {"lt %6, %5", "-inf", false}};
  for (const Row& row : rows) {
    CAPTURE(row.mask);
    CAPTURE(row.behind);
    std::string text(kAttention);
    text.replace(text.find("MASK"), 4, row.mask);
    text.replace(text.find("BEHIND"), 6, row.behind);
    const Graph graph = parse(text);
    const Graph primitive = *run_graph_passes(graph);
    const Graph parts = remove_dead_nodes(split_large_values(primitive, kScores));
    CHECK(verify(parts, GraphStage::Primitive) == std::vector<std::string>{});
    CHECK(count_of(parts).loops == (row.by_prefix ? 0 : 2));
    for (const Node& node : parts.nodes) {
      INFO(op_def(node).name);
      CHECK((byte_size(node.type).value_or(0) < kScores.bytes || op_def(node).kind == Kind::Constant));
    }
    Numbers numbers(1);
    std::vector<RefTensor> arguments;
    for (const Argument& argument : graph.arguments)
      arguments.push_back(numbers.tensor(graph.type(argument.node), {}, -1, 1));
    const auto expected = run(primitive, arguments, {}), got = run(parts, arguments, {});
    // A row that sees nothing is NaN in both.
    for (size_t r = 0; r < expected.size(); ++r) {
      for (size_t i = 0; i < expected[r].values.size(); ++i) {
        const double a = expected[r].values[i], b = got[r].values[i];
        CHECK(((std::isnan(a) && std::isnan(b)) || std::abs(a - b) <= 1e-14));
      }
    }
  }
}

TEST_CASE("a logarithm of what a mask makes 0 is -inf, and 0 times that needs all positions") {
  constexpr LargeValues kScores{.bytes = 8 * 8 * 8, .part_bytes = 1, .growth = 1, .fewest_rows = 2, .tile = 1};
  const Graph graph = parse(R"(func @entropy(%q: feed f64[8, 3], %k: feed f64[8, 3]) {
  %2 = contract %q, %k {formula = [i,k] [j,k] -> [i,j]} : f64[8, 8]
  %3 = index {axis = 0} : i32[8]
  %4 = broadcast %3 {axes = [0]} : i32[8, 8]
  %5 = broadcast %3 {axes = [1]} : i32[8, 8]
  %6 = le %5, %4 : bool[8, 8]
  %7 = constant {value = 0} : f64[8, 8]
  %8 = exp %2 : f64[8, 8]
  %9 = select %6, %8, %7 : f64[8, 8]
  %10 = log %9 : f64[8, 8]
  %11 = mul %9, %10 : f64[8, 8]
  %12 = reduce_sum %11 {axes = [1]} : f64[8]
  return %12 as value "y"
})");
  CHECK(count_of(remove_dead_nodes(split_large_values(graph, kScores))).loops == 1);
}

TEST_CASE("a maximum over what a mask makes 0 needs all positions") {
  constexpr LargeValues kScores{.bytes = 8 * 8 * 8, .part_bytes = 1, .growth = 1, .fewest_rows = 2, .tile = 1};
  for (const char* behind : {"0", "-inf"}) {
    CAPTURE(behind);
    std::string text = R"(func @largest(%q: feed f64[8, 3], %k: feed f64[8, 3]) {
  %2 = contract %q, %k {formula = [i,k] [j,k] -> [i,j]} : f64[8, 8]
  %3 = index {axis = 0} : i32[8]
  %4 = broadcast %3 {axes = [0]} : i32[8, 8]
  %5 = broadcast %3 {axes = [1]} : i32[8, 8]
  %6 = le %5, %4 : bool[8, 8]
  %7 = constant {value = BEHIND} : f64[8, 8]
  %8 = select %6, %2, %7 : f64[8, 8]
  %9 = reduce_max %8 {axes = [1]} : f64[8]
  return %9 as value "y"
})";
    text.replace(text.find("BEHIND"), 6, behind);
    const Graph graph = parse(text);
    const Graph parts = remove_dead_nodes(split_large_values(graph, kScores));
    CHECK(count_of(parts).loops == (std::string_view(behind) == "0" ? 1 : 0));
    std::vector<RefTensor> arguments;
    Numbers numbers(1);
    arguments.push_back(numbers.tensor(graph.type(graph.arguments[0].node), {}, -1, -0.5));  // all scores are below 0
    arguments.push_back(numbers.tensor(graph.type(graph.arguments[1].node), {}, 0.5, 1));
    CHECK(worst_difference(run(parts, arguments, {}), run(graph, arguments, {})) == 0);
  }
}

TEST_CASE("attention of many examples and heads is computed one by one, and a part of the rows at a time") {
  constexpr LargeValues kScores{.bytes = 3 * 2 * 8 * 8 * 8, .part_bytes = 2 * 8 * 8, .growth = 1, .fewest_rows = 2};
  const Graph graph = parse(R"(dims B<=3
func @attention(%q: feed f64[B<=3, 8, 2, 3], %k: feed f64[B<=3, 8, 2, 3], %v: feed f64[B<=3, 8, 2, 3]) {
  %3 = contract %q, %k {formula = [n,i,h,k] [n,j,h,k] -> [n,h,i,j]} : f64[B<=3, 2, 8, 8]
  %4 = index {axis = 0} : i32[8]
  %5 = broadcast %4 {axes = [0]} : i32[8, 8]
  %6 = broadcast %4 {axes = [1]} : i32[8, 8]
  %7 = ne %6, %5 : bool[8, 8]
  %8 = broadcast %7 {axes = [2, 3]} : bool[B<=3, 2, 8, 8]
  %9 = constant {value = -inf} : f64[B<=3, 2, 8, 8]
  %10 = select %8, %3, %9 : f64[B<=3, 2, 8, 8]
  %11 = softmax %10 {axes = [3]} : f64[B<=3, 2, 8, 8]
  %12 = contract %11, %v {formula = [n,h,i,k] [n,k,h,j] -> [n,i,h,j]} : f64[B<=3, 8, 2, 3]
  %13 = mul %12, %12 : f64[B<=3, 8, 2, 3]
  %14 = reduce_sum %13 {axes = [0, 1, 2, 3]} : f64
  %15 = grad %14, %q : f64[B<=3, 8, 2, 3]
  %16 = grad %14, %k : f64[B<=3, 8, 2, 3]
  %17 = grad %14, %v : f64[B<=3, 8, 2, 3]
  return %12 as value "y", %15 as value "dq", %16 as value "dk", %17 as value "dv"
})");
  const Graph primitive = *run_graph_passes(graph);
  const Graph parts = remove_dead_nodes(split_large_values(primitive, kScores));
  CHECK(verify(parts, GraphStage::Primitive) == std::vector<std::string>{});
  // Examples, heads in them, rows in these: each table is 8 x 8, and no more than 2 rows of it are there.
  for (const std::vector<int64_t>& extents : {std::vector<int64_t>{3}, std::vector<int64_t>{1}}) {
    const std::function<void(const Graph&, int)> look = [&](const Graph& part, int depth) {
      int loops = 0;
      for (const Node& node : part.nodes) {
        if (node.op == OpKind::Contract && node.type.rank() == 4 && node.type.shape[3] == Extent(8))
          CHECK(node.type.shape == Shape{1, 1, 2, 8});
        if (node.body == nullptr) continue;
        ++loops;
        look(*node.body, depth + 1);
      }
      CHECK(loops == (depth == 0 ? 2 : depth < 3 ? 1 : 0));
    };
    look(parts, 0);
    Numbers numbers(1);
    std::vector<RefTensor> arguments;
    for (const Argument& argument : graph.arguments)
      arguments.push_back(numbers.tensor(graph.type(argument.node), extents, -1, 1));
    CHECK(worst_difference(run(parts, arguments, extents), run(primitive, arguments, extents)) <= 1e-14);
  }
}
