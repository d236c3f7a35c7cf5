// Every rewrite rule fires on its own example, keeps the meaning, and leaves what its doc says.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "compiler/graph/remove_dead_nodes.h"
#include "compiler/graph/simplify.h"
#include "compiler/graph/stabilize.h"
#include "ir/builder.h"
#include "ir/text.h"
#include "ir/verifier.h"
#include "tests/support/graph_checks.h"
#include "tests/support/op_samples.h"

using namespace smelt;
using namespace smelt::testing;

namespace {

/// A graph in short: nodes of a function of x, y: f64[3, 4], s: f64, v: f64[4], c: bool[3, 4], i: i32[2], n:
/// i32[3, 4] and u: f64[B, 3, 4]. `expected` is how many nodes besides arguments are left.
struct Example {
  std::string_view rule;
  std::string_view body;
  uint32_t expected;
};

constexpr int kNumArguments = 8;

Graph parse(std::string_view body) {
  // The number of the last node is that of lines before it.
  const auto lines = std::count(body.begin(), body.end(), '\n');
  const std::string text = fmt::format(R"(dims B<=5
func @f(%x: feed f64[3, 4], %y: feed f64[3, 4], %s: feed f64, %v: feed f64[4], %c: feed bool[3, 4], %i: feed i32[2], %n: feed i32[3, 4], %u: feed f64[B<=5, 3, 4]) {{
{}  return %{} as value "result"
}})",
                                       body, kNumArguments + lines - 1);
  Result<Graph> graph = parse_graph(text);
  REQUIRE_MESSAGE(graph.has_value(), fmt::format("{}\n{}", graph.error().message, text));
  return *std::move(graph);
}

const std::vector<int64_t> kExtents = {3};

std::vector<RefTensor> arguments_of(const Graph& graph) {
  Numbers numbers(4);
  std::vector<RefTensor> arguments;
  for (const Argument& argument : graph.arguments) {
    arguments.push_back(numbers.tensor(graph.type(argument.node), kExtents, 0, 2));
  }
  return arguments;
}

