#include "ir/rewrite.h"

#include "ir/support/check.h"

namespace smelt {

GraphRebuilder::GraphRebuilder(const Graph& from) : from_(from), builder_(to_), map_(from.size()) {
  to_.name = from.name;
  to_.symbols = from.symbols;
  to_.nodes.reserve(from.nodes.size());
}

NodeId GraphRebuilder::map(NodeId old) const {
  const NodeId now = map_[old.index];
  SMELT_CHECK(now.valid(), "%{} of `{}` was dropped but is read", old.index, from_.name);
  return now;
}

std::vector<NodeId> GraphRebuilder::map(std::span<const NodeId> old) const {
  std::vector<NodeId> now;
  for (const NodeId id : old) now.push_back(map(id));
  return now;
}

NodeId GraphRebuilder::copy(NodeId old) {
  Node node = from_[old];
  node.inputs = map(node.inputs);
  to_.nodes.push_back(std::move(node));
  replace(old, NodeId{to_.size() - 1});
  return map(old);
}

NodeId GraphRebuilder::expand(NodeId old) {
  const Node& node = from_[old];
  builder_.set_place(node);
  const NodeId expanded = op_def(node).expand(builder_, map(node.inputs), node.attrs);
  SMELT_CHECK(to_.type(expanded) == node.type, "`{}` of type `{}` expands to `{}`", op_def(node).name,
              to_string(node.type), to_string(to_.type(expanded)));
  replace(old, expanded);
  return expanded;
}

Graph GraphRebuilder::finish() {
  for (Argument argument : from_.arguments) {
    argument.node = map(argument.node);
    to_.arguments.push_back(std::move(argument));
  }
  for (Output output : from_.results) {
    output.node = map(output.node);
    to_.results.push_back(std::move(output));
  }
  return std::move(to_);
}

std::optional<double> splat_value(const Graph& graph, NodeId id) {
  const Node* node = &graph[id];
  while (op_def(*node).kind == Kind::Move && !reads_outside(graph, *node)) node = &graph[node->inputs[0]];
  if (node->op != OpKind::Constant) return std::nullopt;
  return node->attrs.number("value");
}

std::optional<double> Match::number(size_t i) const { return splat_value(graph(), in(i)); }

CutGraph cut_grad_operands(Graph graph) {
  std::vector<bool> is_operand(graph.size());
  const std::vector<bool> live = live_nodes(graph);
  for (uint32_t i = 0; i < graph.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (node.op != OpKind::Grad || !live[i]) continue;
    const NodeId x = node.inputs[1];
    is_operand[x.index] = graph[x].op != OpKind::Argument;
  }
  CutGraph cut{.num_arguments = graph.arguments.size(), .num_results = graph.results.size()};
  GraphRebuilder rebuilder(graph);
  std::vector<Argument> arguments;
  std::vector<Output> results;
  for (uint32_t i = 0; i < graph.size(); ++i) {
    if (!is_operand[i]) {
      rebuilder.copy({i});
      continue;
    }
    const Node& node = graph.nodes[i];
    for (const NodeId input : node.inputs) results.push_back({"", ResultRole::Value, -1, rebuilder.map(input)});
    const auto index = static_cast<int64_t>(cut.num_arguments + arguments.size());
    const NodeId stand_in = rebuilder.build().make(OpKind::Argument, {}, {{"index", index}, {"type", node.type}});
    arguments.push_back({"", ArgRole::Feed, -1, stand_in});
    rebuilder.replace({i}, stand_in);
    cut.values.push_back(node);
  }
  if (cut.values.empty()) {
    cut.graph = std::move(graph);
    return cut;
  }
  cut.graph = rebuilder.finish();
  cut.graph.arguments.insert(cut.graph.arguments.end(), arguments.begin(), arguments.end());
  cut.graph.results.insert(cut.graph.results.end(), results.begin(), results.end());
  return cut;
}

Graph put_back(CutGraph cut) {
  if (cut.values.empty()) return std::move(cut.graph);
  GraphRebuilder rebuilder(cut.graph);
  size_t next_result = cut.num_results, next_value = 0;
  for (uint32_t i = 0; i < cut.graph.size(); ++i) {
    const Node& node = cut.graph.nodes[i];
    const bool stand_in =
        node.op == OpKind::Argument && node.attrs.integer("index") >= static_cast<int64_t>(cut.num_arguments);
    if (!stand_in) {
      rebuilder.copy({i});
      continue;
    }
    const Node& value = cut.values[next_value++];
    std::vector<NodeId> inputs;
    for (size_t k = 0; k < value.inputs.size(); ++k)
      inputs.push_back(rebuilder.map(cut.graph.results[next_result++].node));
    rebuilder.build().set_place(value);
    rebuilder.replace({i}, rebuilder.build().make(value.op, std::move(inputs), value.attrs));
  }
  cut.graph.arguments.resize(cut.num_arguments);
  cut.graph.results.resize(cut.num_results);
  return rebuilder.finish();
}

namespace {

/// Applies the first rule that matches node `id` of the graph under construction.
NodeId apply_first(Builder& builder, NodeId id, std::span<const Rule> rules, RuleHits& hits) {
  const OpKind op = builder.graph()[id].op;
  std::optional<Match> match;
  for (const Rule& rule : rules) {
    if (rule.root != op) continue;
    if (!match) match.emplace(builder, id);
    const NodeId replacement = rule.apply(*match);
    if (!replacement.valid()) continue;
    SMELT_CHECK(builder.type(replacement) == match->type(), "rule `{}` turns `{}` into `{}`", rule.name,
                to_string(match->type()), to_string(builder.type(replacement)));
    ++hits[rule.name];
    return replacement;
  }
  return kNoMatch;
}

Graph rewrite_whole(Graph graph, std::span<const Rule> rules, RuleHits* hits) {
  constexpr int kMaxSteps = 64;  // a node or a graph that changes more often than that has rules that undo each other
  RuleHits counts;
  bool changed = true;
  for (int round = 0; changed; ++round) {
    SMELT_CHECK(round < kMaxSteps, "rewriting `{}` does not end", graph.name);
    changed = false;
    GraphRebuilder rebuilder(graph);
    // A node that a rule has just freed still matches it: only live ones count, or rounds would never end.
    const std::vector<bool> live = live_nodes(graph);
    for (uint32_t i = 0; i < graph.size(); ++i) {
      if (!live[i]) continue;
      rebuilder.build().set_place(graph.nodes[i]);
      NodeId now = rebuilder.copy({i});
      for (int step = 0; step < kMaxSteps; ++step) {
        const NodeId next = apply_first(rebuilder.build(), now, rules, counts);
        if (!next.valid()) break;
        now = next;
        changed = true;
      }
      rebuilder.replace({i}, now);
    }
    graph = rebuilder.finish();
  }
  if (hits != nullptr) {
    for (const auto& [name, count] : counts) (*hits)[name] += count;
  }
  return graph;
}

}  // namespace

Graph rewrite(Graph graph, std::span<const Rule> rules, RuleHits* hits) {
  return apart_from_grad_operands(std::move(graph),
                                  [&](Graph apart) { return rewrite_whole(std::move(apart), rules, hits); });
}

}  // namespace smelt
