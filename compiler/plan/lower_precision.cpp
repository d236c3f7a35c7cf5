#include "compiler/plan/lower_precision.h"

#include <map>
#include <set>
#include <utility>
#include <vector>

#include "compiler/plan/plan_kernels.h"
#include "ir/half_bits.h"
#include "ir/op.h"
#include "ir/rewrite.h"
#include "ir/scan.h"

namespace smelt {
namespace {

class Chooser {
 public:
  explicit Chooser(const Graph& graph)
      : graph_(graph), plan_(make_plan(graph)), users_(users_of(graph)), keeps_(graph.size(), false) {
    for (const Output& result : graph.results) {
      keeps_[result.node.index] = true;
      if (result.role == ResultRole::Variable) keep_update(result.node);
    }
    for (const Node& node : graph.nodes) {
      if (op_def(node).kind == Kind::Gather) keep_table(node.inputs[0]);
    }
  }

  /// Whether `id` lies in memory between kernels and may be rounded there.
  bool narrows(NodeId id) const {
    const Node& node = graph_[id];
    if (node.type.dtype != DType::F32 || keeps_[id.index] || !plan_.stored[id.index]) return false;
    if (is_read_by_loop(id)) return false;  // its steps find f32 there
    if (plan_.why_stored[id.index] != StoreReason::ProductOperand) {
      // One number for a row, or for whatever a broadcast repeats it over, is few bytes and says much.
      if (node.type.rank() < 2 || plan_.why_stored[id.index] == StoreReason::Repeated) return false;
      // The literature leaves such results in f32. As an operand of a product they are activations like others.
      if (op_def(node).traits.stays_f32) return false;
    }
    switch (op_def(node).kind) {
      case Kind::Elementwise:
      case Kind::Move:
      case Kind::Gather:
      case Kind::Random: return true;
      case Kind::Contract: return leaves_kernel(id);
      case Kind::Reduce:
      case Kind::Scatter:
      case Kind::Argument:
      case Kind::Constant:
      case Kind::Index:
      case Kind::Extent:
      case Kind::Scan:
      case Kind::Part:
      case Kind::Composite:
      case Kind::Meta: break;
    }
    return false;
  }

 private:
  bool is_read_by_loop(NodeId id) const {
    return std::ranges::any_of(users_[id.index], [&](NodeId user) { return op_def(graph_[user]).kind == Kind::Scan; });
  }

  /// The update of a parameter is computed by element from its gradient, the sum that begins it.
  void keep_update(NodeId id) {
    keeps_[id.index] = true;
    const Kind kind = op_def(graph_[id]).kind;
    if (kind != Kind::Elementwise && kind != Kind::Move) return;
    for (const NodeId input : graph_[id].inputs) {
      if (!keeps_[input.index]) keep_update(input);
    }
  }

  void keep_table(NodeId id) {
    keeps_[id.index] = true;
    if (graph_[id].op == OpKind::Reshape) keep_table(graph_[id].inputs[0]);
  }

  /// A finished sum of products goes to memory when a kernel other than its own reads it.
  bool leaves_kernel(NodeId id) const {
    std::vector<NodeId> waiting = users_[id.index];
    while (!waiting.empty()) {
      const NodeId reader = waiting.back();
      waiting.pop_back();
      if (!plan_.stored[reader.index]) {
        waiting.insert(waiting.end(), users_[reader.index].begin(), users_[reader.index].end());
      } else if (plan_.kernel_of[reader.index] != plan_.kernel_of[id.index]) {
        return true;
      }
    }
    return false;
  }