constexpr Example kSimplify[] = {
    {"add_zero", "  %8 = constant {value = 0} : f64[3, 4]\n  %9 = add %8, %x : f64[3, 4]\n", 0},
    {"sub_zero", "  %8 = constant {value = 0} : f64[3, 4]\n  %9 = sub %x, %8 : f64[3, 4]\n", 0},
    {"sub_from_zero", "  %8 = constant {value = 0} : f64[3, 4]\n  %9 = sub %8, %x : f64[3, 4]\n", 1},
    {"mul_one", "  %8 = constant {value = 1} : f64[3, 4]\n  %9 = mul %x, %8 : f64[3, 4]\n", 0},
    {"mul_minus_one", "  %8 = constant {value = -1} : f64[3, 4]\n  %9 = mul %8, %x : f64[3, 4]\n", 1},
    {"mul_zero", "  %8 = constant {value = 0} : i32[3, 4]\n  %9 = mul %8, %n : i32[3, 4]\n", 1},
    {"div_one", "  %8 = constant {value = 1} : f64[3, 4]\n  %9 = div %x, %8 : f64[3, 4]\n", 0},
    {"div_power_of_two", "  %8 = constant {value = 8} : f64[3, 4]\n  %9 = div %x, %8 : f64[3, 4]\n", 2},
    {"merge_scales",
     "  %8 = constant {value = 8} : f64[3, 4]\n  %9 = mul %x, %8 : f64[3, 4]\n  %10 = mul %8, %9 : f64[3, "
     "4]\n",
     2},
    {"neg_neg", "  %8 = neg %x : f64[3, 4]\n  %9 = neg %8 : f64[3, 4]\n", 0},
    {"add_neg", "  %8 = neg %x : f64[3, 4]\n  %9 = add %8, %y : f64[3, 4]\n", 1},
    {"sub_neg", "  %8 = neg %x : f64[3, 4]\n  %9 = sub %y, %8 : f64[3, 4]\n", 1},
    {"mul_neg_neg", "  %8 = neg %x : f64[3, 4]\n  %9 = neg %y : f64[3, 4]\n  %10 = mul %8, %9 : f64[3, 4]\n", 1},
    {"div_neg_neg", "  %8 = neg %x : f64[3, 4]\n  %9 = neg %y : f64[3, 4]\n  %10 = div %8, %9 : f64[3, 4]\n", 1},
    {"pow_zero", "  %8 = constant {value = 0} : f64[3, 4]\n  %9 = pow %x, %8 : f64[3, 4]\n", 1},
    {"pow_one", "  %8 = constant {value = 1} : f64[3, 4]\n  %9 = pow %x, %8 : f64[3, 4]\n", 0},
    {"pow_two", "  %8 = constant {value = 2} : f64[3, 4]\n  %9 = pow %x, %8 : f64[3, 4]\n", 1},
    {"pow_three", "  %8 = constant {value = 3} : f64[3, 4]\n  %9 = pow %x, %8 : f64[3, 4]\n", 2},
    {"pow_minus_one", "  %8 = constant {value = -1} : f64[3, 4]\n  %9 = pow %x, %8 : f64[3, 4]\n", 2},
    {"max_same", "  %8 = max %x, %x : f64[3, 4]\n", 0},
    {"min_same", "  %8 = min %x, %x : f64[3, 4]\n", 0},
    {"not_not", "  %8 = not %c : bool[3, 4]\n  %9 = not %8 : bool[3, 4]\n", 0},
    {"and_identity", "  %8 = constant {value = 0} : bool[3, 4]\n  %9 = and %c, %8 : bool[3, 4]\n", 1},
    {"or_identity", "  %8 = constant {value = 0} : bool[3, 4]\n  %9 = or %8, %c : bool[3, 4]\n", 0},
    {"select_constant", "  %8 = constant {value = 1} : bool[3, 4]\n  %9 = select %8, %x, %y : f64[3, 4]\n", 0},
    {"select_same", "  %8 = select %c, %x, %x : f64[3, 4]\n", 0},
    {"select_not", "  %8 = not %c : bool[3, 4]\n  %9 = select %8, %x, %y : f64[3, 4]\n", 1},
    {"cast_same", "  %8 = cast %x {dtype = \"f64\"} : f64[3, 4]\n", 0},
    {"cast_cast", "  %8 = cast %n {dtype = \"f64\"} : f64[3, 4]\n  %9 = cast %8 {dtype = \"f32\"} : f32[3, 4]\n", 1},

    {"broadcast_constant", "  %8 = constant {value = 2} : f64\n  %9 = broadcast %8 {axes = []} : f64[5]\n", 1},
    {"transpose_constant",
     "  %8 = constant {value = 2} : f64[2, 3]\n  %9 = transpose %8 {permutation = [1, 0]} : f64[3, 2]\n", 1},
    {"reshape_constant", "  %8 = constant {value = 2} : f64[2, 3]\n  %9 = reshape %8 : f64[6]\n", 1},
    {"slice_constant", "  %8 = constant {value = 2} : f64[4]\n  %9 = slice %8 {starts = [1], limits = [3]} : f64[2]\n",
     1},
    {"transpose_identity", "  %8 = transpose %x {permutation = [0, 1]} : f64[3, 4]\n", 0},
    {"transpose_transpose",
     "  %8 = transpose %u {permutation = [1, 2, 0]} : f64[3, 4, B<=5]\n"
     "  %9 = transpose %8 {permutation = [1, 0, 2]} : f64[4, 3, B<=5]\n",
     1},
    {"transpose_broadcast",
     "  %8 = broadcast %x {axes = [0, 2]} : f64[3, 2, 4]\n"
     "  %9 = transpose %8 {permutation = [2, 0, 1]} : f64[4, 3, 2]\n",
     1},
    {"transpose_contract",
     "  %8 = contract %x, %y {formula = [i,k] [j,k] -> [i,j]} : f64[3, 3]\n"
     "  %9 = transpose %8 {permutation = [1, 0]} : f64[3, 3]\n",
     1},
    {"reshape_identity", "  %8 = reshape %x : f64[3, 4]\n", 0},
    {"reshape_reshape", "  %8 = reshape %u : f64[B<=5, 12]\n  %9 = reshape %8 : f64[B<=5, 2, 6]\n", 1},
    {"reshape_gather", "  %8 = gather %x, %i : f64[2, 4]\n  %9 = reshape %8 : f64[2, 2, 2]\n", 2},
    {"broadcast_identity", "  %8 = broadcast %x {axes = [0, 1]} : f64[3, 4]\n", 0},
    {"broadcast_broadcast",
     "  %8 = broadcast %v {axes = [0]} : f64[4, 2]\n  %9 = broadcast %8 {axes = [2, 1]} : f64[3, 2, 4]\n", 1},
    {"broadcast_transpose",
     "  %8 = transpose %x {permutation = [1, 0]} : f64[4, 3]\n  %9 = broadcast %8 {axes = [0, 2]} : f64[4, "
     "2, 3]\n",
     1},
    {"read_move",
     "  %8 = transpose %x {permutation = [1, 0]} : f64[4, 3]\n"
     "  %9 = read %8 {formula = [i,2*j+1] -> [i,j<1], outside = 0} : f64[4, 1]\n",
     1},
    {"slice_identity", "  %8 = slice %x {starts = [0, 0], limits = [3, 4]} : f64[3, 4]\n", 0},
    {"slice_slice",
     "  %8 = slice %x {starts = [1, 0], limits = [3, 3]} : f64[2, 3]\n"
     "  %9 = slice %8 {starts = [0, 1], limits = [1, 3]} : f64[1, 2]\n",
     1},
    {"slice_pad",
     "  %8 = pad %x {low = [1, 2], high = [0, 1]} : f64[4, 7]\n"
     "  %9 = slice %8 {starts = [2, 2], limits = [4, 5]} : f64[2, 3]\n",
     1},
    {"pad_identity", "  %8 = pad %x {low = [0, 0], high = [0, 0]} : f64[3, 4]\n", 0},
    {"pad_pad",
     "  %8 = pad %x {low = [1, 2], high = [0, 1]} : f64[4, 7]\n  %9 = pad %8 {low = [1, 0], high = [2, 1]} : "
     "f64[7, 8]\n",
     1},
    {"contract_transpose_left",
     "  %8 = transpose %x {permutation = [1, 0]} : f64[4, 3]\n"
     "  %9 = contract %8, %y {formula = [i,k] [k,j] -> [i,j]} : f64[4, 4]\n",
     1},
    {"contract_transpose_right",
     "  %8 = transpose %u {permutation = [2, 0, 1]} : f64[4, B<=5, 3]\n"
     "  %9 = contract %v, %8 {formula = [k] [k,b,j] -> [b,j]} : f64[B<=5, 3]\n",
     1},
    {"contract_one",
     "  %8 = constant {value = 1} : f64[3]\n"
     "  %9 = contract %8, %x {formula = [i] [i,j] -> [j,i]} : f64[4, 3]\n",
     1},
    {"sum_ones", "  %8 = reshape %v : f64[1, 4]\n  %9 = reduce_sum %8 {axes = [0]} : f64[4]\n", 0},
    {"max_ones", "  %8 = reshape %v : f64[1, 4]\n  %9 = reduce_max %8 {axes = [0]} : f64[4]\n", 0},
    {"min_ones", "  %8 = reshape %v : f64[1, 4]\n  %9 = reduce_min %8 {axes = [0]} : f64[4]\n", 0},
    {"sum_broadcast",
     "  %8 = broadcast %x {axes = [2, 1]} : f64[B<=5, 4, 3, 7]\n"
     "  %9 = reduce_sum %8 {axes = [0, 1, 3]} : f64[3]\n",
     6},
    {"max_broadcast",
     "  %8 = broadcast %x {axes = [0, 2]} : f64[3, 2, 4]\n  %9 = reduce_max %8 {axes = [0, 1]} : f64[4]\n", 1},
    {"min_broadcast",
     "  %8 = broadcast %x {axes = [0, 2]} : f64[3, 2, 4]\n  %9 = reduce_min %8 {axes = [1]} : f64[3, 4]\n", 0},
    {"elementwise_broadcasts",
     "  %8 = broadcast %v {axes = [1]} : f64[B<=5, 4]\n  %9 = constant {value = 3} : f64[B<=5, 4]\n"
     "  %10 = mul %8, %9 : f64[B<=5, 4]\n  %11 = add %10, %8 : f64[B<=5, 4]\n",
     4},
};

