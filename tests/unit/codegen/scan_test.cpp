// Loops over steps: values, derivatives of three orders and compiled code against the reference evaluator.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <random>

#include "compiler/graph/run_all_steps.h"
#include "compiler/run_passes.h"
#include "fuzz/compiled_graphs.h"
#include "ir/scan.h"
#include "ir/text.h"
#include "tests/support/graph_checks.h"
#include "tests/support/run_compiled.h"

using namespace smelt;

namespace {

// h <- tanh(h W + x[t] U); the last h and all of them. {0}: dtype, {1}: 1 from the last step to the first.
constexpr const char* kRecurrent = R"(dims T<=6
func @f(%h: feed {0}[2, 3], %x: feed {0}[T<=6, 2, 4], %w: feed {0}[3, 3], %u: feed {0}[4, 3]) {{
  %4 = scan %h, %x, %w, %u {{reverse = {1}, by_position = 0, until = -1}} : i32[T<=6] {{
    func @step(%h: carry {0}[2, 3] #0, %x: slice {0}[2, 4], %w: whole {0}[3, 3], %u: whole {0}[4, 3]) {{
      %4 = contract %h, %w {{formula = [i,k] [k,j] -> [i,j]}} : {0}[2, 3]
      %5 = contract %x, %u {{formula = [i,k] [k,j] -> [i,j]}} : {0}[2, 3]
      %6 = add %4, %5 : {0}[2, 3]
      %7 = tanh %6 : {0}[2, 3]
      return %7 as carry "h" #0, %7 as stacked "hs"
    }}
  }}
  %5 = part %4 {{result = 0}} : {0}[2, 3]
  %6 = part %4 {{result = 1}} : {0}[T<=6, 2, 3]
)";

// A loop in a loop: row t of a table is weighed by all that came before in the row, and rows by the row before.
constexpr const char* kNested = R"(dims T<=5
func @f(%c: feed {0}, %x: feed {0}[T<=5, 4], %w: feed {0}) {{
  %3 = scan %c, %x, %w {{reverse = {1}, by_position = 0, until = -1}} : i32[T<=5] {{
    func @row(%c: carry {0} #0, %x: slice {0}[4], %w: whole {0}) {{
      %3 = scan %c, %x, %w {{reverse = 1, by_position = 0, until = -1}} : i32[4] {{
        func @element(%c: carry {0} #0, %x: slice {0}, %w: whole {0}) {{
          %3 = mul %c, %w : {0}
          %4 = sin %x : {0}
          %5 = add %3, %4 : {0}
          return %5 as carry "c" #0, %3 as stacked "y"
        }}
      }}
      %4 = part %3 {{result = 0}} : {0}
      %5 = part %3 {{result = 1}} : {0}[4]
      %6 = reduce_sum %5 {{axes = [0]}} : {0}
      %7 = mul %6, %4 : {0}
      return %4 as carry "c" #0, %7 as stacked "y"
    }}
  }}
  %4 = part %3 {{result = 0}} : {0}
  %5 = part %3 {{result = 1}} : {0}[T<=5]
)";

// c <- c + x[t]^T h, which does not begin at zero: one product of all steps behind the loop that computes h.
constexpr const char* kSummed = R"(dims T<=6
func @f(%c: feed {0}[3, 4], %h: feed {0}[2, 4], %x: feed {0}[T<=6, 2, 3], %y: feed {0}[T<=6, 2, 4]) {{
  %4 = scan %c, %h, %x, %y {{reverse = {1}, by_position = 0, until = -1}} : i32[T<=6] {{
    func @step(%c: carry {0}[3, 4] #0, %h: carry {0}[2, 4] #1, %x: slice {0}[2, 3], %y: slice {0}[2, 4]) {{
      %4 = add %h, %y : {0}[2, 4]
      %5 = tanh %4 : {0}[2, 4]
      %6 = contract %x, %5 {{formula = [k,i] [k,j] -> [i,j]}} : {0}[3, 4]
      %7 = add %c, %6 : {0}[3, 4]
      return %7 as carry "c" #0, %5 as carry "h" #1
    }}
  }}
  %5 = part %4 {{result = 0}} : {0}[3, 4]
)";

