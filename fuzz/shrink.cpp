#include "fuzz/shrink.h"

#include <fmt/format.h>

#include <algorithm>

#include "compiler/graph/differentiate.h"
#include "compiler/graph/remove_dead_nodes.h"
#include "fuzz/legs.h"
#include "ir/op.h"
#include "ir/rewrite.h"

namespace smelt::fuzz {
namespace {

using Replace = std::function<NodeId(GraphRebuilder&, NodeId copied)>;

RandomGraph with_graph(const RandomGraph& random, Graph graph) {
  RandomGraph changed = random;
  changed.graph = std::move(graph);
  return without_dead(changed);
}

Graph replaced(const Graph& graph, uint32_t node, const Replace& replacement) {
  GraphRebuilder rebuilder(graph);
  for (uint32_t i = 0; i < graph.size(); ++i) {
    const NodeId copied = rebuilder.copy({i});
    if (i == node) rebuilder.replace({i}, replacement(rebuilder, copied));
  }
  return rebuilder.finish();
}

RandomGraph only_result(const RandomGraph& random, size_t result) {
  Graph graph = random.graph;
  graph.results = {graph.results[result]};
  return with_graph(random, std::move(graph));
}

RandomGraph with_operand(const RandomGraph& random, uint32_t node, size_t operand) {
  const NodeId input = random.graph.nodes[node].inputs[operand];
  return with_graph(
      random, replaced(random.graph, node, [&](GraphRebuilder& rebuilder, NodeId) { return rebuilder.map(input); }));
}

RandomGraph with_constant(const RandomGraph& random, uint32_t node) {
  return with_graph(random, replaced(random.graph, node, [](GraphRebuilder& rebuilder, NodeId copied) {
                      return rebuilder.build().like(copied, 1);
                    }));
}

/// The values of one node; nothing when the graph cannot be evaluated.
std::optional<RefTensor> value_at(const RandomGraph& random, uint32_t node) {
  Graph graph = random.graph;
  graph.results = {{"value", ResultRole::Value, -1, {node}}};
  const auto values =
      evaluate(plain_graph(remove_dead_nodes(graph)), random.arguments, random.extents, {.rounding = Rounding::Halves});
  if (!values) return std::nullopt;
  RefTensor value = (*values)[0];
  for (double& number : value.values) number = round_to_float(number, value.type.dtype);
  return value;
}

/// The node becomes an argument with the value that it had.
RandomGraph cut_at(const RandomGraph& random, uint32_t node) {
  const auto value = value_at(random, node);
  if (!value) return random;
  const auto index = static_cast<int64_t>(random.graph.arguments.size());
  NodeId argument;
  RandomGraph changed = random;
  changed.graph = replaced(random.graph, node, [&](GraphRebuilder& rebuilder, NodeId copied) {
    const TensorType type = rebuilder.build().type(copied);
    return argument = rebuilder.build().make(OpKind::Argument, {}, {{"index", index}, {"type", type}});
  });
  changed.graph.arguments.push_back({fmt::format("v{}", index), ArgRole::Feed, -1, argument});
  changed.arguments.push_back(*value);
  return without_dead(changed);
}

}  // namespace

RandomGraph without_dead(const RandomGraph& random) {
  std::vector<bool> read(random.graph.size());
  const std::vector<bool> live = live_nodes(random.graph);
  for (uint32_t i = 0; i < random.graph.size(); ++i) {
    if (!live[i]) continue;
    for (const NodeId input : random.graph.nodes[i].inputs) read[input.index] = true;
  }
  for (const Output& result : random.graph.results) read[result.node.index] = true;

  RandomGraph kept = random;
  kept.arguments.clear();
  Graph graph = random.graph;
  graph.arguments.clear();
  std::vector<int64_t> number(random.graph.arguments.size(), -1);
  for (size_t a = 0; a < random.graph.arguments.size(); ++a) {
    const Argument& argument = random.graph.arguments[a];
    if (!read[argument.node.index]) continue;
    number[a] = static_cast<int64_t>(graph.arguments.size());
    graph.nodes[argument.node.index].attrs.set("index", number[a]);
    graph.arguments.push_back(argument);
    kept.arguments.push_back(random.arguments[a]);
  }
  GraphRebuilder rebuilder(graph);
  for (uint32_t i = 0; i < graph.size(); ++i) {
    if (live[i] && (graph.nodes[i].op != OpKind::Argument || read[i])) rebuilder.copy({i});
  }
  kept.graph = rebuilder.finish();
  return kept;
}

std::vector<std::function<RandomGraph()>> smaller_variants(const RandomGraph& random) {
  std::vector<std::function<RandomGraph()>> variants;
  const Graph& graph = random.graph;
  for (size_t r = 0; r < graph.results.size() && graph.results.size() > 1; ++r)
    variants.push_back([&random, r] { return only_result(random, r); });
  const auto is_meta = [](const Node& node) { return op_def(node).kind == Kind::Meta; };
  if (std::ranges::any_of(graph.nodes, is_meta))
    variants.push_back([&random] { return with_graph(random, differentiate(random.graph)); });
  const auto is_composite = [](const Node& node) { return op_def(node).kind == Kind::Composite; };
  if (std::ranges::any_of(graph.nodes, is_composite))
    variants.push_back([&random] { return with_graph(random, plain_graph(random.graph)); });
  for (uint32_t i = 0; i < graph.size(); ++i) {  // early cuts leave out the most
    const Node& node = graph.nodes[i];
    const Kind kind = op_def(node).kind;
    if (kind == Kind::Argument || kind == Kind::Scan) continue;  // a scan is cut where its parts are
    for (size_t k = 0; k < node.inputs.size() && kind != Kind::Part; ++k) {
      if (graph.type(node.inputs[k]) == node.type)
        variants.push_back([&random, i, k] { return with_operand(random, i, k); });
    }
    variants.push_back([&random, i] { return cut_at(random, i); });
    if (kind != Kind::Constant && kind != Kind::Meta)
      variants.push_back([&random, i] { return with_constant(random, i); });
  }
  return variants;
}

int count_ops(const Graph& graph) {
  return static_cast<int>(
      std::ranges::count_if(graph.nodes, [](const Node& node) { return node.op != OpKind::Argument; }));
}

}  // namespace smelt::fuzz
