#include "compiler/graph/hoist_from_scans.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>

#include "compiler/graph/batch_node.h"
#include "compiler/graph/remove_dead_nodes.h"
#include "compiler/graph/trim_scans.h"
#include "ir/op.h"
#include "ir/rewrite.h"
#include "ir/scan.h"

namespace smelt {
namespace {

/// What is worth a kernel of its own: as one for all steps it is a longer one.
bool is_heavy(const Node& node) {
  const Kind kind = op_def(node).kind;
  return kind == Kind::Contract || kind == Kind::Reduce;
}

/// What a node of a body depends on.
struct Dependence {
  bool carry = false, slice = false;
};

std::vector<Dependence> dependences(const Graph& body) {
  std::vector<Dependence> result(body.size());
  for (const Argument& argument : body.arguments)
    result[argument.node.index] = {argument.role == ArgRole::Carry, argument.role == ArgRole::Slice};
  for (uint32_t i = 0; i < body.size(); ++i) {
    for (const NodeId input : body.nodes[i].inputs) {
      result[i].carry = result[i].carry || result[input.index].carry;
      result[i].slice = result[i].slice || result[input.index].slice;
    }
  }
  return result;
}

/// One scan on its way from `graph` to the graph that is being built.
class Hoisting {
 public:
  Hoisting(Builder& outer, const Node& scan, std::vector<NodeId> operands)
      : outer_(outer),
        scan_(scan),
        body_(remove_dead_nodes(*scan.body)),  // dead nodes are no users
        operands_(std::move(operands)),
        depends_(dependences(body_)),
        users_(users_of(body_)),
        outside_(body_.size()),
        num_results_(body_.results.size()) {
    for (size_t k = 0; k < body_.arguments.size(); ++k) outside_[body_.arguments[k].node.index] = operands_[k];
  }

  /// The parts of the new scan by result of the old one.
  std::vector<NodeId> run() {
    choose_before();
    if (!may_stop(scan_)) choose_after();  // how many steps there were is not known behind it
    make_new_scan();
    std::vector<NodeId> parts;
    for (size_t k = 0; k < num_results_; ++k) parts.push_back(part(k));
    return parts;
  }

 private:
  // before the loop

  bool is_batched(NodeId id) const { return depends_[id.index].slice; }
  std::vector<bool> batched(const Node& node) const {
    std::vector<bool> result;
    for (const NodeId input : node.inputs) result.push_back(is_batched(input));
    return result;
  }

  /// Whether a node can be computed before the loop, with all that it needs.
  bool can_hoist(NodeId id) {
    if (depends_[id.index].carry) return false;
    const auto known = can_hoist_.find(id);
    if (known != can_hoist_.end()) return known->second;
    const Node& node = body_[id];
    bool can = node.op == OpKind::Argument;
    if (!can) {
      can = is_batched(id) ? can_batch(node, batched(node)) : node.body == nullptr && node.op != OpKind::Part;
      for (const NodeId input : node.inputs) can = can && can_hoist(input);
    }
    return can_hoist_[id] = can;
  }

  void choose_before() {
    for (uint32_t i = 0; i < body_.size(); ++i) {
      if (is_heavy(body_.nodes[i]) && can_hoist({i})) hoist({i});
    }
  }

  /// The value of a node for all steps, or its one value, before the loop.
  NodeId hoist(NodeId id) {
    NodeId& known = outside_[id.index];
    if (known.valid()) return known;
    const Node& node = body_[id];
    std::vector<NodeId> inputs;
    for (const NodeId input : node.inputs) inputs.push_back(hoist(input));
    NodeId made;
    if (is_batched(id)) {
      made = batch_node(outer_, node, std::move(inputs), batched(node), steps_of(scan_));
    } else {
      outer_.set_place(node);
      made = outer_.copy(node, std::move(inputs));
    }
    return outside_[id.index] = made;
  }

  // after the loop

  bool is_result(NodeId id) const { return std::ranges::find(body_.results, id, &Output::node) != body_.results.end(); }
  bool only_user(NodeId id, NodeId user) const {
    return !is_result(id) && std::ranges::all_of(users_[id.index], [&](NodeId other) { return other == user; });
  }

