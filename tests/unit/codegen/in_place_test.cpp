// Results over operands that nobody reads any more: where it is allowed, where it is not, and the values either way.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <string>

#include "compiler/codegen/make_target.h"
#include "fuzz/compiled_graphs.h"
#include "ir/evaluator.h"
#include "ir/text.h"

using namespace smelt;

namespace {

/// Products have memory; what stands between them becomes an epilogue, or a kernel of its own.
Graph graph_of(const std::string& body, const std::string& type = "f32[40, 40]") {
  const std::string text = "func @f(%x: feed " + type + ", %w: feed " + type + ") {\n" + body + "}\n";
  Result<Graph> graph = parse_graph(text);
  REQUIRE_MESSAGE(graph.has_value(), graph.error().message);
  return *std::move(graph);
}

/// "result over operand, .." in the order of kernels.
std::string in_place(const Graph& graph) {
  const LoopFunction function = fuzz::loops_of(graph, make_target("x86-64-v4").value());
  std::string text;
  for (const LoopBuffer& buffer : function.buffers) {
    if (buffer.over < 0) continue;
    text += fmt::format("{}{} over {}", text.empty() ? "" : ", ", buffer.name,
                        function.buffers[static_cast<size_t>(buffer.over)].name);
  }
  return text;
}

void check_values(const Graph& graph) {
  std::vector<RefTensor> arguments;
  for (const Argument& argument : graph.arguments) {
    const NodeId id = argument.node;
    RefTensor tensor{graph.type(id), {}, {}};
    for (const Extent& extent : graph.type(id).shape) tensor.sizes.push_back(extent.bound);
    for (int64_t i = 0; i < num_elements(graph.type(id).shape).value(); ++i)
      tensor.values.push_back(static_cast<double>(i * 7 % 13 - 6) / 16);
    arguments.push_back(std::move(tensor));
  }
  const std::vector<RefTensor> expected = evaluate(graph, arguments, {}).value();
  std::vector<Graph> graphs{graph};
  const fuzz::CompiledGraphs compiled = fuzz::CompiledGraphs::compile(std::move(graphs), {}).value();
  const fuzz::RunOutcome outcome = compiled.run(0, arguments, {});
  REQUIRE_MESSAGE(!outcome.fault, *outcome.fault);
  for (size_t r = 0; r < expected.size(); ++r) {
    for (size_t i = 0; i < expected[r].values.size(); ++i)
      CHECK(outcome.results[r].values[i] == doctest::Approx(expected[r].values[i]).epsilon(1e-4));
  }
}

}  // namespace

TEST_CASE("an epilogue writes over what it reads element by element") {
  const Graph graph = graph_of(R"(  %2 = contract %x, %w {formula = [i,k] [k,j] -> [i,j]} : f32[40, 40]
  %3 = contract %w, %x {formula = [i,k] [k,j] -> [i,j]} : f32[40, 40]
  %4 = mul %2, %3 : f32[40, 40]
  %5 = contract %4, %w {formula = [i,k] [k,j] -> [i,j]} : f32[40, 40]
  return %5 as value "y"
)");
  CHECK(in_place(graph) == "mul4 over contract2");
  check_values(graph);
}

TEST_CASE("a softmax over rows writes over its logits") {
  const Graph graph = graph_of(R"(  %2 = contract %x, %w {formula = [i,k] [k,j] -> [i,j]} : f32[40, 40]
  %3 = reduce_max %2 {axes = [1]} : f32[40]
  %4 = broadcast %3 {axes = [0]} : f32[40, 40]
  %5 = sub %2, %4 : f32[40, 40]
  %6 = exp %5 : f32[40, 40]
  %7 = reduce_sum %6 {axes = [1]} : f32[40]
  %8 = broadcast %7 {axes = [0]} : f32[40, 40]
  %9 = div %6, %8 : f32[40, 40]
  %10 = contract %9, %w {formula = [i,k] [k,j] -> [i,j]} : f32[40, 40]
  return %10 as value "y"
)");
  CHECK(in_place(graph) != "");
  check_values(graph);
}

