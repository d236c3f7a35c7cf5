// Each invariant of verifier.h, broken on purpose.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "ir/builder.h"
#include "ir/least_sizes.h"
#include "ir/text.h"
#include "ir/verifier.h"

using namespace smelt;

namespace {

Graph good_graph() {
  const Result<Graph> graph = parse_graph(R"(dims B<=8
func @f(%w: variable f32[3] #0, %s: scalar f64 #0, %x: feed f32[B<=8, 3]) {
  %3 = broadcast %w {axes = [1]} : f32[B<=8, 3]
  %4 = mul %3, %x : f32[B<=8, 3]
  %5 = reduce_sum %4 {axes = [0, 1]} : f32
  %6 = relu %4 : f32[B<=8, 3]
  return %5 as loss "loss", %w as variable "w" #0, %6 as value "y"
})");
  REQUIRE_MESSAGE(graph.has_value(), graph.error().message);
  return *graph;
}

template <typename Change>
std::string violations_after(Change change, GraphStage stage = GraphStage::Any) {
  Graph graph = good_graph();
  change(graph);
  return fmt::format("{}", fmt::join(verify(graph, stage), "; "));
}

}  // namespace

TEST_CASE("a well-formed graph has no violations") {
  CHECK(violations_after([](Graph&) {}) == "");
}

TEST_CASE("V1: an input comes first") {
  CHECK(violations_after([](Graph& g) { g.nodes[4].inputs[0] = {4}; }) == "%4 = mul reads %4");
  CHECK(violations_after([](Graph& g) { g.nodes[4].inputs[0] = {99}; }) == "%4 = mul reads %99");
}

TEST_CASE("V7: a dimension that follows from others stands behind them, and has the bound that theirs give") {
  const auto with = [](DimSymbol symbol) {
    return violations_after([&](Graph& g) { g.symbols.push_back(std::move(symbol)); });
  };
  CHECK(with({.name = "B-1", .bound = 7, .of = {{{0, 1}}, -1}}) == "");
  CHECK(with({.name = "2*B+3", .bound = 19, .of = {{{0, 2}}, 3}}) == "");
  const std::string wrong = "run-time dimension `B-1` does not follow from those before it";
  CHECK(with({.name = "B-1", .bound = 8, .of = {{{0, 1}}, -1}}) == wrong);
  CHECK(with({.name = "B-1", .bound = 7, .of = {{{1, 1}}, -1}}) == wrong);
  CHECK(with({.name = "B-1", .bound = 8, .of = {{{0, 1}}, 0}}) == wrong);
  CHECK(with({.name = "B-1", .bound = -9, .of = {{{0, -1}}, -1}}) == wrong);
}

TEST_CASE("V10: a part of a run-time axis has a size of the same dimension, or a fixed one") {
  const auto of = [](std::string_view part) {
    return parse_graph(fmt::format(R"(dims B<=8, B-1<=7, T<=7
func @f(%x: feed f32[B<=8, 3]) {{
  %1 = read %x {{formula = [i+1,j] -> [i<{},j], outside = 0}} : f32[{}, 3]
  return %1 as value "y"
}})",
                                   part, part));
  };
  for (const char* good : {"B-1<=7", "2"}) {
    const Result<Graph> graph = of(good);
    REQUIRE_MESSAGE(graph.has_value(), graph.error().message);
    CHECK(verify(*graph).empty());
    CHECK(print(*graph) == print(*parse_graph(print(*graph))));
  }
  const Result<Graph> other = of("T<=7");
  CHECK_FALSE((other.has_value() && verify(*other).empty()));
  CHECK_FALSE(of("B<=8").has_value());
}

TEST_CASE("V10: of sizes that differ by more than a number, the least of the difference proves what is inside") {
  const auto is_well_formed = [](std::string_view formula, std::string_view type) {
    const Result<Graph> graph = parse_graph(fmt::format(R"(dims T<=5, U<=4, T+U<=9, 2*T<=10, 2*T-2<=8, 3*T+2*U+4<=27
func @f(%x: feed f32[T<=5], %y: feed f32[T+U<=9], %z: feed f32[2*T-2<=8], %w: feed f32[2*T<=10]) {{
  %4 = read {} : f32[{}]
  return %4 as value "y"
}})",
                                                        formula, type));
    return graph.has_value() && verify(*graph).empty() && print(*graph) == print(*parse_graph(print(*graph)));
  };
  CHECK(is_well_formed("%y {formula = [i] -> [i<T<=5], outside = 0}", "T<=5"));
  CHECK(is_well_formed("%y {formula = [i+1] -> [i<T<=5], outside = 0}", "T<=5"));
  CHECK(is_well_formed("%w {formula = [i+1] -> [i<T<=5], outside = 0}", "T<=5"));
  CHECK_FALSE(is_well_formed("%y {formula = [i+2] -> [i<T<=5], outside = 0}", "T<=5"));
  CHECK_FALSE(is_well_formed("%z {formula = [i] -> [i<T<=5], outside = 0}", "T<=5"));
  CHECK(is_well_formed("%z {formula = ?[i] -> [i<T<=5], outside = 0}", "T<=5"));
  CHECK(is_well_formed("%x {formula = ?[i-2] -> [i<3*T+2*U+4<=27], outside = 0}", "3*T+2*U+4<=27"));
}