  /// The products and sums whose sum `id` is, each read by nothing else; empty when it is something else.
  std::vector<NodeId> terms_of(NodeId id) const {
    const Node& node = body_[id];
    if (node.op == OpKind::ReduceSum || (node.op == OpKind::Contract && node.inputs.size() == 2)) return {id};
    if (node.op != OpKind::Add || !only_user(node.inputs[0], id) || !only_user(node.inputs[1], id)) return {};
    std::vector<NodeId> left = terms_of(node.inputs[0]);
    const std::vector<NodeId> right = terms_of(node.inputs[1]);
    if (left.empty() || right.empty()) return {};
    left.insert(left.end(), right.begin(), right.end());
    return left;
  }

  /// What each step adds to carry `ref`, when the step does nothing else with it.
  std::optional<NodeId> added_to(int32_t ref) const {
    const NodeId argument = body_.arguments[carry_argument(body_, ref)].node;
    const NodeId result = body_.results[carry_result(body_, ref)].node;
    const Node& node = body_[result];
    if (node.op != OpKind::Add || !is_float(node.type.dtype) || users_[result.index].size() > 0) return std::nullopt;
    if (std::ranges::count(body_.results, result, &Output::node) != 1 || !only_user(argument, result))
      return std::nullopt;
    if ((node.inputs[0] == argument) == (node.inputs[1] == argument)) return std::nullopt;
    return node.inputs[node.inputs[0] == argument ? 1 : 0];
  }

  void choose_after() {
    for (int32_t ref = 0; ref < num_carries(body_); ++ref) {
      const std::optional<NodeId> added = added_to(ref);
      if (!added || outside_[added->index].valid()) continue;
      const NodeId sum = body_.results[carry_result(body_, ref)].node;
      if (!only_user(*added, sum)) continue;
      const std::vector<NodeId> terms = terms_of(*added);
      for (const NodeId term : terms) need_stacked(term);
      if (!terms.empty()) sums_[carry_result(body_, ref)] = terms;
    }
    for (size_t k = 0; k < num_results_; ++k) {
      const NodeId node = body_.results[k].node;
      const bool is_product = body_.results[k].role == ResultRole::Stacked && body_[node].op == OpKind::Contract &&
                              body_[node].inputs.size() == 2 && users_[node.index].empty() &&
                              depends_[node.index].carry;
      if (!is_product || std::ranges::count(body_.results, node, &Output::node) != 1) continue;
      need_stacked(node);
      products_[k] = node;
    }
  }

  /// Operands that the steps compute are stacked; others are there before the loop.
  void need_stacked(NodeId node) {
    for (const NodeId input : body_[node].inputs) {
      if (can_hoist(input) || stacked_.contains(input)) continue;
      size_t k = 0;
      while (k < body_.results.size() &&
             (body_.results[k].role != ResultRole::Stacked || body_.results[k].node != input))
        ++k;
      stacked_[input] = k;
      if (k == body_.results.size()) body_.results.push_back({"stacked", ResultRole::Stacked, -1, input});
    }
  }

  /// An operand for all steps: with the steps in front, or as it is where every step has the same one.
  NodeId for_all_steps(NodeId id) {
    if (const auto found = stacked_.find(id); found != stacked_.end()) return make_part(outer_, made_, found->second);
    return hoist(id);
  }
  bool varies(NodeId id) const { return stacked_.contains(id) || depends_[id.index].slice; }

  NodeId repeated(NodeId x) {
    Shape shape = outer_.type(x).shape;
    std::vector<int64_t> axes;
    for (size_t axis = 0; axis < shape.size(); ++axis) axes.push_back(static_cast<int64_t>(axis) + 1);
    shape.insert(shape.begin(), steps_of(scan_));
    return outer_.broadcast(x, shape, std::move(axes));
  }

  NodeId part(size_t k) {
    if (const auto product = products_.find(k); product != products_.end()) {
      const Node& node = body_[product->second];
      std::vector<NodeId> operands;
      std::vector<bool> with_steps;
      for (const NodeId input : node.inputs) {
        operands.push_back(for_all_steps(input));
        with_steps.push_back(varies(input));
      }
      return batch_node(outer_, node, std::move(operands), with_steps, steps_of(scan_));
    }
    const auto terms = sums_.find(k);
    if (terms == sums_.end()) return make_part(outer_, made_, k);
    NodeId total = operands_[carry_argument(body_, body_.results[k].ref)];
    for (const NodeId term : terms->second) {
      std::vector<NodeId> operands;
      for (const NodeId input : body_[term].inputs)
        operands.push_back(varies(input) ? for_all_steps(input) : repeated(for_all_steps(input)));
      total = outer_.add(total, sum_over_steps(outer_, body_[term], operands));
    }
    return total;
  }

