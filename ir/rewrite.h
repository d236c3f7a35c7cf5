// Two tools that passes share: GraphRebuilder copies a graph while nodes change, and `rewrite` applies local
// rules until none matches.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "ir/builder.h"
#include "ir/graph.h"
#include "ir/op.h"

namespace smelt {

/// Copies a graph node by node. For each old node, in order, the pass calls `copy` or `replace`; nodes it
/// skips may not be read later. `finish` maps arguments and results.
class GraphRebuilder {
 public:
  explicit GraphRebuilder(const Graph& from);
  GraphRebuilder(const GraphRebuilder&) = delete;
  GraphRebuilder& operator=(const GraphRebuilder&) = delete;

  Builder& build() { return builder_; }
  const Graph& to() const { return to_; }

  NodeId copy(NodeId old);  // appends the node with mapped inputs
  void replace(NodeId old, NodeId now) { map_[old.index] = now; }
  NodeId map(NodeId old) const;
  std::vector<NodeId> map(std::span<const NodeId> old) const;
  /// Replaces a composite by its expansion.
  NodeId expand(NodeId old);

  Graph finish();

 private:
  const Graph& from_;
  Graph to_;
  Builder builder_;
  std::vector<NodeId> map_;
};

/// What a rule sees: one node and its operands. New nodes get the node's span.
class Match {
 public:
  Match(Builder& builder, NodeId id) : builder_(builder), id_(id), node_(builder.graph()[id]) {}

  Builder& build() { return builder_; }
  const Graph& graph() const { return builder_.graph(); }
  NodeId id() const { return id_; }
  const Node& node() const { return node_; }
  const Attributes& attrs() const { return node_.attrs; }
  const TensorType& type() const { return node_.type; }

  NodeId in(size_t i) const { return node_.inputs[i]; }
  const Node& operand(size_t i) const { return graph()[in(i)]; }
  bool is(size_t i, OpKind op) const { return operand(i).op == op; }
  /// Input k of operand i.
  NodeId in(size_t i, size_t k) const { return operand(i).inputs[k]; }
  /// The number that operand i has everywhere: a constant, or a movement of one that adds no zeros.
  std::optional<double> number(size_t i) const;
  bool is_number(size_t i, double value) const { return number(i) == value; }

 private:
  Builder& builder_;
  NodeId id_;
  Node node_;  // a copy: adding nodes moves the graph's
};

inline constexpr NodeId kNoMatch{};

/// A local rewrite: `apply` returns a node of equal type and meaning, or kNoMatch. Its `doc` is the rewrite
/// as text, `neg(neg(x)) -> x`, with the reason for a guard.
struct Rule {
  std::string_view name;
  std::string_view doc;
  OpKind root;
  NodeId (*apply)(Match&);
};

/// How often each rule fired, by name.
using RuleHits = std::map<std::string_view, int64_t>;

/// Runs `pass` on a graph in which each value that a `grad` differentiates with respect to is cut out, and puts it back
/// as it was. Such a value is a variable of the derivative: looking through it (neg(neg(x)) -> x) would lose the
/// gradient, and making it one with an equal value (x * 1 -> x) would add the gradients of both.
template <typename Pass>
Graph apart_from_grad_operands(Graph graph, const Pass& pass);

/// Applies rules in the order of the nodes, then again, until a round changes nothing. Drops dead nodes.
Graph rewrite(Graph graph, std::span<const Rule> rules, RuleHits* hits = nullptr);

/// The number that `id` has everywhere, see Match::number.
std::optional<double> splat_value(const Graph& graph, NodeId id);

/// A graph without the values that were cut out: its last arguments stand for them, its last results are what they
/// were computed from.
struct CutGraph {
  Graph graph;
  std::vector<Node> values;
  size_t num_arguments = 0, num_results = 0;  // of the whole graph
};
/// Empty `values`: nothing to cut, `graph` is the whole.
CutGraph cut_grad_operands(Graph graph);
Graph put_back(CutGraph cut);

template <typename Pass>
Graph apart_from_grad_operands(Graph graph, const Pass& pass) {
  CutGraph cut = cut_grad_operands(std::move(graph));
  cut.graph = pass(std::move(cut.graph));
  return put_back(std::move(cut));
}

}  // namespace smelt