// h <- softmax(exp(w) * h) by rows: each step reads exp(w) where numerators, which no other kernel reads, could lie as
// well.
constexpr const char* kScaled = R"(dims T<=6
func @f(%h: feed {0}[5, 7], %w: feed {0}[5, 7], %x: feed {0}[T<=6]) {{
  %3 = exp %w : {0}[5, 7]
  %4 = scan %h, %x, %3 {{reverse = {1}, by_position = 0, until = -1}} : i32[T<=6] {{
    func @step(%h: carry {0}[5, 7] #0, %x: slice {0}, %w: whole {0}[5, 7]) {{
      %3 = mul %w, %h : {0}[5, 7]
      %4 = exp %3 : {0}[5, 7]
      %5 = reduce_sum %4 {{axes = [1]}} : {0}[5]
      %6 = broadcast %5 {{axes = [0], type = {0}[5, 7]}} : {0}[5, 7]
      %7 = div %4, %6 : {0}[5, 7]
      return %7 as carry "h" #0
    }}
  }}
  %5 = part %4 {{result = 0}} : {0}[5, 7]
)";

// h <- tanh(h + x[t]), s <- s + sum(h x[t]) until the third step is done, or the sum of h is above {2}.
constexpr const char* kStops = R"(dims T<=6
func @f(%h: feed {0}[2, 3], %s: feed {0}, %x: feed {0}[T<=6, 2, 3]) {{
  %3 = constant {{value = 0}} : i32
  %4 = scan %h, %3, %3, %s, %x {{reverse = {1}, by_position = 0, until = 2}} : i32[T<=6] {{
    func @step(%h: carry {0}[2, 3] #0, %n: carry i32 #1, %over: carry i32 #2, %s: carry {0} #3, %x: slice {0}[2, 3]) {{
      %5 = add %h, %x : {0}[2, 3]
      %6 = tanh %5 : {0}[2, 3]
      %7 = constant {{value = 1}} : i32
      %8 = add %n, %7 : i32
      %9 = constant {{value = 3}} : i32
      %10 = ge %8, %9 : bool
      %11 = reduce_sum %6 {{axes = [0, 1]}} : {0}
      %12 = constant {{value = {2}}} : {0}
      %13 = gt %11, %12 : bool
      %14 = or %10, %13 : bool
      %15 = cast %14 {{dtype = "i32"}} : i32
      %16 = mul %6, %x : {0}[2, 3]
      %17 = reduce_sum %16 {{axes = [0, 1]}} : {0}
      %18 = add %s, %17 : {0}
      return %6 as carry "h" #0, %8 as carry "n" #1, %15 as carry "over" #2, %18 as carry "s" #3
    }}
  }}
  %5 = part %4 {{result = 0}} : {0}[2, 3]
  %6 = part %4 {{result = 3}} : {0}
)";

Graph parsed(const std::string& text) {
  Result<Graph> graph = parse_graph(text);
  REQUIRE_MESSAGE(graph.has_value(), graph.error().message);
  CHECK(print(*graph) == print(*parse_graph(print(*graph))));
  return *std::move(graph);
}

Graph differentiated(Graph graph) {
  CompileOptions options;
  options.verify = VerifyLevel::EachPass;
  Result<Graph> result = run_graph_passes(std::move(graph), options);
  REQUIRE_MESSAGE(result.has_value(), result.error().message);
  return *std::move(result);
}

