#include "compiler/loops/order_nodes.h"

#include <algorithm>
#include <map>
#include <optional>
#include <ranges>

#include "compiler/loops/plan_kernels.h"
#include "ir/builder.h"
#include "ir/op.h"
#include "ir/rewrite.h"
#include "ir/scan.h"
#include "ir/support/check.h"

namespace smelt {
namespace {

/// The scalars that must be finite before anything is committed.
std::vector<NodeId> guards_of(const Graph& graph) {
  std::vector<NodeId> nodes;
  for (const Output& result : graph.results) {
    if (guards(result)) nodes.push_back(result.node);
  }
  return nodes;
}

/// Who reads an argument. One object answers for all variables of a graph, because what it has to know of the whole
/// graph would be found again for each of the thousands that a deep net has.
class Readers {
 public:
  explicit Readers(const Graph& graph)
      : graph_(graph), users_(users_of(graph)), has_memory_(graph.size(), false), seen_by_(graph.size()) {
    for (const Output& result : graph.results) {
      has_memory_[result.node.index] = true;
      if (const std::optional<NodeId> copied = copied_by(graph, result)) has_memory_[copied->index] = true;
    }
  }

  /// The nodes that may read `argument` from memory: its users, and what reads it through values that are recomputed
  /// where they are read. A sum, a product and a result have memory of their own.
  std::vector<NodeId> of(NodeId argument) {
    std::vector<NodeId> readers, open{argument};
    while (!open.empty()) {
      const NodeId id = open.back();
      open.pop_back();
      for (const NodeId user : users_[id.index]) {
        if (seen_by_[user.index] == argument) continue;
        seen_by_[user.index] = argument;
        readers.push_back(user);
        const Kind kind = op_def(graph_[user]).kind;
        const bool sums = kind == Kind::Reduce || kind == Kind::Contract || kind == Kind::Scatter || kind == Kind::Scan;
        if (!sums && !has_memory_[user.index]) open.push_back(user);
      }
    }
    std::ranges::sort(readers);
    return readers;
  }