constexpr Example kStabilize[] = {
    {"log_sigmoid", "  %8 = sigmoid %x : f64[3, 4]\n  %9 = log %8 : f64[3, 4]\n", 3},
    {"log_one_minus_sigmoid",
     "  %8 = sigmoid %x : f64[3, 4]\n  %9 = constant {value = 1} : f64[3, 4]\n  %10 = sub %9, %8 : f64[3, "
     "4]\n"
     "  %11 = log %10 : f64[3, 4]\n",
     2},
    {"log_one_plus_exp",
     "  %8 = exp %x : f64[3, 4]\n  %9 = constant {value = 1} : f64\n  %10 = broadcast %9 {axes = []} : "
     "f64[3, 4]\n"
     "  %11 = add %10, %8 : f64[3, 4]\n  %12 = log %11 : f64[3, 4]\n",
     1},
    {"log_one_plus",
     "  %8 = constant {value = 1} : f64[3, 4]\n  %9 = add %x, %8 : f64[3, 4]\n  %10 = log %9 : f64[3, 4]\n", 1},
    {"log1p_exp", "  %8 = exp %x : f64[3, 4]\n  %9 = log1p %8 : f64[3, 4]\n", 1},
    {"log_softmax", "  %8 = softmax %x {axes = [1]} : f64[3, 4]\n  %9 = log %8 : f64[3, 4]\n", 1},
    {"log_sum_exp", "  %8 = exp %x : f64[3, 4]\n  %9 = reduce_sum %8 {axes = [0]} : f64[4]\n  %10 = log %9 : f64[4]\n",
     1},
    {"expm1", "  %8 = exp %x : f64[3, 4]\n  %9 = constant {value = 1} : f64[3, 4]\n  %10 = sub %8, %9 : f64[3, 4]\n",
     1},
    {"sigmoid",
     "  %8 = neg %x : f64[3, 4]\n  %9 = exp %8 : f64[3, 4]\n  %10 = constant {value = 1} : f64[3, 4]\n"
     "  %11 = add %10, %9 : f64[3, 4]\n  %12 = div %10, %11 : f64[3, 4]\n",
     1},
};