  // the loop that is left

  /// Hoisted values that the rest reads are arguments of the new body.
  void make_new_scan() {
    Graph rest;
    rest.name = body_.name;
    rest.symbols = body_.symbols;
    Builder build(rest);
    std::vector<NodeId> map(body_.size()), inputs;
    for (const Argument& argument : body_.arguments) {
      map[argument.node.index] = build.argument(argument, body_.type(argument.node));
      inputs.push_back(outside_[argument.node.index]);
    }
    for (uint32_t i = 0; i < body_.size(); ++i) {
      if (!outside_[i].valid() || map[i].valid()) continue;
      const ArgRole role = is_batched({i}) ? ArgRole::Slice : ArgRole::Whole;
      map[i] = build.argument({fmt::format("before_{}", i), role, -1, {}}, body_.nodes[i].type);
      inputs.push_back(outside_[i]);
    }
    for (uint32_t i = 0; i < body_.size(); ++i) {
      if (map[i].valid()) continue;
      std::vector<NodeId> operands;
      for (const NodeId input : body_.nodes[i].inputs) operands.push_back(map[input.index]);
      map[i] = build.copy(body_.nodes[i], std::move(operands));
    }
    for (Output output : body_.results) {
      output.node = map[output.node.index];
      rest.results.push_back(std::move(output));
    }
    outer_.set_place(scan_);
    made_ = make_scan(outer_, std::move(rest), std::move(inputs), steps_of(scan_), is_reversed(scan_), false,
                      until_of(scan_));
  }

  Builder& outer_;
  const Node scan_;
  Graph body_;
  std::vector<NodeId> operands_;
  std::vector<Dependence> depends_;
  std::vector<std::vector<NodeId>> users_;
  std::vector<NodeId> outside_;  // by node of the body: its value before the loop
  size_t num_results_;           // of the old scan
  std::map<NodeId, bool> can_hoist_;
  std::map<NodeId, size_t> stacked_;            // operands of what comes after: the result that has them
  std::map<size_t, std::vector<NodeId>> sums_;  // carries that are only added to: what is added
  std::map<size_t, NodeId> products_;           // stacked products
  NodeId made_;
};

/// The loops of a graph, as far as hoisting changes them: nodes, operands and results of each body.
std::vector<std::array<size_t, 3>> loops_of(const Graph& graph) {
  std::vector<std::array<size_t, 3>> loops;
  for (const Node& node : graph.nodes) {
    if (node.op == OpKind::Scan) loops.push_back({node.body->size(), node.inputs.size(), node.body->results.size()});
  }
  return loops;
}

Graph hoist_once(const Graph& graph) {
  GraphRebuilder rebuilder(graph);
  std::map<NodeId, std::vector<NodeId>> parts;
  for (uint32_t i = 0; i < graph.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (node.op == OpKind::Scan) {
      parts[{i}] = Hoisting(rebuilder.build(), node, rebuilder.map(node.inputs)).run();
      rebuilder.replace({i}, {0});  // read by its parts alone
    } else if (node.op == OpKind::Part) {
      rebuilder.replace({i}, parts.at(node.inputs[0])[static_cast<size_t>(node.attrs.integer("result"))]);
    } else {
      rebuilder.copy({i});
    }
  }
  return trim_scans(rebuilder.finish());
}

}  // namespace

Graph hoist_from_scans(Graph graph) {
  // What leaves a loop may have held back something else.
  constexpr int kMostRounds = 8;
  for (int round = 0; round < kMostRounds; ++round) {
    const std::vector<std::array<size_t, 3>> before = loops_of(graph);
    if (before.empty()) return graph;
    graph = hoist_once(graph);
    if (loops_of(graph) == before) break;
  }
  return graph;
}

}  // namespace smelt