TEST_CASE("a square is not written over its transpose") {
  const Graph graph = graph_of(R"(  %2 = contract %x, %w {formula = [i,k] [k,j] -> [i,j]} : f32[40, 40]
  %3 = contract %w, %x {formula = [i,k] [k,j] -> [i,j]} : f32[40, 40]
  %4 = transpose %2 {permutation = [1, 0]} : f32[40, 40]
  %5 = mul %4, %3 : f32[40, 40]
  %6 = contract %5, %w {formula = [i,k] [k,j] -> [i,j]} : f32[40, 40]
  return %6 as value "y"
)");
  CHECK(in_place(graph) == "");
  check_values(graph);
}

TEST_CASE("a square that one sweep visits is not written over its transpose") {
  // Both axes are the sweep's own: it touches the same elements of both, in another order.
  const Graph graph = graph_of(R"(  %2 = contract %x, %w {formula = [b,i,k] [b,k,j] -> [b,i,j]} : f32[4, 20, 20]
  %3 = transpose %2 {permutation = [0, 2, 1]} : f32[4, 20, 20]
  %4 = reduce_sum %x {axes = [1, 2]} : f32[4]
  %5 = broadcast %4 {axes = [0]} : f32[4, 20, 20]
  %6 = mul %3, %5 : f32[4, 20, 20]
  %7 = contract %6, %w {formula = [b,i,k] [b,k,j] -> [b,i,j]} : f32[4, 20, 20]
  return %7 as value "y"
)",
                               "f32[4, 20, 20]");
  CHECK(in_place(graph) == "");
  check_values(graph);
}

TEST_CASE("an operand that is read again keeps its place") {
  const Graph graph = graph_of(R"(  %2 = contract %x, %w {formula = [i,k] [k,j] -> [i,j]} : f32[40, 40]
  %3 = contract %w, %x {formula = [i,k] [k,j] -> [i,j]} : f32[40, 40]
  %4 = mul %2, %3 : f32[40, 40]
  %5 = contract %4, %w {formula = [i,k] [k,j] -> [i,j]} : f32[40, 40]
  %6 = contract %5, %2 {formula = [i,k] [k,j] -> [i,j]} : f32[40, 40]
  return %6 as value "y"
)");
  CHECK(in_place(graph) == "");
  check_values(graph);
}

TEST_CASE("a half is not written over a float") {
  const Graph graph = graph_of(R"(  %2 = contract %x, %w {formula = [i,k] [k,j] -> [i,j]} : f32[40, 40]
  %3 = contract %w, %x {formula = [i,k] [k,j] -> [i,j]} : f32[40, 40]
  %4 = mul %2, %3 : f32[40, 40]
  %5 = cast %4 {dtype = "bf16"} : bf16[40, 40]
  %6 = cast %5 {dtype = "f32"} : f32[40, 40]
  %7 = contract %6, %w {formula = [i,k] [k,j] -> [i,j]} : f32[40, 40]
  return %7 as value "y"
)");
  CHECK(in_place(graph).find("cast") == std::string::npos);
}

TEST_CASE("rows that another sweep has not read yet are not overwritten") {
  // One operand along rows and along columns: the sum over columns needs all rows.
  const Graph graph = graph_of(R"(  %2 = contract %x, %w {formula = [i,k] [k,j] -> [i,j]} : f32[40, 40]
  %3 = reduce_sum %2 {axes = [0]} : f32[40]
  %4 = broadcast %3 {axes = [1]} : f32[40, 40]
  %5 = reduce_sum %2 {axes = [1]} : f32[40]
  %6 = broadcast %5 {axes = [0]} : f32[40, 40]
  %7 = mul %2, %4 : f32[40, 40]
  %8 = mul %7, %6 : f32[40, 40]
  %9 = contract %8, %w {formula = [i,k] [k,j] -> [i,j]} : f32[40, 40]
  return %9 as value "y"
)");
  check_values(graph);
}
