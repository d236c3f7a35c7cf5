// Random graphs are valid, repeatable and varied.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "fuzz/compiled_graphs.h"
#include "fuzz/draw_op.h"
#include "fuzz/halves.h"
#include "fuzz/legs.h"
#include "fuzz/random_graph.h"
#include "ir/op.h"
#include "ir/text.h"
#include "ir/verifier.h"

using namespace smelt;
using namespace smelt::fuzz;

namespace {

constexpr uint64_t kGraphs = 1500;

bool has_result(const Graph& graph, char first) {
  return std::ranges::any_of(graph.results, [&](const Output& result) { return result.name[0] == first; });
}

/// Whether a product of several pairs has an operand of bf16.
bool joins_bf16(const Graph& graph) {
  const auto is_bf16 = [&](NodeId id) {
    return graph[id].op == OpKind::Cast && graph.type(graph[id].inputs[0]).dtype == DType::BF16;
  };
  return std::ranges::any_of(graph.nodes, [&](const Node& node) {
    return node.op == OpKind::Contract && node.inputs.size() > 2 && std::ranges::any_of(node.inputs, is_bf16);
  });
}

}  // namespace

TEST_CASE("a seed gives one graph, which verifies and prints and parses") {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    const RandomGraph random = random_graph(seed), again = random_graph(seed);
    INFO("seed ", seed);
    CHECK(print(random.graph) == print(again.graph));
    CHECK(verify(random.graph) == std::vector<std::string>{});
    const Result<Graph> read = parse_graph(print(random.graph));
    REQUIRE_MESSAGE(read.has_value(), read.error().message);
    CHECK(print(*read) == print(random.graph));
  }
  CHECK(print(random_graph(1).graph) != print(random_graph(2).graph));
}

TEST_CASE("every op of the table is drawn, and about as many gradients as asked for") {
  std::set<std::string_view> seen;
  int64_t gradients = 0, second = 0;
  for (uint64_t seed = 1; seed <= kGraphs; ++seed) {
    const RandomGraph random = random_graph(seed);
    const std::vector<bool> live = live_nodes(random.graph);
    for (uint32_t i = 0; i < random.graph.size(); ++i) {
      if (live[i]) seen.insert(op_def(random.graph.nodes[i]).name);
    }
    gradients += has_result(random.graph, 'g') || has_result(random.graph, 'h') ? 1 : 0;
    second += has_result(random.graph, 'h') ? 1 : 0;
  }
  for (const OpDef& def : all_ops()) {
    if (def.kind == Kind::Meta && op_kind(def) != OpKind::Grad) continue;  // only what the frontend builds has them
    CHECK_MESSAGE(seen.contains(def.name), fmt::format("`{}` is never drawn", def.name));
  }
  const auto share = [](int64_t count) { return static_cast<double>(count) / static_cast<double>(kGraphs); };
  CHECK(share(gradients) > 0.55);
  CHECK(share(second) > 0.13);
}

TEST_CASE(
    "parts of run-time axes are drawn: fixed ones, shorter ones, moved ones, and fixed axes read by a run-time index") {
  std::map<std::string, int> kinds;
  for (uint64_t seed = 1; seed <= 3 * kGraphs; ++seed) {
    const Graph graph = random_graph(seed).graph;
    const std::vector<bool> live = live_nodes(graph);
    for (uint32_t i = 0; i < graph.size(); ++i) {
      const Node& node = graph.nodes[i];
      if (!live[i] || node.op != OpKind::Read) continue;
      const IndexMap& map = node.attrs.formula("formula").operands[0];
      const Shape& from = graph.type(node.inputs[0]).shape;
      for (size_t axis = 0; axis < from.size(); ++axis) {
        if (map.axes[axis].terms.size() != 1) continue;
        const Extent& part = node.type.shape[static_cast<size_t>(map.axes[axis].terms[0].first)];
        if (part == from[axis] && map.axes[axis].constant == 0) continue;
        if (part.is_static() && from[axis].is_static()) continue;
        const std::string_view bounded = map.bounded ? "bounded " : "plain ";
        ++kinds[fmt::format("{}{} of {}", bounded, part.is_static() ? "fixed" : "run-time",
                            from[axis].is_static() ? "fixed" : "run-time")];
      }
    }
  }
  for (const char* kind : {"plain fixed of run-time", "bounded fixed of run-time", "plain run-time of run-time",
                           "bounded run-time of run-time", "plain run-time of fixed", "bounded run-time of fixed"})
    CHECK_MESSAGE(kinds[kind] >= 5, kind, ": ", kinds[kind]);
}

TEST_CASE("a third of the graphs has halves, and products of bf16 in every layout that pairs have code for") {
  const Target target{.vector_bytes = 64, .has_fma = true, .has_bf16_pairs = true, .vector_registers = 32};
  int64_t once = 0, freely = 0, odd_depth = 0, strided = 0, joined = 0;
  for (uint64_t seed = 1; seed <= kGraphs; ++seed) {
    const RandomGraph random = random_graph(seed);
    const HalfRounding halves = half_rounding(random.graph);
    once += halves == HalfRounding::Once ? 1 : 0;
    freely += halves == HalfRounding::Freely ? 1 : 0;
    if (halves == HalfRounding::None) continue;
    const Graph prepared = *prepare(random.graph, kFull);
    joined += joins_bf16(prepared) ? 1 : 0;
    for (const Kernel& kernel : loops_of(prepared, target).kernels) {
      if (kernel.kind() != KernelKind::Pack || kernel.pack().form != PanelForm::Pairs) continue;
      odd_depth += kernel.pack().depth.extent.bound % 2;
      strided += kernel.pack().column.from != 1 && kernel.pack().depth.from != 1 ? 1 : 0;
    }
  }
  CHECK(once > static_cast<int64_t>(kGraphs / 5));
  CHECK(freely > static_cast<int64_t>(kGraphs / 30));
  CHECK(odd_depth > 20);
  CHECK(strided > 2);
  CHECK(joined > 5);
}

TEST_CASE("an op that the generator cannot draw is one that stands for something else") {
  for (const OpDef& def : all_ops()) {
    const bool stands_for_another = def.kind == Kind::Argument || def.kind == Kind::Part || def.kind == Kind::Meta;
    CHECK_MESSAGE(can_draw(def) == !stands_for_another,
                  fmt::format("`{}`: fuzz/draw_attributes.cpp has no row for its attributes", def.name));
  }
}
