#include "compiler/graph/trim_scans.h"

#include <algorithm>
#include <map>

#include "compiler/graph/remove_dead_nodes.h"
#include "ir/rewrite.h"
#include "ir/scan.h"

namespace smelt {
namespace {

/// The nodes of `body` that the results in `kept` need.
std::vector<bool> needed_nodes(const Graph& body, const std::vector<bool>& kept) {
  std::vector<bool> needed(body.size());
  for (size_t k = 0; k < kept.size(); ++k) {
    if (kept[k]) needed[body.results[k].node.index] = true;
  }
  for (uint32_t i = body.size(); i-- > 0;) {
    if (!needed[i]) continue;
    for (const NodeId input : body.nodes[i].inputs) needed[input.index] = true;
  }
  return needed;
}

/// Which results stay: those that are read, and the carries that they need.
std::vector<bool> kept_results(const Graph& body, std::vector<bool> kept) {
  for (bool changed = true; changed;) {
    changed = false;
    const std::vector<bool> needed = needed_nodes(body, kept);
    for (const Argument& argument : body.arguments) {
      if (argument.role != ArgRole::Carry || !needed[argument.node.index]) continue;
      const size_t result = carry_result(body, argument.ref);
      changed = changed || !kept[result];
      kept[result] = true;
    }
  }
  return kept;
}

/// A scan of which some results are left, and where they are.
struct Trimmed {
  Graph body;
  std::vector<size_t> operands;        // that stay
  std::map<int64_t, int64_t> results;  // old number, new number
  int32_t until = -1;
};

Trimmed trimmed(const Graph& body, std::vector<bool> read, int32_t until) {
  if (until >= 0) read[carry_result(body, until)] = true;
  std::vector<bool> kept = kept_results(body, std::move(read));
  std::vector<bool> needed = needed_nodes(body, kept);
  if (std::ranges::none_of(body.arguments,
                           [&](const Argument& argument) { return bool{needed[argument.node.index]}; })) {
    // A scan has an operand, also where no step looks at one.
    const Argument& first = body.arguments.front();
    if (first.role == ArgRole::Carry) kept[carry_result(body, first.ref)] = true;
    kept = kept_results(body, std::move(kept));
    needed = needed_nodes(body, kept);
    needed[first.node.index] = true;
  }
  Trimmed result{.body = body, .operands = {}, .results = {}, .until = -1};
  std::map<int32_t, int32_t> carries;
  std::vector<NodeId> map(body.size());
  Graph& now = result.body;
  now.nodes.clear();
  now.arguments.clear();
  now.results.clear();
  Builder builder(now);
  for (size_t k = 0; k < body.arguments.size(); ++k) {
    Argument argument = body.arguments[k];
    const bool carried = argument.role == ArgRole::Carry;
    if (carried ? !kept[carry_result(body, argument.ref)] : !needed[argument.node.index]) continue;
    if (carried) argument.ref = carries.emplace(argument.ref, static_cast<int32_t>(carries.size())).first->second;
    map[body.arguments[k].node.index] = builder.argument(argument, body.type(argument.node));
    result.operands.push_back(k);
  }
  for (auto i = static_cast<uint32_t>(body.arguments.size()); i < body.size(); ++i) {
    if (!needed[i]) continue;
    std::vector<NodeId> inputs;
    for (const NodeId input : body.nodes[i].inputs) inputs.push_back(map[input.index]);
    map[i] = builder.copy(body.nodes[i], std::move(inputs));
  }
  for (size_t k = 0; k < kept.size(); ++k) {
    if (!kept[k]) continue;
    Output output = body.results[k];
    output.node = map[output.node.index];
    if (output.role == ResultRole::Carry) output.ref = carries.at(output.ref);
    result.results[static_cast<int64_t>(k)] = static_cast<int64_t>(now.results.size());
    now.results.push_back(std::move(output));
  }
  if (until >= 0) result.until = carries.at(until);
  return result;
}

Graph trim_once(Graph graph) {
  std::map<NodeId, std::vector<bool>> read;  // by scan, by result
  for (const Node& node : graph.nodes) {
    if (node.op != OpKind::Part) continue;
    std::vector<bool>& results = read[node.inputs[0]];
    results.resize(graph[node.inputs[0]].body->results.size());
    results[static_cast<size_t>(node.attrs.integer("result"))] = true;
  }
  std::map<NodeId, std::map<int64_t, int64_t>> numbers;
  GraphRebuilder rebuilder(graph);
  for (uint32_t i = 0; i < graph.size(); ++i) {
    const Node& node = graph.nodes[i];
    rebuilder.build().set_place(node);
    if (node.op == OpKind::Scan) {
      Trimmed part = trimmed(*node.body, read.at({i}), until_of(node));
      part.body = trim_scans(std::move(part.body));  // what the loop no longer hands on its own loops need not compute
      std::vector<NodeId> inputs;
      for (const size_t k : part.operands) inputs.push_back(rebuilder.map(node.inputs[k]));
      numbers[{i}] = std::move(part.results);
      rebuilder.replace({i}, make_scan(rebuilder.build(), std::move(part.body), std::move(inputs), steps_of(node),
                                       is_reversed(node), is_by_position(node), part.until));
    } else if (node.op == OpKind::Part) {
      const int64_t k = numbers.at(node.inputs[0]).at(node.attrs.integer("result"));
      rebuilder.replace({i}, make_part(rebuilder.build(), rebuilder.map(node.inputs[0]), static_cast<size_t>(k)));
    } else {
      rebuilder.copy({i});
    }
  }
  return remove_dead_nodes(rebuilder.finish());
}

/// Of all loops, those inside of others among them.
size_t num_arguments_and_results(const Graph& graph) {
  size_t count = 0;
  for (const Node& node : graph.nodes) {
    if (node.body == nullptr) continue;
    count += node.body->arguments.size() + node.body->results.size() + num_arguments_and_results(*node.body);
  }
  return count;
}

}  // namespace

Graph trim_scans(Graph graph) {
  // An operand that one loop no longer reads may be all that was read of another one.
  for (size_t left = 0; (left = num_arguments_and_results(graph)) > 0;) {
    graph = trim_once(remove_dead_nodes(std::move(graph)));
    if (num_arguments_and_results(graph) == left) break;
  }
  return graph;
}

}  // namespace smelt
