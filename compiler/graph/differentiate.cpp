#include "compiler/graph/differentiate.h"

#include <algorithm>

#include "ir/ops/vjp_rules.h"
#include "ir/rewrite.h"
#include "ir/support/fault.h"

namespace smelt {
namespace {

/// depends[i]: node i is one of `sources`, or a float computed from one without `stop` in between.
std::vector<bool> depends_on(const Graph& graph, const std::vector<NodeId>& sources, NodeId last) {
  std::vector<bool> depends(last.index + 1);
  for (const NodeId source : sources) {
    if (source.index <= last.index) depends[source.index] = true;
  }
  for (uint32_t i = 0; i <= last.index; ++i) {
    const Node& node = graph.nodes[i];
    if (depends[i] || node.op == OpKind::Stop || !is_float(node.type.dtype)) continue;
    depends[i] = std::ranges::any_of(node.inputs, [&](NodeId input) { return depends[input.index]; });
  }
  return depends;
}

/// The gradients of y with respect to each of xs, appended to the builder's graph.
std::vector<NodeId> reverse_sweep(Builder& builder, NodeId y, const std::vector<NodeId>& xs) {
  const std::vector<bool> depends = depends_on(builder.graph(), xs, y);
  std::vector<NodeId> cotangents(y.index + 1);
  builder.set_span(builder.graph()[y].span);
  cotangents[y.index] = builder.like(y, 1);
  for (uint32_t i = y.index + 1; i-- > 0;) {
    if (!cotangents[i].valid() || !depends[i]) continue;
    const std::vector<NodeId> inputs = builder.graph().nodes[i].inputs;
    std::vector<bool> needed;
    for (const NodeId input : inputs) needed.push_back(depends[input.index]);
    if (std::ranges::find(needed, true) == needed.end()) continue;

    builder.set_span(builder.graph().nodes[i].span);
    Vjp vjp(builder, {i}, cotangents[i], needed);
    op_def(vjp.node()).vjp(vjp);
    for (size_t k = 0; k < inputs.size(); ++k) {
      const NodeId ct = vjp.cotangents()[k];
      if (!needed[k] || !ct.valid()) continue;
      NodeId& total = cotangents[inputs[k].index];
      total = total.valid() && SMELT_FAULT(24, true, false) ? add_cotangents(builder, total, ct) : ct;
    }
  }
  std::vector<NodeId> gradients;
  for (const NodeId x : xs) {
    const bool reached = x.index <= y.index && cotangents[x.index].valid();
    gradients.push_back(reached ? cotangents[x.index] : builder.like(x, 0));
  }
  return gradients;
}

/// The nodes that some `grad` differentiates through.
std::vector<bool> nodes_under_grad(const Graph& graph) {
  std::vector<bool> under(graph.size());
  for (uint32_t i = graph.size(); i-- > 0;) {
    const Node& node = graph.nodes[i];
    if (node.op == OpKind::Grad) under[node.inputs[0].index] = true;
    if (!under[i]) continue;
    for (const NodeId input : node.inputs) under[input.index] = true;
  }
  return under;
}

/// Expands the marked composites once; an expansion may hold others.
Graph expand_under_grad(Graph graph) {
  for (;;) {
    const std::vector<bool> under = nodes_under_grad(graph);
    bool changed = false;
    GraphRebuilder rebuilder(graph);
    for (uint32_t i = 0; i < graph.size(); ++i) {
      if (under[i] && op_def(graph.nodes[i]).kind == Kind::Composite) {
        rebuilder.expand({i});
        changed = true;
      } else {
        rebuilder.copy({i});
      }
    }
    graph = rebuilder.finish();
    if (!changed) return graph;
  }
}

/// The `grad` nodes of `y` whose x exists before node `at`; others get a sweep of their own later.
std::vector<NodeId> gradients_of(const Graph& graph, NodeId y, uint32_t at) {
  std::vector<NodeId> grads;
  for (uint32_t i = at; i < graph.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (node.op == OpKind::Grad && SMELT_FAULT(25, node.inputs[0] == y, true) && node.inputs[1].index < at) grads.push_back({i});
  }
  return grads;
}

}  // namespace

Graph differentiate(Graph graph) {
  const bool has_grad = std::ranges::any_of(graph.nodes, [](const Node& n) { return n.op == OpKind::Grad; });
  if (!has_grad) return graph;
  graph = expand_under_grad(std::move(graph));

  // In topological order an inner `grad` comes before the outer one that reads it.
  std::vector<bool> done(graph.size());
  GraphRebuilder rebuilder(graph);
  for (uint32_t i = 0; i < graph.size(); ++i) {
    if (done[i]) continue;
    if (graph.nodes[i].op != OpKind::Grad) {
      rebuilder.copy({i});
      continue;
    }
    const NodeId y = graph.nodes[i].inputs[0];
    const std::vector<NodeId> grads = gradients_of(graph, y, i);
    std::vector<NodeId> xs;
    for (const NodeId grad : grads) xs.push_back(rebuilder.map(graph[grad].inputs[1]));
    const std::vector<NodeId> gradients = reverse_sweep(rebuilder.build(), rebuilder.map(y), xs);
    for (size_t k = 0; k < grads.size(); ++k) {
      rebuilder.replace(grads[k], gradients[k]);
      done[grads[k].index] = true;
    }
  }
  return rebuilder.finish();
}

}  // namespace smelt
