// Plans under a memory budget, for graphs that the examples do not have.
#include <doctest/doctest.h>

#include "compiler/fit_budget.h"
#include "compiler/plan/isolate_results.h"
#include "compiler/run_passes.h"
#include "ir/builder.h"
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
  const PassContext context{.lower = {.begin = sizeof(smelt_arena)},
                            .target = {.vector_bytes = 64, .vector_registers = 32, .blocking = kFineBlocking}};
  const FunctionUnit usual = place_function({isolate_results(graph), {}}, context);
  int in_blocks = 0;
  for (const Kernel& kernel : usual.loops.kernels)
    in_blocks += kernel.kind() == KernelKind::Product && kernel.product().schedule->blocks ? 1 : 0;
  CHECK(in_blocks >= 3);
  const int64_t budget = usual.end() * 9 / 10;
  const FunctionUnit planned = plan_within(usual, budget, context);
  CHECK(planned.end() <= budget);
  CHECK(verify(planned).empty());
}