using Pass = Graph (*)(Graph, RuleHits*);

void check_examples(Pass pass, std::span<const Example> examples, std::span<const Rule> rules) {
  std::set<std::string_view> shown;
  for (const Example& example : examples) {
    INFO(example.rule);
    shown.insert(example.rule);
    const Graph before = parse(example.body);
    RuleHits hits;
    const Graph rewritten = remove_dead_nodes(pass(before, &hits));
    CHECK(hits[example.rule] >= 1);
    CHECK(verify(rewritten) == std::vector<std::string>{});
    CHECK_MESSAGE(rewritten.size() - kNumArguments == example.expected, print(rewritten));
    const std::vector<RefTensor> arguments = arguments_of(before);
    CHECK(worst_difference(run(rewritten, arguments, kExtents), run(before, arguments, kExtents)) <= 1e-14);

    RuleHits again;
    CHECK(print(remove_dead_nodes(pass(rewritten, &again))) == print(rewritten));
    CHECK(again.empty());
  }
  for (const Rule& rule : rules) CHECK_MESSAGE(shown.contains(rule.name), rule.name);
}

/// `pass` changes nothing in this graph.
void check_kept(Pass pass, std::string_view body) {
  const Graph before = parse(body);
  RuleHits hits;
  CHECK(print(pass(before, &hits)) == print(before));
  CHECK(hits.empty());
}

}  // namespace

