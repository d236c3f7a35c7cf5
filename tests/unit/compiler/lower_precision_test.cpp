// Where casts to bf16 go, and what they may not touch.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "compiler/graph/widen_halves.h"
#include "compiler/plan/isolate_results.h"
#include "compiler/plan/lower_precision.h"
#include "compiler/run_passes.h"
#include "ir/builder.h"
#include "ir/text.h"
#include "ir/verifier.h"
#include "tests/support/graph_checks.h"
#include "tests/support/op_samples.h"

using namespace smelt;

namespace {

// A step of two layers: h = relu(x W), loss = sum((h V)^2), and an update of V by its gradient.
constexpr std::string_view kStep = R"(dims B<=32
func @step(%x: feed f32[B<=32, 40], %W: variable f32[40, 24] #0, %V: variable f32[24, 48] #1) {
  %3 = contract %x, %W {formula = [b,k] [k,h] -> [b,h]} : f32[B<=32, 24]
  %4 = constant {value = 0} : f32[B<=32, 24]
  %5 = max %3, %4 : f32[B<=32, 24]
  %6 = contract %5, %V {formula = [b,h] [h,o] -> [b,o]} : f32[B<=32, 48]
  %7 = mul %6, %6 : f32[B<=32, 48]
  %8 = reduce_sum %7 {axes = [0, 1]} : f32
  %9 = contract %5, %6 {formula = [b,h] [b,o] -> [h,o]} : f32[24, 48]
  %10 = constant {value = 0.001} : f32[24, 48]
  %11 = mul %9, %10 : f32[24, 48]
  %12 = sub %V, %11 : f32[24, 48]
  return %8 as loss "loss", %12 as variable "V" #1
}
)";

Graph parse(std::string_view text) {
  Result<Graph> graph = parse_graph(text);
  REQUIRE_MESSAGE(graph.has_value(), graph.error().message);
  return *std::move(graph);
}

LoopFunction loops_of(const Graph& graph) {
  FunctionUnit placed = place_function({graph, {}}, {.target = {.vector_bytes = 64, .vector_registers = 32}});
  CHECK(verify(placed) == std::vector<std::string>{});
  return std::move(placed.loops);
}

int64_t temporary_bytes(const Graph& graph) {
  const LoopFunction loops = loops_of(graph);
  int64_t bytes = 0;
  for (size_t b = 0; b < loops.buffers.size(); ++b) {
    const LoopBuffer& buffer = loops.buffers[b];
    const bool used = std::ranges::any_of(loops.kernels, [&](const Kernel& kernel) {
      return kernel.kind() == KernelKind::Product && (kernel.product().pairs[0].a == static_cast<int32_t>(b) ||
                                                      kernel.product().pairs[0].b == static_cast<int32_t>(b));
    });
    if (buffer.storage == Storage::Temporary && used) bytes += byte_size(buffer.type).value_or(0);
  }
  return bytes;
}

int count(const Graph& graph, OpKind op) {
  return static_cast<int>(std::ranges::count_if(graph.nodes, [&](const Node& node) { return node.op == op; }));
}

}  // namespace

TEST_CASE("what products hand on is stored as bf16; losses, updates and gradients of parameters stay f32") {
  const Graph step = isolate_results(parse(kStep));
  const Graph lowered = lower_precision(step, DType::BF16);
  CHECK(verify(lowered, GraphStage::Primitive) == std::vector<std::string>{});
  // h and the second layer's result, each there and back.
  CHECK(count(lowered, OpKind::Cast) == 4);
  CHECK(2 * temporary_bytes(lowered) == temporary_bytes(step));
  for (size_t r = 0; r < step.results.size(); ++r)
    CHECK(lowered.type(lowered.results[r].node) == step.type(step.results[r].node));
  const auto gradient = std::ranges::find_if(
      lowered.nodes, [](const Node& node) { return node.type.shape == Shape{24, 48} && node.op == OpKind::Contract; });
  REQUIRE(gradient != lowered.nodes.end());
  for (const Node& node : lowered.nodes) {
    const bool reads = std::ranges::any_of(node.inputs, [&](NodeId id) { return &lowered[id] == &*gradient; });
    if (reads) CHECK(node.op == OpKind::Mul);
  }
}

TEST_CASE("lowering twice changes nothing more, and results differ by roundings of bf16") {
  const Graph step = isolate_results(parse(kStep));
  const Graph lowered = lower_precision(step, DType::BF16);
  CHECK(print(lower_precision(lowered, DType::BF16)) == print(lowered));
  testing::Numbers numbers(3);
  std::vector<RefTensor> arguments;
  const std::vector<int64_t> extents = {20};
  for (const Argument& argument : step.arguments)
    arguments.push_back(numbers.tensor(step.type(argument.node), extents, -1, 1, 0));
  const auto exact = testing::run(step, arguments, extents);
  const auto rounded = evaluate(lowered, arguments, extents, {.rounding = Rounding::ToDType});
  REQUIRE(rounded.has_value());
  CHECK(std::abs((*rounded)[0].values[0] / exact[0].values[0] - 1) < 0x1p-8);
  CHECK((*rounded)[0].values[0] != exact[0].values[0]);
}