 private:
  const Graph& graph_;
  std::vector<std::vector<NodeId>> users_;
  std::vector<bool> has_memory_;
  std::vector<NodeId> seen_by_;  // the argument whose readers a node was last found among
};

/// before[i]: nodes that must precede node i: its operands and, for a variable's new value, guards and old readers.
std::vector<std::vector<NodeId>> predecessors(const Graph& graph) {
  std::vector<std::vector<NodeId>> before(graph.size());
  for (uint32_t i = 0; i < graph.size(); ++i) before[i] = graph.nodes[i].inputs;
  Readers readers(graph);
  std::map<int32_t, NodeId> argument_of;
  for (const Argument& argument : graph.arguments) {
    if (argument.role == ArgRole::Variable) argument_of[argument.ref] = argument.node;
  }
  const std::vector<NodeId> guarding = guards_of(graph);
  for (const Output& result : graph.results) {
    if (result.role != ResultRole::Variable) continue;
    auto& list = before[result.node.index];
    // Old readers go first, so that the walk below, last in first out, reaches the operands before them.
    std::vector<NodeId> first = guarding;
    if (const auto argument = argument_of.find(result.ref); argument != argument_of.end()) {
      std::ranges::copy_if(readers.of(argument->second), std::back_inserter(first),
                           [&](NodeId user) { return user != result.node; });
    }
    list.insert(list.begin(), first.begin(), first.end());
  }
  return before;
}

}  // namespace

std::optional<NodeId> copied_by(const Graph& graph, const Output& result) {
  const Node& node = graph[result.node];
  if (result.role != ResultRole::Variable || node.op != OpKind::Stop) return std::nullopt;
  return node.inputs[0];
}

namespace {

/// The length of the longest chain of operands that ends in each node.
std::vector<uint32_t> depths(const Graph& graph) {
  std::vector<uint32_t> depth(graph.size(), 0);
  for (uint32_t i = 0; i < graph.size(); ++i) {
    for (const NodeId input : graph.nodes[i].inputs) depth[i] = std::max(depth[i], depth[input.index] + 1);
  }
  return depth;
}

/// Kahn's algorithm from the results backwards, last in first out, late nodes before all others. Fewer nodes than the
/// graph has: the rest are on cycles, or are needed by such.
std::vector<NodeId> reversed_order(const Graph& graph, const NodeSchedule& schedule) {
  const auto before = predecessors(graph);
  std::vector<uint32_t> waiting(graph.size(), 0);
  for (const auto& list : before) {
    for (const NodeId id : list) ++waiting[id.index];
  }
  std::vector<NodeId> ready, ready_late, reversed;
  for (uint32_t i = 0; i < graph.size(); ++i) {
    if (waiting[i] == 0) ready.push_back({i});
  }
  if (schedule.deepest_last) {
    const std::vector<uint32_t> depth = depths(graph);
    std::ranges::stable_sort(ready, {}, [&](NodeId id) { return depth[id.index]; });
  }
  while (!ready.empty() || !ready_late.empty()) {
    std::vector<NodeId>& next = ready_late.empty() ? ready : ready_late;
    const NodeId id = next.back();
    next.pop_back();
    reversed.push_back(id);
    for (const NodeId earlier : before[id.index]) {
      if (--waiting[earlier.index] == 0) (schedule.is_late(earlier) ? ready_late : ready).push_back(earlier);
    }
  }
  return reversed;
}

/// A new value that waits for another one that waits for it: p <- p - a (p - q) and q <- q + a (p - q), each of which
/// reads the other's old value. nullopt when there is none.
std::optional<size_t> variable_on_a_cycle(const Graph& graph) {
  std::vector<bool> ordered(graph.size(), false);
  for (const NodeId id : reversed_order(graph, {})) ordered[id.index] = true;
  for (size_t r = 0; r < graph.results.size(); ++r) {
    const Output& result = graph.results[r];
    if (result.role == ResultRole::Variable && !ordered[result.node.index] && !copied_by(graph, result)) return r;
  }
  return std::nullopt;
}

}  // namespace

/// Scalars that are made of scalars alone, such as a step's learning rate. New values of variables are not among them:
/// those wait for the loss; nor is what is late, and what reads it.
static std::vector<bool> scalars_of_scalars(const Graph& graph, const NodeSchedule& schedule) {
  std::vector<bool> found(graph.size(), false), is_new_value(graph.size(), false);
  for (const Output& result : graph.results) is_new_value[result.node.index] = result.role == ResultRole::Variable;
  for (uint32_t i = 0; i < graph.size(); ++i) {
    const Node& node = graph.nodes[i];
    found[i] = node.type.rank() == 0 && !is_new_value[i] && !schedule.is_late({i}) &&
               std::ranges::all_of(node.inputs, [&](NodeId input) { return found[input.index]; });
  }
  return found;
}

std::vector<NodeId> order_nodes(const Graph& graph, const NodeSchedule& schedule) {
  std::vector<NodeId> order = reversed_order(graph, schedule);
  SMELT_CHECK(order.size() == graph.size(), "{}: a variable is read after its new value", graph.name);
  std::ranges::reverse(order);
  // First what costs nothing to keep: an update that is waiting for its rate could not join the gradient's product.
  const std::vector<bool> first = scalars_of_scalars(graph, schedule);
  std::ranges::stable_partition(order, [&](NodeId id) { return bool{first[id.index]}; });
  return order;
}

bool can_be_ordered(const Graph& graph) { return reversed_order(graph, {}).size() == graph.size(); }

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

bool is_left_in_carry(const Graph& graph, NodeId id) {
  const Node& node = graph[id];
  if (node.op != OpKind::Part) return false;
  const Graph& body = *graph[node.inputs[0]].body;
  return body.results[static_cast<size_t>(node.attrs.integer("result"))].role == ResultRole::Carry;
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
        copy = copy || std::ranges::any_of(readers.of(argument->second), [&](NodeId user) {
                 return user != result.node && reaches(result.node, user);
               });
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
