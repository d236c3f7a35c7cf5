#include "compiler/graph/differentiate.h"

#include <algorithm>

#include "compiler/graph/merge_equal_nodes.h"
#include "compiler/graph/remove_dead_nodes.h"
#include "compiler/graph/reverse_sweep.h"
#include "compiler/graph/run_all_steps.h"
#include "compiler/graph/simplify.h"
#include "ir/rewrite.h"
#include "ir/scan.h"

namespace smelt {
namespace {

bool is_derivative(const Node& node) { return node.op == OpKind::Grad || node.op == OpKind::Jvp; }

bool has(const Graph& graph, bool (*predicate)(const Node&)) { return std::ranges::any_of(graph.nodes, predicate); }

std::vector<NodeId> gradients(Builder& builder, NodeId y, const std::vector<NodeId>& xs) {
  builder.set_place(builder.graph()[y]);
  const NodeId one = builder.like(y, 1);
  return reverse_sweep(builder, y, {{y, one}}, xs);
}

/// The reverse sweep is linear in the cotangent u it starts from, g(u) = J'u, and the derivative of <g(u), v> is Jv:
/// the sweep of a sweep. What it reads of the first sweep is nothing, so that is dead afterwards.
NodeId directional(Builder& builder, NodeId y, NodeId x, NodeId v) {
  builder.set_place(builder.graph()[y]);
  const auto id = static_cast<int64_t>(builder.graph().size());
  const TensorType type = builder.type(y);
  const NodeId u = builder.make(OpKind::Cotangent, {}, {{"id", -id}, {"type", type}});
  const NodeId g = reverse_sweep(builder, y, {{y, u}}, {x})[0];
  return reverse_sweep(builder, g, {{g, v}}, {u})[0];
}

/// The nodes that some derivative looks through.
std::vector<bool> nodes_under_derivatives(const Graph& graph) {
  std::vector<bool> under(graph.size());
  for (uint32_t i = graph.size(); i-- > 0;) {
    const Node& node = graph.nodes[i];
    if (is_derivative(node)) under[node.inputs[0].index] = true;
    if (!under[i]) continue;
    for (const NodeId input : node.inputs) under[input.index] = true;
  }
  return under;
}

/// Expands the composites that derivatives look through; an expansion may hold others.
Graph expand_under_derivatives(Graph graph) {
  for (;;) {
    const std::vector<bool> under = nodes_under_derivatives(graph);
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

/// ready[i]: node i is a derivative of something that holds none.
std::vector<bool> innermost(const Graph& graph) {
  std::vector<bool> holds(graph.size()), ready(graph.size());
  for (uint32_t i = 0; i < graph.size(); ++i) {
    const Node& node = graph.nodes[i];
    holds[i] =
        is_derivative(node) || std::ranges::any_of(node.inputs, [&](NodeId input) { return holds[input.index]; });
    ready[i] = is_derivative(node) && !holds[node.inputs[0].index];
  }
  return ready;
}

/// The ready `grad` nodes of `y` whose x exists before node `at`; others get a sweep of their own later.
std::vector<NodeId> gradients_of(const Graph& graph, NodeId y, uint32_t at) {
  std::vector<NodeId> grads;
  for (uint32_t i = at; i < graph.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (node.op == OpKind::Grad && node.inputs[0] == y && node.inputs[1].index < at) grads.push_back({i});
  }
  return grads;
}

Graph differentiate_innermost(const Graph& graph) {
  const std::vector<bool> ready = innermost(graph);
  std::vector<bool> done(graph.size());
  GraphRebuilder rebuilder(graph);
  for (uint32_t i = 0; i < graph.size(); ++i) {
    if (done[i]) continue;
    const Node& node = graph.nodes[i];
    if (!ready[i]) {
      rebuilder.copy({i});
      continue;
    }
    if (node.op == OpKind::Jvp) {
      const std::vector<NodeId> inputs = rebuilder.map(node.inputs);
      rebuilder.replace({i}, directional(rebuilder.build(), inputs[0], inputs[1], inputs[2]));
      continue;
    }
    const std::vector<NodeId> grads = gradients_of(graph, node.inputs[0], i);
    std::vector<NodeId> xs;
    for (const NodeId grad : grads) xs.push_back(rebuilder.map(graph[grad].inputs[1]));
    const std::vector<NodeId> found = gradients(rebuilder.build(), rebuilder.map(node.inputs[0]), xs);
    for (size_t k = 0; k < grads.size(); ++k) {
      rebuilder.replace(grads[k], found[k]);
      done[grads[k].index] = true;
    }
  }
  return rebuilder.finish();
}

/// What only steered the differentiation becomes what it stands for.
Graph strip_meta(const Graph& graph) {
  GraphRebuilder rebuilder(graph);
  for (uint32_t i = 0; i < graph.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (node.op == OpKind::Variable || node.op == OpKind::Adjoint) {
      rebuilder.replace({i}, rebuilder.map(node.inputs[0]));
    } else if (node.op == OpKind::Cotangent) {
      rebuilder.replace({i}, rebuilder.build().constant(0, node.type));
    } else {
      rebuilder.copy({i});
    }
  }
  return rebuilder.finish();
}

bool is_meta(const Node& node) { return op_def(node).kind == Kind::Meta; }

bool has_meta(const Graph& graph) {
  return std::ranges::any_of(graph.nodes,
                             [](const Node& node) { return is_meta(node) || (node.body && has_meta(*node.body)); });
}

/// The steps of a loop: what steers a derivative in it is needed until those around the loop are taken.
bool is_body(const Graph& graph) {
  return std::ranges::any_of(graph.results, [](const Output& result) {
    return result.role == ResultRole::Carry || result.role == ResultRole::Stacked;
  });
}

}  // namespace

Graph isolate_variables(Graph graph) {
  std::vector<bool> wanted(graph.size());
  for (const Node& node : graph.nodes) {
    if (is_derivative(node)) wanted[node.inputs[1].index] = true;
  }
  GraphRebuilder rebuilder(graph);
  for (uint32_t i = 0; i < graph.size(); ++i) {
    const NodeId copied = rebuilder.copy({i});
    const OpKind op = graph.nodes[i].op;
    if (!wanted[i] || op == OpKind::Variable || op == OpKind::Argument) continue;
    rebuilder.build().set_place(graph.nodes[i]);
    rebuilder.replace({i}, rebuilder.build().make(OpKind::Variable, {copied}));
  }
  return rebuilder.finish();
}

Graph differentiate(Graph graph) {
  if (!has_meta(graph)) return graph;
  // A sweep backwards begins where the loop ended, which a fixed number of steps knows.
  graph = isolate_variables(save_carries(run_all_steps(std::move(graph))));
  while (has(graph, is_derivative)) {
    graph = differentiate_innermost(expand_under_derivatives(std::move(graph)));
    if (has(graph, is_derivative)) graph = remove_dead_nodes(merge_equal_nodes(simplify(std::move(graph))));
  }
  return is_body(graph) ? graph : strip_meta(change_bodies(std::move(graph), strip_meta));
}

}  // namespace smelt