TEST_CASE("in the body of a loop what products by weights read is rounded, and what products read of its results") {
  const Graph graph = isolate_results(parse(R"(dims B<=32
func @f(%h: feed f32[B<=32, 24], %x: feed f32[64, B<=32, 24], %W: variable f32[24, 24] #0) {
  %3 = scan %h, %x, %W {reverse = 0, by_position = 0, until = -1} : i32[64] {
    func @step(%c: carry f32[B<=32, 24] #0, %s: slice f32[B<=32, 24], %w: whole f32[24, 24]) {
      %3 = contract %c, %w {formula = [b,k] [k,h] -> [b,h]} : f32[B<=32, 24]
      %4 = add %3, %s : f32[B<=32, 24]
      %5 = contract %c, %s {formula = [b,k] [b,h] -> [k,h]} : f32[24, 24]
      %6 = reduce_sum %5 {axes = [0, 1]} : f32
      return %4 as carry "c" #0, %4 as stacked "h", %6 as stacked "both"
    }
  }
  %4 = part %3 {result = 1} : f32[64, B<=32, 24]
  %5 = contract %4, %x {formula = [t,b,k] [t,b,h] -> [k,h]} : f32[24, 24]
  %6 = part %3 {result = 2} : f32[64]
  return %4 as value "all", %5 as value "gradient", %6 as value "sums"
}
)"));
  const Graph lowered = lower_precision(graph, DType::BF16);
  CHECK(verify(lowered, GraphStage::Primitive) == std::vector<std::string>{});
  CHECK(print(lower_precision(lowered, DType::BF16)) == print(lowered));
  CHECK(print(lower_precision(graph, DType::BF16, Rounds::Nothing)) == print(graph));
  const auto is_rounded = [](const Graph& in, NodeId id) {
    return in[id].op == OpKind::Cast && in.type(in[id].inputs[0]).dtype == DType::BF16;
  };
  const auto products = [](const Graph& in) {
    std::vector<Node> found;
    for (const Node& node : in.nodes)
      if (node.op == OpKind::Contract) found.push_back(node);
    return found;
  };
  const auto loop = std::ranges::find(lowered.nodes, OpKind::Scan, &Node::op);
  const Graph& body = *loop->body;
  const std::vector<Node> inner = products(body), outer = products(lowered);
  REQUIRE(inner.size() == 2);
  CHECK((is_rounded(body, inner[0].inputs[0]) && !is_rounded(body, inner[0].inputs[1])));
  CHECK((!is_rounded(body, inner[1].inputs[0]) && !is_rounded(body, inner[1].inputs[1])));
  CHECK(count(body, OpKind::Cast) == 2);
  CHECK((is_rounded(lowered, outer[0].inputs[0]) && !is_rounded(lowered, outer[0].inputs[1])));
  for (const Output& result : lowered.results) CHECK(!is_rounded(lowered, result.node));
  // A step on its own rounds as the body does: `w` is a variable that it does not write.
  Graph step = *std::ranges::find(graph.nodes, OpKind::Scan, &Node::op)->body;
  for (Argument& argument : step.arguments) argument.role = argument.name == "w" ? ArgRole::Variable : ArgRole::Feed;
  step = lower_precision(std::move(step), DType::BF16, Rounds::Products);
  CHECK(count(step, OpKind::Cast) == 2);
  CHECK(is_rounded(step, products(step)[0].inputs[0]));
}

TEST_CASE("arithmetic on halves becomes arithmetic on f32; selects and movement do not") {
  const Graph graph = widen_halves(parse(R"(
func @f(%x: feed bf16[8, 3], %y: feed bf16[8, 3], %c: feed bool[8, 3]) {
  %3 = add %x, %y : bf16[8, 3]
  %4 = select %c, %3, %y : bf16[8, 3]
  %5 = transpose %4 {permutation = [1, 0]} : bf16[3, 8]
  %6 = reduce_sum %5 {axes = [1]} : bf16[3]
  %7 = lt %x, %y : bool[8, 3]
  return %6 as value "sum", %7 as value "less"
}
)"));
  CHECK(verify(graph, GraphStage::Primitive) == std::vector<std::string>{});
  for (const Node& node : graph.nodes) {
    const bool computes = node.op == OpKind::Add || node.op == OpKind::ReduceSum;
    if (computes) CHECK(node.type.dtype == DType::F32);
    if (node.op == OpKind::Select || node.op == OpKind::Transpose) CHECK(node.type.dtype == DType::BF16);
    if (node.op == OpKind::Lt) CHECK(graph.type(node.inputs[0]).dtype == DType::F32);
  }
  CHECK(graph.type(graph.results[0].node) == TensorType{DType::BF16, {3}});
}
