#include "compiler/plan/old_value_readers.h"

#include <algorithm>
#include <optional>

#include "compiler/plan/order_nodes.h"
#include "ir/op.h"

namespace smelt {

std::vector<NodeId> guards_of(const Graph& graph) {
  std::vector<NodeId> nodes;
  for (const Output& result : graph.results) {
    if (guards(result)) nodes.push_back(result.node);
  }
  return nodes;
}

Readers::Readers(const Graph& graph)
    : graph_(graph), users_(users_of(graph)), has_memory_(graph.size(), false), seen_by_(graph.size()) {
  for (const Output& result : graph.results) {
    has_memory_[result.node.index] = true;
    if (const std::optional<NodeId> copied = copied_by(graph, result)) has_memory_[copied->index] = true;
  }
}

std::vector<NodeId> Readers::of(NodeId argument) {
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

}  // namespace smelt