  const Graph& graph_;
  const FusionPlan plan_;
  const std::vector<std::vector<NodeId>> users_;
  std::vector<bool> keeps_;
};

bool is_rounded(const Graph& graph, NodeId id, DType precision) {
  return graph[id].op == OpKind::Cast && graph.type(graph[id].inputs[0]).dtype == precision;
}

/// Rounds operands of products that `wanted` names, for products alone: others read what there was.
template <typename Wanted>
Graph round_operands(Graph graph, DType precision, const Wanted& wanted) {
  GraphRebuilder rebuilder(graph);
  std::map<NodeId, NodeId> rounded;
  const auto round = [&](NodeId operand) {
    const NodeId old = rebuilder.map(operand);
    if (const auto known = rounded.find(old); known != rounded.end()) return known->second;
    Builder& b = rebuilder.build();
    b.set_place(graph[operand]);
    return rounded[old] = b.cast(b.cast(old, precision), DType::F32);
  };
  for (uint32_t i = 0; i < graph.size(); ++i) {
    const Node& node = graph.nodes[i];
    std::vector<NodeId> inputs = rebuilder.map(node.inputs);
    bool changed = false;
    for (size_t k = 0; op_def(node).kind == Kind::Contract && k < inputs.size(); ++k) {
      const NodeId operand = node.inputs[k];
      if (graph.type(operand).dtype != DType::F32 || is_rounded(graph, operand, precision) || !wanted(node, k))
        continue;
      inputs[k] = round(node.inputs[k]);
      changed = true;
    }
    if (changed)
      rebuilder.replace({i}, rebuilder.build().copy(node, std::move(inputs)));
    else
      rebuilder.copy({i});
  }
  return rebuilder.finish();
}

/// What `id` is a movement of.
NodeId source_of(const Graph& graph, NodeId id) {
  while (op_def(graph[id]).kind == Kind::Move && graph[id].inputs.size() == 1) id = graph[id].inputs[0];
  return id;
}

/// Arguments that are the same in all steps of a loop: those of a body, or of a function that is a step.
std::set<NodeId> weights_of(const Graph& step) {
  std::set<int32_t> written;
  for (const Output& result : step.results)
    if (result.role == ResultRole::Variable) written.insert(result.ref);
  std::set<NodeId> weights;
  for (const Argument& argument : step.arguments) {
    const bool stays = argument.role == ArgRole::Variable && !written.contains(argument.ref);
    if (stays || argument.role == ArgRole::Whole) weights.insert(argument.node);
  }
  return weights;
}

/// What the products of a step by weights read.
Graph round_step(Graph step, DType precision) {
  const std::set<NodeId> weights = weights_of(step);
  const auto is_weight = [&](NodeId id) { return weights.contains(source_of(step, id)); };
  return round_operands(step, precision, [&](const Node& product, size_t k) {
    return product.inputs.size() == 2 && is_weight(product.inputs[1 - k]) && !is_weight(product.inputs[k]);
  });
}

Graph round_kernels(const Graph& graph, DType precision) {
  const Chooser chooser(graph);
  GraphRebuilder rebuilder(graph);
  for (uint32_t i = 0; i < graph.size(); ++i) {
    const NodeId copied = rebuilder.copy({i});
    if (!chooser.narrows({i})) continue;
    Builder& b = rebuilder.build();
    b.set_place(graph.nodes[i]);
    rebuilder.replace({i}, b.cast(b.cast(copied, precision), DType::F32));
  }
  return rebuilder.finish();
}

/// What products read of what loops gave, or take: that lies in memory as f32.
Graph round_around_loops(Graph graph, DType precision) {
  const std::vector<std::vector<NodeId>> users = users_of(graph);
  const auto is_of_loop = [&](NodeId id) {
    const auto is_loop = [&](NodeId user) { return graph[user].op == OpKind::Scan; };
    if (op_def(graph[id]).kind == Kind::Argument) return false;
    return graph[id].op == OpKind::Part || std::ranges::any_of(users[id.index], is_loop);
  };
  return round_operands(graph, precision, [&](const Node& product, size_t k) {
    return product.inputs.size() == 2 && is_of_loop(source_of(graph, product.inputs[k]));
  });
}

}  // namespace

Graph lower_precision(Graph graph, DType precision, Rounds rounds) {
  if (!is_half(precision) || rounds == Rounds::Nothing) return graph;
  graph = change_bodies(std::move(graph), [&](Graph body) { return round_step(std::move(body), precision); });
  if (rounds == Rounds::Products) return round_step(std::move(graph), precision);
  return round_around_loops(round_kernels(graph, precision), precision);
}

}  // namespace smelt
