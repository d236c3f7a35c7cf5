#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <utility>

#include "ir/builder.h"
#include "ir/text.h"

using namespace smelt;

namespace {

constexpr std::string_view kLoss = R"(dims rows<=60000, B<=128
func @loss(%x: column f32[rows<=60000, 784] #0, %rows: rows i32[B<=128], %net.W: variable f32[784, 10] #3) {
  %3 = gather %x, %rows : f32[B<=128, 784]
  %4 = contract %3, %net.W {formula = [i,k] [k,j] -> [i,j]} : f32[B<=128, 10]
  %5 = reduce_sum %4 {axes = [0, 1]} : f32
  %6 = constant {value = -0.5} : f32
  %7 = mul %5, %6 : f32
  return %7 as loss "loss", %net.W as variable "net.W" #3
}
)";

std::string message(std::string_view text) {
  const Result<Graph> graph = parse_graph(text);
  return graph ? "parsed" : graph.error().message;
}

}  // namespace

TEST_CASE("a printed graph is read back, and prints the same text") {
  const Result<Graph> graph = parse_graph(kLoss);
  REQUIRE_MESSAGE(graph.has_value(), graph.error().message);
  CHECK(print(*graph) == kLoss);
  CHECK(graph->arguments[2].ref == 3);
  CHECK(graph->results[0].role == ResultRole::Loss);
}

TEST_CASE("names that are no identifiers, repeated names and late arguments survive") {
  Graph graph;
  graph.name = "two words";
  Builder builder(graph);
  const TensorType type{DType::F32, {3}};
  const NodeId a = builder.argument({"x", ArgRole::Feed, -1, {}}, type);
  const NodeId b = builder.argument({"x", ArgRole::Feed, -1, {}}, type);
  const NodeId sum = builder.add(a, b);
  const NodeId c = builder.argument({"say \"hi\"", ArgRole::Feed, -1, {}}, type);
  const NodeId d = builder.argument({"late", ArgRole::Feed, -1, {}}, type);
  builder.result({"y \\ z", ResultRole::Value, -1, builder.mul(builder.add(sum, c), d)});
  const std::string text = print(graph);
  INFO(text);
  const Result<Graph> parsed = parse_graph(text);
  REQUIRE_MESSAGE(parsed.has_value(), parsed.error().message);
  CHECK(print(*parsed) == text);
  CHECK(parsed->arguments[2].name == "say \"hi\"");
  CHECK(parsed->arguments[2].node == c);
  CHECK(parsed->results[0].name == "y \\ z");
}

TEST_CASE("numbers keep their bits") {
  for (const double value : {0.1, -0.0, 1e300, 5e-324, static_cast<double>(INFINITY), -static_cast<double>(INFINITY)}) {
    Graph graph;
    Builder builder(graph);
    builder.result({"y", ResultRole::Value, -1, builder.constant(value, {DType::F64, {}})});
    const Result<Graph> parsed = parse_graph(print(graph));
    REQUIRE(parsed.has_value());
    const double read = parsed->nodes[0].attrs.number("value");
    CHECK(read == value);
    CHECK(std::signbit(read) == std::signbit(value));
  }
}

TEST_CASE("errors name the line and what was seen") {
  const std::array<std::pair<std::string_view, std::string_view>, 12> cases = {{
      {"", "line 1: expected `func`, got ``"},
      {"func @f(%x: feed f32[2]) {\n  %1 = nag %x : f32[2]\n}", "line 2: no op `nag`"},
      {"func @f(%x: feed f32[2]) {\n  %1 = neg %y : f32[2]\n}", "line 2: `%y` is not defined here"},
      {"func @f(%x: feed f32[2]) {\n  %1 = neg %x : f32[3]\n}", "line 3: `neg` gives `f32[2]`, not `f32[3]`"},
      {"func @f(%x: feed f32[2]) {\n  %5 = neg %x : f32[2]\n}", "line 2: `%5` is node number 1"},
      {"func @f(%x: feed f33[2]) {\n}", "line 1: no dtype `f33`"},
      {"func @f(%x: food f32[2]) {\n}", "line 1: no argument role `food`"},
      {"func @f(%x: feed f32[B<=2]) {\n}", "line 1: no run-time dimension `B`"},
      {"func @f(%x: feed f32[2], %x: feed f32) {\n}", "line 1: `%x` is defined twice"},
      {"func @f(%x: feed f32[2]) {\n  %1 = neg %x {axes = [1]} : f32[2]\n}", "line 2: `neg` has no attribute `axes`"},
      {"func @f(%x: feed f32[2]) {\n  return %x as loss \"l\"\n}", "line 3: loss `l` is `f32[2]`, not a float scalar"},
      {"func @f(%x: variable f32[2]) {\n}", "line 2: variable argument `x` has no ref"},
  }};
  for (const auto& [text, expected] : cases) CHECK(message(text) == expected);
}

TEST_CASE("no prefix of a text and no changed character crashes the parser") {
  const std::string text(kLoss);
  for (size_t size = 0; size + 1 < text.size(); ++size) CHECK(!parse_graph(text.substr(0, size)).has_value());
  for (size_t i = 0; i < text.size(); ++i) {
    for (const char c : {'%', '"', '9', '-', '[', 'x', '\n'}) {
      std::string changed = text;
      changed[i] = c;
      const Result<Graph> graph = parse_graph(changed);
      if (graph) CHECK(parse_graph(print(*graph)).has_value());
    }
  }
}