std::vector<RefTensor> random_arguments(const Graph& graph, std::span<const int64_t> extents) {
  std::mt19937 bits(3);
  std::vector<RefTensor> tensors;
  for (const Argument& argument : graph.arguments) {
    RefTensor tensor{graph.type(argument.node), actual_sizes(graph.type(argument.node).shape, extents), {}};
    for (int64_t i = 0; i < tensor.count(); ++i)
      tensor.values.push_back(static_cast<float>(static_cast<double>(bits()) / 4294967296.0 - 0.5));
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

/// loss = sum of squares of all results so far, and its gradients by each argument; the same again of the gradients.
Graph with_gradients(Graph graph, std::span<const NodeId> values, int order) {
  Builder b(graph);
  std::vector<NodeId> of(values.begin(), values.end());
  NodeId loss;
  for (int o = 0; o < order; ++o) {
    NodeId total;
    for (const NodeId value : of) {
      std::vector<int64_t> axes;
      for (size_t axis = 0; axis < b.type(value).rank(); ++axis) axes.push_back(static_cast<int64_t>(axis));
      const NodeId weighed = b.make(OpKind::Sin, {b.add(value, b.like(value, 0.3))});
      const NodeId sum = b.reduce_sum(weighed, axes);
      total = total.valid() ? b.add(total, sum) : sum;
    }
    loss = total;
    of.clear();
    for (const Argument& argument : graph.arguments) of.push_back(b.make(OpKind::Grad, {loss, argument.node}));
  }
  graph.results.clear();
  graph.results.push_back({"loss", ResultRole::Value, -1, loss});
  for (const NodeId gradient : of) graph.results.push_back({"g", ResultRole::Value, -1, gradient});
  return graph;
}

std::vector<NodeId> parts_of(const Graph& graph) {
  std::vector<NodeId> parts;
  for (uint32_t i = 0; i < graph.size(); ++i) {
    if (graph.nodes[i].op == OpKind::Part) parts.push_back({i});
  }
  return parts;
}

/// Neither passes of graphs nor compilation change values.
void check_values(Graph graph, std::span<const RefTensor> arguments, std::span<const int64_t> extents) {
  graph.results.clear();
  for (const NodeId part : parts_of(graph)) graph.results.push_back({"y", ResultRole::Value, -1, part});
  const auto expected = evaluate(graph, arguments, extents), got = evaluate(differentiated(graph), arguments, extents);
  REQUIRE((expected.has_value() && got.has_value()));
  CHECK(testing::worst_difference(*got, *expected) < 1e-5);
  const auto compiled = test::run_compiled(differentiated(graph), arguments, extents);
  REQUIRE_MESSAGE(compiled.has_value(), compiled.error().message);
  CHECK(testing::worst_difference(*compiled, *expected) < 1e-5);
}

/// Gradients of `order` against differences in f64, then compiled code in f32 against the evaluator.
void check_orders(const char* text, int order, std::vector<int64_t> lengths) {
  for (const int reverse : {0, 1}) {
    for (const char* dtype : {"f64", "f32"}) {
      const Graph plain = parsed(fmt::format(fmt::runtime(text), dtype, reverse) + "}");
      const Graph graph = differentiated(with_gradients(plain, parts_of(plain), order));
      for (const int64_t length : lengths) {
        const int64_t extents[] = {length};
        const std::vector<RefTensor> arguments = random_arguments(graph, extents);
        CAPTURE(order);
        CAPTURE(length);
        CAPTURE(reverse);
        check_values(plain, arguments, extents);
        if (dtype[1] == '6') {
          for (size_t k = 0; k < graph.arguments.size() && length > 0; ++k) {
            const testing::GradientError error = testing::check_gradient(graph, k + 1, 0, k, arguments, extents);
            CHECK_MESSAGE(error.worst < 1e-7, graph.arguments[k].name, " ", error.where);
          }
          continue;
        }
        const auto expected = evaluate(graph, arguments, extents);
        REQUIRE(expected.has_value());
        for (const int threads : {1, 3}) {
          const auto got = test::run_compiled(graph, arguments, extents, {.threads = threads});
          REQUIRE_MESSAGE(got.has_value(), got.error().message);
          const double worst = testing::worst_difference(*got, *expected);
          CHECK_MESSAGE(worst < 1e-4, worst, " on ", threads, " threads\n", print(graph));
        }
      }
    }
  }
}

}  // namespace

TEST_CASE("a recurrent net: values and gradients of three orders, any length") {
  check_orders(kRecurrent, 1, {6, 4, 1, 0});
  check_orders(kRecurrent, 2, {5, 1});
  check_orders(kRecurrent, 3, {3});
}

TEST_CASE("a loop in a loop: values and gradients of two orders") {
  check_orders(kNested, 1, {5, 2, 0});
  check_orders(kNested, 2, {3});
}

TEST_CASE("a sum over steps begins where its carry does") { check_orders(kSummed, 1, {6, 1, 0}); }

TEST_CASE("what all steps read is not overwritten by one") { check_orders(kScaled, 1, {6, 1, 0}); }

TEST_CASE("a loop that may stop: values and gradients of two orders, those of all steps") {
  const std::string text = std::string(kStops).replace(std::string(kStops).find("{2}"), 3, "9");
  check_orders(text.c_str(), 1, {6, 2, 0});
  check_orders(text.c_str(), 2, {5});
}

TEST_CASE("a loop stops when its carry says so, on any number of threads") {
  for (const auto& [above, steps] : {std::pair{"9", 3}, std::pair{"-9", 1}}) {
    Graph graph = parsed(fmt::format(fmt::runtime(kStops), "f32", 0, above) + "  %7 = part %4 {result = 1} : i32\n}");
    const std::vector<NodeId> parts = parts_of(graph);
    graph.results = {{"h", ResultRole::Value, -1, parts[0]},
                     {"n", ResultRole::Value, -1, parts[2]},
                     {"s", ResultRole::Value, -1, parts[1]}};
    const int64_t extents[] = {6};
    const std::vector<RefTensor> arguments = random_arguments(graph, extents);
    const auto expected = evaluate(graph, arguments, extents);
    REQUIRE(expected.has_value());
    CHECK((*expected)[1].values[0] == steps);
    const auto all = evaluate(run_all_steps(graph), arguments, extents);
    REQUIRE(all.has_value());
    for (size_t k = 0; k < all->size(); ++k) CHECK((*all)[k].values == (*expected)[k].values);
    for (const int threads : {1, 2, 3}) {
      const auto got = test::run_compiled(differentiated(graph), arguments, extents, {.threads = threads});
      REQUIRE_MESSAGE(got.has_value(), got.error().message);
      CHECK((*got)[1].values[0] == steps);
      CHECK(testing::worst_difference(*got, *expected) < 1e-6);
    }
  }
}

TEST_CASE("the carry that stops a loop stays although nobody reads it") {
  Graph graph = parsed(fmt::format(fmt::runtime(kStops), "f32", 0, "9") + "}");
  graph.results = {{"h", ResultRole::Value, -1, parts_of(graph)[0]}};
  const Graph trimmed = differentiated(graph);
  const auto scan = std::ranges::find(trimmed.nodes, OpKind::Scan, &Node::op);
  REQUIRE(scan != trimmed.nodes.end());
  CHECK(until_of(*scan) == 2);  // that of n stays too
  CHECK(scan_violations(trimmed, *scan).empty());
}

// The last kernel of a step is one thread's, and so is what follows the loop; the first kernel of a step is shared, and
// reads what the last one of the step before has written.
TEST_CASE("threads wait for each other between two steps") {
  std::string chain;
  constexpr int kLength = 150;  // long enough that others would run ahead
  for (int i = 0; i < kLength; ++i) chain += fmt::format("      %{} = tanh %{} : f32[64]\n", 6 + i, 5 + i);
  const std::string text = fmt::format(R"(dims T<=40
func @f(%h: feed f32[64], %x: feed f32[T<=40, 64, 512]) {{
  %2 = scan %h, %x {{reverse = 0, by_position = 0, until = -1}} : i32[T<=40] {{
    func @step(%h: carry f32[64] #0, %x: slice f32[64, 512]) {{
      %2 = broadcast %h {{axes = [0], type = f32[64, 512]}} : f32[64, 512]
      %3 = mul %2, %x : f32[64, 512]
      %4 = tanh %3 : f32[64, 512]
      %5 = neg %h : f32[64]
{}      %{} = add %h, %{} : f32[64]
      return %{} as carry "h" #0, %4 as stacked "y"
    }}
  }}
  %3 = part %2 {{result = 0}} : f32[64]
  %4 = part %2 {{result = 1}} : f32[T<=40, 64, 512]
  %5 = tanh %3 : f32[64]
  return %4 as value "y", %5 as value "h"
}})",
                                       chain, 6 + kLength, 5 + kLength, 6 + kLength);
  const Graph graph = differentiated(parsed(text));
  const int64_t extents[] = {40};
  const std::vector<RefTensor> arguments = random_arguments(graph, extents);
  const auto expected = evaluate(graph, arguments, extents);
  REQUIRE(expected.has_value());
  for (const int threads : {2, 3}) {
    const auto got = test::run_compiled(graph, arguments, extents, {.threads = threads});
    REQUIRE_MESSAGE(got.has_value(), got.error().message);
    CHECK(testing::worst_difference(*got, *expected) < 1e-4);
  }
}

