#include "compiler/graph/expand_composites.h"

#include <algorithm>

#include "ir/rewrite.h"

namespace smelt {
namespace {

bool is_open(const Node& node) { return op_def(node).kind == Kind::Composite || node.op == OpKind::Stop; }

Graph expand_once(const Graph& graph) {
  GraphRebuilder rebuilder(graph);
  for (uint32_t i = 0; i < graph.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (node.op == OpKind::Stop) {
      rebuilder.replace({i}, rebuilder.map(node.inputs[0]));
    } else if (op_def(node).kind == Kind::Composite) {
      rebuilder.expand({i});
    } else {
      rebuilder.copy({i});
    }
  }
  return rebuilder.finish();
}

}  // namespace

Graph expand_composites(Graph graph) {
  // An expansion may contain composites and `stop` itself.
  while (std::ranges::any_of(graph.nodes, is_open)) graph = expand_once(graph);
  return graph;
}

}  // namespace smelt
