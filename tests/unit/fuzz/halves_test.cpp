// What the checks allow a value of f16 or bf16, and what they do not.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>

#include "fuzz/budgets.h"
#include "fuzz/differential.h"
#include "fuzz/halves.h"
#include "ir/text.h"
#include "tests/unit/fuzz/cases.h"

using namespace smelt;
using namespace smelt::fuzz;
using test::case_of, test::parse;

namespace {

bool accepts(const Case& tested, std::vector<double> values) {
  std::vector<RefTensor> results = tested.expected.exact;
  results[0].values = std::move(values);
  return !compare(tested, {.results = results, .fault = {}}).has_value();
}

constexpr std::string_view kRounded =
    "func @f(%x: feed f32[3]) {\n  %1 = exp %x : f32[3]\n  %2 = cast %1 {dtype = \"bf16\"} : bf16[3]\n"
    "  %3 = cast %2 {dtype = \"f32\"} : f32[3]\n  %4 = constant {value = 64} : f32[3]\n  %5 = mul %3, %4 : f32[3]\n  "
    "return %5 as value \"y\"\n}";

}  // namespace

TEST_CASE(
    "a value that is rounded to a half has one right answer, but for the two beside the middle of which it lies") {
  // exp(x) is 1.00390625, the middle of 1 and 1.0078125, to some f32 roundings; 1.6487 and 2.7183 are far from any.
  const Case tested = case_of(kRounded, {{std::log(1.00390625), 0.5, 1}});
  CHECK(tested.expected.arithmetic.halves == HalfRounding::Once);
  const double below = 64, above = 64 * 1.0078125, b = 64 * 1.6484375, c = 64 * 2.71875;
  CHECK(accepts(tested, {below, b, c}));
  CHECK(accepts(tested, {above, b, c}));
  CHECK_FALSE(accepts(tested, {64 * 1.0703125, b, c}));
  // One unit in the last place of the others, and a tenth of one.
  CHECK_FALSE(accepts(tested, {below, 64 * 1.65625, c}));
  CHECK_FALSE(accepts(tested, {below, b, 64 * 2.703125}));
  CHECK_FALSE(accepts(tested, {below, b + 0.05, c}));
}

TEST_CASE("arithmetic on halves may be off by some units of a half and by no more") {
  const Case tested =
      case_of("func @f(%x: feed bf16[2]) {\n  %1 = exp %x : bf16[2]\n  return %1 as value \"y\"\n}", {{0.5, 1}});
  CHECK(tested.expected.arithmetic.halves == HalfRounding::Freely);
  CHECK(accepts(tested, {1.6484375, 2.71875}));
  CHECK(accepts(tested, {1.65625, 2.703125}));
  CHECK_FALSE(accepts(tested, {1.875, 2.71875}));
  CHECK_FALSE(accepts(tested, {1.6484375, 3}));
}

TEST_CASE("a product of pairs may round the operand beside one of bf16, and only where there are pairs") {
  const Graph graph = parse(
      "func @f(%x: feed bf16[2, 2], %y: feed f32[2, 2]) {\n  %2 = cast %x {dtype = \"f32\"} : f32[2, 2]\n"
      "  %3 = contract %2, %y {formula = [i,k] [k,j] -> [i,j]} : f32[2, 2]\n  return %3 as value \"y\"\n}");
  std::vector<RefTensor> arguments(2);
  arguments[0].values = {1, 0.5, -0.25, 2};
  arguments[1].values = {0.3F, 1.7F, -0.9F, 0.6F};
  for (size_t i = 0; i < 2; ++i) {
    arguments[i].type = graph.type(graph.arguments[i].node);
    arguments[i].sizes = {2, 2};
  }
  std::vector<RefTensor> rounded = arguments;
  for (double& value : rounded[1].values) value = round_to_float(value, DType::BF16);
  const auto by_pairs = evaluate(graph, rounded, {}), exact = evaluate(graph, arguments, {});
  const Arithmetic widened{.dtype = DType::F32, .halves = HalfRounding::Once},
      pairs{.dtype = DType::F32, .halves = HalfRounding::Once, .bf16_pairs = true};
  const auto without = expected_results(graph, arguments, {}, widened),
             with = expected_results(graph, arguments, {}, pairs, kManySamples);
  REQUIRE((by_pairs && exact && without && with));
  CHECK(worst_deviation(*without, *by_pairs).ratio > 100);
  CHECK(worst_deviation(*with, *by_pairs).ratio < 1);
  CHECK(worst_deviation(*with, *exact).ratio < 1);
  std::vector<RefTensor> wrong = *exact;
  wrong[0].values[3] += 0.05;
  CHECK(worst_deviation(*with, wrong).ratio > 1);
}

TEST_CASE("gradients through halves round freely; those that stop before, or go elsewhere, do not") {
  const auto rounding = [](std::string_view stop) {
    return half_rounding(parse(fmt::format(
        "func @f(%x: feed f32, %z: feed f32) {{\n  %2 = {} %x : f32\n  %3 = cast %2 {{dtype = \"f16\"}} : f16\n"
        "  %4 = cast %3 {{dtype = \"f32\"}} : f32\n  %5 = mul %4, %z : f32\n  %6 = grad %5, {} : f32\n"
        "  return %6 as value \"g\"\n}}",
        stop, stop == "neg" ? "%z" : "%x")));
  };
  CHECK(rounding("exp") == HalfRounding::Freely);
  CHECK(rounding("stop") == HalfRounding::Once);
  CHECK(rounding("neg") == HalfRounding::Once);  // by z
  CHECK(half_rounding(parse("func @f(%x: feed f32) {\n  %1 = exp %x : f32\n  return %1 as value \"y\"\n}")) ==
        HalfRounding::None);
}

TEST_CASE("a budget is kept by graphs of any size, with and without fusion") {
  // The first value waits while a matrix is there.
  const Case tested = case_of(
      "func @f(%x: feed f32[40]) {\n  %1 = exp %x : f32[40]\n  %2 = broadcast %1 {axes = [0]} : f32[40, 40]\n  %3 = "
      "tanh %2 : f32[40, 40]\n"
      "  %4 = reduce_sum %3 {axes = [0]} : f32[40]\n  %5 = mul %4, %1 : f32[40]\n  return %5 as value \"y\"\n}",
      {std::vector<double>(40, 0.5)});
  int64_t done = 0, again = 0;
  CHECK(check_budgets(std::span(&tested, 1), done, again).empty());
  CHECK(done >= 1);
  CHECK(again >= done);
}