// Blocks of turns multiply by powers of g; a total of all values so far rides along.
TEST_CASE("linear recurrences are what they are turn by turn, whatever their factor") {
  constexpr const char* kLinear = R"(func @f(%c: feed {0}[3], %x: feed {0}[150, 3], %g: feed {0}) {{
  %3 = constant {{value = 0}} : {0}[3]
  %4 = scan %c, %3, %x, %g {{reverse = {1}, by_position = 0, until = -1}} : i32[150] {{
    func @step(%c: carry {0}[3] #0, %sum: carry {0}[3] #1, %x: slice {0}[3], %g: whole {0}) {{
      %4 = broadcast %g {{axes = [], type = {0}[3]}} : {0}[3]
      %5 = mul %4, %c : {0}[3]
      %6 = add %5, %x : {0}[3]
      %7 = sub %sum, %c : {0}[3]
      return %6 as carry "c" #0, %7 as carry "sum" #1, %6 as stacked "all"
    }}
  }}
  %5 = part %4 {{result = 0}} : {0}[3]
  %6 = part %4 {{result = 1}} : {0}[3]
  %7 = part %4 {{result = 2}} : {0}[150, 3]
  return %5 as value "c", %6 as value "sum", %7 as value "all"
}})";
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (const int reverse : {0, 1}) {
    const Graph graph = differentiated(parsed(fmt::format(fmt::runtime(kLinear), "f32", reverse)));
    for (const double factor : {0.9, -0.75, 1.0, 1.02, 0.0, 0.01, 1e-6, 1e30, -1e30, kInfinity}) {
      std::vector<RefTensor> arguments = random_arguments(graph, {});
      arguments[2].values[0] = factor;
      if (std::abs(factor) > 1.5) {  // a power of it would not be finite, and what it is multiplied by is 0
        for (const size_t zeros : {0, 1}) std::ranges::fill(arguments[zeros].values, 0);
        arguments[1].values[reverse == 1 ? 1 : 448] = 1;
      }
      if (factor == 1e-6) arguments[0].values[2] = kInfinity;
      const auto expected = evaluate(graph, arguments, {});
      const auto got = test::run_compiled(graph, arguments, {});
      REQUIRE_MESSAGE(got.has_value(), got.error().message);
      CAPTURE(reverse);
      CAPTURE(factor);
      CHECK(testing::worst_difference(*got, *expected) < 1e-4);
    }
  }
}

TEST_CASE("what nobody reads of a loop is dropped") {
  const Graph plain = parsed(fmt::format(fmt::runtime(kRecurrent), "f32", 0) + "}");
  Graph graph = plain;
  graph.results.push_back({"y", ResultRole::Value, -1, parts_of(plain)[0]});
  const Graph trimmed = differentiated(save_carries(graph));
  const auto scan = std::ranges::find(trimmed.nodes, OpKind::Scan, &Node::op);
  REQUIRE(scan != trimmed.nodes.end());
  CHECK(scan->body->results.size() == 1);
}
