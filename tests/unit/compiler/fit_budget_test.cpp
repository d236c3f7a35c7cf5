// Plans under a memory budget, for graphs that the examples do not have.
#include <doctest/doctest.h>

#include <algorithm>

#include "compiler/fit_budget.h"
#include "compiler/plan/isolate_results.h"
#include "compiler/plan/recompute.h"
#include "compiler/run_passes.h"
#include "ir/builder.h"
#include "ir/text.h"
#include "ir/text_formula.h"
#include "runtime/abi.h"

using namespace smelt;

namespace {

/// Three convolutions: the weight gradients sum over three axes, so that their products pass in blocks.
Graph three_axes() {
  Graph graph;
  graph.name = "blocks";
  Builder b(graph);
  const TensorType values{DType::F32, {32, 6, 6, 16}}, weights{DType::F32, {2, 2, 16, 16}};
  NodeId x = b.argument({.name = "x", .role = ArgRole::Feed}, values);
  std::vector<NodeId> layers;
  for (int layer = 0; layer < 3; ++layer) {
    layers.push_back(b.argument({.name = "w" + std::to_string(layer), .role = ArgRole::Feed}, weights));
    const NodeId padded = b.make(
        OpKind::Pad, {x}, {{"low", std::vector<int64_t>{0, 0, 0, 0}}, {"high", std::vector<int64_t>{0, 1, 1, 0}}});
    x = b.make(OpKind::Tanh, {b.contract(padded, layers.back(), formula_of("[n,i+u,j+v,c] [u,v,c,o] -> [n,i,j,o]"))});
  }
  const NodeId loss = b.reduce_sum(x, {0, 1, 2, 3});
  for (const NodeId w : layers) b.result({.name = "g", .node = b.make(OpKind::Grad, {loss, w})});
  return graph;
}

}  // namespace

TEST_CASE("a budget is kept by products that pass over their depth in blocks") {
  const Graph graph = run_graph_passes(three_axes()).value();
  Blocking blocking = kFineBlocking;
  blocking.strips_pay = INT64_MAX;  // strips take what passes in blocks without them
  const PassContext context{.lower = {.begin = sizeof(smelt_arena)},
                            .target = {.vector_bytes = 64, .vector_registers = 32, .blocking = blocking}};
  const FunctionUnit usual = place_function({isolate_results(graph), {}}, context);
  int in_blocks = 0;
  for (const Kernel& kernel : usual.loops.kernels)
    in_blocks += kernel.kind() == KernelKind::Product && kernel.product().schedule->blocks ? 1 : 0;
  CHECK(in_blocks >= 2);
  const int64_t budget = usual.end() * 9 / 10;
  const FunctionUnit planned = plan_within(usual, budget, context);
  CHECK(planned.end() <= budget);
  CHECK(verify(planned).empty());
}

// A copy of a loop lost its body, and the kernels of a body were taken for further kernels of the plan.
TEST_CASE("a loop may be what reads a value that a budget computes again") {
  const Graph graph = parse_graph(R"(
func @late(%h: feed f32[256], %x: feed f32[64, 256], %s: feed f32) {
  %3 = exp %x : f32[64, 256]
  %4 = reduce_sum %3 {axes = [0]} : f32[256]
  %5 = mul %h, %4 : f32[256]
  %6 = scan %5, %3, %3 {reverse = 0, by_position = 0, until = -1} : i32[64] {
    func @step(%h: carry f32[256] #0, %x: slice f32[256], %w: whole f32[64, 256]) {
      %3 = reduce_sum %w {axes = [0]} : f32[256]
      %4 = mul %h, %x : f32[256]
      %5 = add %4, %3 : f32[256]
      %6 = reduce_sum %5 {axes = [0]} : f32
      %7 = broadcast %6 {axes = []} : f32[256]
      %8 = div %5, %7 : f32[256]
      return %8 as carry "h" #0
    }
  }
  %7 = part %6 {result = 0} : f32[256]
  return %7 as value "y"
}
)")
                          .value();
  const PassContext context{.lower = {.begin = sizeof(smelt_arena)},
                            .target = {.vector_bytes = 64, .vector_registers = 32, .blocking = kFineBlocking}};
  const FunctionUnit usual = place_function({isolate_results(graph), {}}, context);
  Recomputation late;
  const auto& nodes = usual.source.graph.nodes;
  const auto index_of = [&](OpKind op) {
    return static_cast<uint32_t>(std::ranges::find(nodes, op, &Node::op) - nodes.begin());
  };
  late.from[NodeId{index_of(OpKind::Exp)}] = usual.plan.kernel_of[index_of(OpKind::Scan)];
  const FunctionUnit planned = place_function(recompute(usual.source, usual.plan, late), context);
  CHECK(verify(planned).empty());
  CHECK(std::ranges::count(planned.source.graph.nodes, OpKind::Exp, &Node::op) == 2);
  CHECK(plan_within(usual, usual.end() - 1, context).end() <= usual.end());
}
