#include "compiler/plan/order_nodes.h"

#include <algorithm>
#include <map>
#include <optional>
#include <ranges>

#include "compiler/plan/old_value_readers.h"
#include "ir/op.h"
#include "ir/support/check.h"

namespace smelt {

std::vector<std::vector<NodeId>> predecessors(const Graph& graph) {
  std::vector<std::vector<NodeId>> before(graph.size());
  for (uint32_t i = 0; i < graph.size(); ++i)
    before[i].assign(graph.nodes[i].inputs.begin(), graph.nodes[i].inputs.end());
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

}  // namespace

std::optional<size_t> variable_on_a_cycle(const Graph& graph) {
  std::vector<bool> ordered(graph.size(), false);
  for (const NodeId id : reversed_order(graph, {})) ordered[id.index] = true;
  for (size_t r = 0; r < graph.results.size(); ++r) {
    const Output& result = graph.results[r];
    if (result.role == ResultRole::Variable && !ordered[result.node.index] && !copied_by(graph, result)) return r;
  }
  return std::nullopt;
}

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

std::vector<NodeId> order_of(const Graph& graph, const NodeSchedule& schedule) {
  std::vector<NodeId> order = reversed_order(graph, schedule);
  SMELT_CHECK(order.size() == graph.size(), "{}: a variable is read after its new value", graph.name);
  std::ranges::reverse(order);
  // First what costs nothing to keep: an update that is waiting for its rate could not join the gradient's product.
  const std::vector<bool> first = scalars_of_scalars(graph, schedule);
  std::ranges::stable_partition(order, [&](NodeId id) { return bool{first[id.index]}; });
  return order;
}

FusionPlan order_nodes(const Graph& graph, const NodeSchedule& schedule, FusionPlan plan) {
  plan.order = order_of(graph, schedule);
  return plan;
}

bool can_be_ordered(const Graph& graph) { return reversed_order(graph, {}).size() == graph.size(); }

bool is_left_in_carry(const Graph& graph, NodeId id) {
  const Node& node = graph[id];
  if (node.op != OpKind::Part) return false;
  const Graph& body = *graph[node.inputs[0]].body;
  return body.results[static_cast<size_t>(node.attrs.integer("result"))].role == ResultRole::Carry;
}

}  // namespace smelt