TEST_CASE("each rule of simplify fires on its example and keeps the meaning") {
  std::vector<Rule> rules(arithmetic_rules().begin(), arithmetic_rules().end());
  rules.insert(rules.end(), movement_rules().begin(), movement_rules().end());
  check_examples(simplify, kSimplify, rules);
}

TEST_CASE("each rule of stabilize fires on its example and keeps the meaning") {
  check_examples(stabilize, kStabilize, stability_rules());
}

TEST_CASE("guards: what would change a result stays") {
  const auto kept = [](std::string_view body) { check_kept(simplify, body); };
  kept("  %8 = constant {value = 0} : f64[3, 4]\n  %9 = mul %x, %8 : f64[3, 4]\n");  // x may be infinite
  kept("  %8 = constant {value = 3} : f64[3, 4]\n  %9 = div %x, %8 : f64[3, 4]\n");  // 1/3 is not exact
  kept(
      "  %8 = constant {value = 3} : f64[3, 4]\n  %9 = mul %x, %8 : f64[3, 4]\n  %10 = mul %8, %9 : f64[3, "
      "4]\n");
  kept("  %8 = sub %x, %x : f64[3, 4]\n");  // NaN for infinity
  kept("  %8 = cast %x {dtype = \"f32\"} : f32[3, 4]\n  %9 = cast %8 {dtype = \"f64\"} : f64[3, 4]\n");
  kept("  %8 = cast %x {dtype = \"i32\"} : i32[3, 4]\n  %9 = cast %8 {dtype = \"f64\"} : f64[3, 4]\n");
  kept("  %8 = cast %n {dtype = \"f64\"} : f64[3, 4]\n  %9 = cast %8 {dtype = \"i8\"} : i8[3, 4]\n");  // 300 is 127
  kept(
      "  %8 = pad %x {low = [1, 0], high = [0, 0]} : f64[4, 4]\n  %9 = slice %8 {starts = [0, 0], limits = "
      "[2, 4]} : f64[2, 4]\n");
  kept("  %8 = gather %x, %i : f64[2, 4]\n  %9 = reshape %8 : f64[8]\n");  // the index axis goes
  kept("  %8 = broadcast %v {axes = [1]} : f64[B<=5, 4]\n  %9 = reduce_max %8 {axes = [0]} : f64[4]\n");  // B
                                                                                                          // may
                                                                                                          // be
                                                                                                          // 0
  kept("  %8 = broadcast %v {axes = [1]} : f64[3, 4]\n  %9 = add %8, %x : f64[3, 4]\n");
}

TEST_CASE("stable forms are right where the formula as written is not") {
  const auto at = [](const Graph& graph, double value) {
    std::vector<RefTensor> arguments = arguments_of(graph);
    std::fill(arguments[0].values.begin(), arguments[0].values.end(), value);
    return run(graph, arguments, kExtents)[0].values[0];
  };
  const std::map<std::string_view, std::pair<double, double>> cases = {
      {"log_sigmoid", {-800, -800}},    {"log_one_minus_sigmoid", {800, -800}},
      {"log_one_plus_exp", {800, 800}}, {"log_one_plus", {1e-20, 1e-20}},
      {"log1p_exp", {800, 800}},        {"log_sum_exp", {800, 800 + std::log(3.0)}},
      {"expm1", {1e-20, 1e-20}},
  };
  for (const Example& example : kStabilize) {
    const auto found = cases.find(example.rule);
    if (found == cases.end()) continue;
    INFO(example.rule);
    CHECK(at(stabilize(parse(example.body)), found->second.first) ==
          doctest::Approx(found->second.second).epsilon(1e-12));
  }
}

TEST_CASE("a cast that loses digits stays between two others") {
  // 2^24 + 1 is no f32.
  const Graph graph =
      parse("  %8 = cast %n {dtype = \"f32\"} : f32[3, 4]\n  %9 = cast %8 {dtype = \"i32\"} : i32[3, 4]\n");
  const Graph simplified = simplify(graph);
  CHECK(std::ranges::count_if(simplified.nodes, [](const Node& node) { return node.op == OpKind::Cast; }) == 2);
}