TEST_CASE("what parts need is the least size of a dimension, with the place that asks for most") {
  const Result<Graph> graph = parse_graph(R"(dims B<=8, T<=9, T-2<=7
func @f(%x: feed f32[T<=9, 3], %y: feed f32[B<=8]) {
  %2 = read %x {formula = [i+1,j] -> [i<2,j], outside = 0} : f32[2, 3]
  %3 = read %x {formula = [i+2,j] -> [i<T-2<=7,j], outside = 0} : f32[T-2<=7, 3]
  %4 = read %x {formula = ?[i,j] -> [i<9,j], outside = 0} : f32[9, 3]
  %5 = read %3 {formula = [i+1,j] -> [i<3,j], outside = 0} : f32[3, 3]
  return %2 as value "a", %3 as value "b", %4 as value "c", %5 as value "d", %y as value "e"
})");
  REQUIRE_MESSAGE(graph.has_value(), graph.error().message);
  const std::vector<LeastSize> least = least_sizes(*graph);
  REQUIRE(least.size() == 1);
  CHECK(least[0].symbol == 1);
  CHECK(least[0].size == 6);  // four of T-2
}

TEST_CASE("of a sum of one dimension the dimension has to be large enough, of two dimensions the sum") {
  const Result<Graph> graph = parse_graph(R"(dims T<=9, U<=9, 2*T-1<=17, T+U<=18
func @f(%x: feed f32[2*T-1<=17], %y: feed f32[T+U<=18]) {
  %2 = read %x {formula = [i] -> [i<4], outside = 0} : f32[4]
  %3 = read %y {formula = [i] -> [i<2], outside = 0} : f32[2]
  %4 = read %y {formula = [i+1] -> [i<4], outside = 0} : f32[4]
  return %2 as value "a", %3 as value "b", %4 as value "c"
})");
  REQUIRE_MESSAGE(graph.has_value(), graph.error().message);
  const std::vector<LeastSize> least = least_sizes(*graph);
  REQUIRE(least.size() == 2);
  CHECK((least[0].symbol == 0 && least[0].size == 3));
  CHECK((least[1].symbol == 3 && least[1].size == 5));
}

TEST_CASE("V2: operands and attributes are those of the record") {
  CHECK(violations_after([](Graph& g) { g.nodes[4].inputs.pop_back(); }) == "%4 = mul has 1 operands of 2");
  CHECK(violations_after([](Graph& g) { g.nodes[5].attrs = {}; }) == "%5 = reduce_sum lacks `axes`");
  CHECK(violations_after([](Graph& g) { g.nodes[5].attrs.set("axes", int64_t{1}); }) ==
        "%5 = reduce_sum has an attribute `axes` that its record has not at place 0");
}

TEST_CASE("V3: a type is what infer gives") {
  CHECK(violations_after([](Graph& g) { g.nodes[4].type.dtype = DType::F64; }) ==
        "%4 = mul has type `f64[B<=8, 3]`, its operands give `f32[B<=8, 3]`; "
        "%5 = reduce_sum has type `f32`, its operands give `f64`; "
        "%6 = relu has type `f32[B<=8, 3]`, its operands give `f64[B<=8, 3]`");
  CHECK(violations_after([](Graph& g) { g.nodes[4].inputs[1] = {0}; }) ==
        "%4: `mul` needs operands of one type, got `f32[B<=8, 3]` and `f32[3]`");
  CHECK(violations_after([](Graph& g) { g.nodes[5].attrs.set("axes", std::vector<int64_t>{}); }) ==
        "%5: `reduce_sum` reduces no axis of `f32[B<=8, 3]`");
}

TEST_CASE("V4: arguments and their nodes match") {
  CHECK(violations_after([](Graph& g) { std::swap(g.arguments[0].node, g.arguments[2].node); }) ==
        "argument 0 `w` is not node %2; argument 2 `x` is not node %0");
  CHECK(violations_after([](Graph& g) { g.arguments.pop_back(); }) == "3 argument nodes for 2 arguments");
}

TEST_CASE("V5: roles have their types and refs") {
  CHECK(violations_after([](Graph& g) { g.arguments[2].role = ArgRole::Seed; }) ==
        "seed argument `x` is `f32[B<=8, 3]`, not i64");
  CHECK(violations_after([](Graph& g) { g.arguments[1].ref = -1; }) == "scalar argument `s` has no ref");
}

TEST_CASE("V6: results exist and have the type of their role") {
  CHECK(violations_after([](Graph& g) { g.results[0].node = {4}; }) ==
        "loss `loss` is `f32[B<=8, 3]`, not a float scalar");
  CHECK(violations_after([](Graph& g) { g.results[0].node = {}; }) == "result `loss` is no node: %4294967295");
  CHECK(violations_after([](Graph& g) { g.results[1].ref = -1; }) == "new variable `w` has no ref");
}

TEST_CASE("V7: run-time extents are in the table, with its bounds") {
  CHECK(violations_after([](Graph& g) { g.symbols.push_back({"B", 4}); }) ==
        "run-time dimension `B` is in the table twice");
  CHECK(violations_after([](Graph& g) {
          g.symbols[0].bound = 9;
        }).starts_with("%2 has bound 8 for `B`, whose bound is 9"));
  CHECK(violations_after([](Graph& g) { g.symbols.clear(); }).starts_with("%2 has run-time dimension 0 of 0"));
}

TEST_CASE("V8: later stages have no grad and no composites") {
  CHECK(violations_after([](Graph&) {}, GraphStage::Differentiated) == "");
  CHECK(violations_after([](Graph&) {}, GraphStage::Primitive) == "%6 = relu is left");
  const auto add_grad = [](Graph& g) { Builder(g).make(OpKind::Grad, {{5}, {0}}); };
  CHECK(violations_after(add_grad) == "");
  CHECK(violations_after(add_grad, GraphStage::Differentiated) == "%7 = grad is left");
}
