#include "compiler/plan/isolate_results.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "compiler/plan/choose_stored.h"
#include "compiler/plan/old_value_readers.h"
#include "compiler/plan/order_nodes.h"
#include "ir/builder.h"
#include "ir/op.h"
#include "ir/rewrite.h"

namespace smelt {

/// A loop overwrites its carries in place: each starts as a copy that nobody else reads. A result of it has one part,
/// since it has one place in memory.
static Graph isolate_carries(Graph graph) {
  if (std::ranges::none_of(graph.nodes, [](const Node& node) { return node.op == OpKind::Scan; })) return graph;
  GraphRebuilder rebuilder(graph);
  std::map<std::pair<NodeId, int64_t>, NodeId> parts;
  for (uint32_t i = 0; i < graph.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (node.op == OpKind::Part) {
      const auto [known, fresh] = parts.try_emplace({node.inputs[0], node.attrs.integer("result")});
      if (fresh) known->second = rebuilder.copy({i});
      rebuilder.replace({i}, known->second);
      continue;
    }
    if (node.op != OpKind::Scan) {
      rebuilder.copy({i});
      continue;
    }
    std::vector<NodeId> inputs = rebuilder.map(node.inputs);
    rebuilder.build().set_place(node);
    for (size_t k = 0; k < inputs.size(); ++k) {
      if (node.body->arguments[k].role == ArgRole::Carry) inputs[k] = rebuilder.build().make(OpKind::Stop, {inputs[k]});
    }
    rebuilder.replace({i}, rebuilder.build().copy(node, std::move(inputs)));
  }
  return rebuilder.finish();
}

/// Whether `result` itself, or through values in registers, reads elements of `argument` other than the one that it is
/// about to give: a product with the old value, or its transpose. Written in place it would read what is new already. A
/// sum on the way has memory of its own, and its kernel comes before.
static bool reads_other_elements(const Graph& graph, NodeId result, NodeId argument) {
  std::vector<bool> seen[2] = {std::vector<bool>(graph.size(), false), std::vector<bool>(graph.size(), false)};
  std::vector<std::pair<NodeId, bool>> open{{result, false}};  // a value; whether an element of another place is read
  while (!open.empty()) {
    auto [id, elsewhere] = open.back();
    open.pop_back();
    if (seen[elsewhere ? 1 : 0][id.index]) continue;
    seen[elsewhere ? 1 : 0][id.index] = true;
    if (id == argument && elsewhere) return true;
    const Node& node = graph[id];
    const Kind kind = op_def(node).kind;
    if (id != result && is_always_stored(kind)) continue;
    if (op_def(node).traits.overwrites) {  // its rows are computed before
      open.emplace_back(node.inputs[0], true);
      open.emplace_back(node.inputs[2], elsewhere);
      continue;
    }
    const bool same_element = kind == Kind::Elementwise || node.op == OpKind::Reshape;
    for (const NodeId input : node.inputs) open.emplace_back(input, elsewhere || !same_element);
  }
  return false;
}

Graph isolate_results(Graph graph) {
  graph = isolate_carries(std::move(graph));
  Builder builder(graph);
  const auto reaches = [&](NodeId from, NodeId to) {
    if (to < from) return false;  // operands come before their readers
    std::vector<bool> seen(graph.size(), false);
    seen[from.index] = true;
    for (uint32_t i = from.index + 1; i <= to.index; ++i) {
      seen[i] = std::ranges::any_of(graph.nodes[i].inputs, [&](NodeId input) { return bool{seen[input.index]}; });
    }
    return bool{seen[to.index]};
  };
  std::map<int32_t, NodeId> argument_of;
  for (const Argument& argument : graph.arguments) {
    if (argument.role == ArgRole::Variable) argument_of[argument.ref] = argument.node;
  }
  Readers readers(graph);
  const std::vector<NodeId> guarding = guards_of(graph);
  std::vector<bool> taken(graph.size(), false);
  std::vector<size_t> copies;
  for (size_t r = 0; r < graph.results.size(); ++r) {
    const Output& result = graph.results[r];
    const bool of_loop = graph[result.node].op == OpKind::Part &&
                         (result.role == ResultRole::Variable || is_left_in_carry(graph, result.node));
    bool copy = graph[result.node].op == OpKind::Argument || of_loop || taken[result.node.index];
    if (result.role == ResultRole::Variable && !copy) {
      // The loss is known before anything is committed, so what it reads cannot be a commit.
      copy = std::ranges::any_of(guarding, [&](NodeId guard) { return reaches(result.node, guard); });
      if (const auto argument = argument_of.find(result.ref); argument != argument_of.end()) {
        copy = copy || reads_other_elements(graph, result.node, argument->second) ||
               std::ranges::any_of(readers.of(argument->second),
                                   [&](NodeId user) { return user != result.node && reaches(result.node, user); });
      }
    }
    taken[result.node.index] = true;
    if (copy) copies.push_back(r);
  }
  const auto copy = [&](size_t r) {
    builder.set_place(graph[graph.results[r].node]);
    graph.results[r].node = builder.make(OpKind::Stop, {graph.results[r].node});
  };
  std::ranges::for_each(copies, copy);
  while (const std::optional<size_t> stuck = variable_on_a_cycle(graph)) copy(*stuck);
  return graph;
}

}  // namespace smelt
