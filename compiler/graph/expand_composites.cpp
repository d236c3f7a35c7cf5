#include "compiler/graph/expand_composites.h"

#include <algorithm>

#include "ir/rewrite.h"

namespace smelt {
namespace {

enum class Stops : uint8_t { Stay, Go };

bool is_composite(const Node& node) { return op_def(node).kind == Kind::Composite; }
bool is_open(const Node& node) { return is_composite(node) || node.op == OpKind::Stop; }

Graph expand_once(const Graph& graph, Stops stops) {
  GraphRebuilder rebuilder(graph);
  for (uint32_t i = 0; i < graph.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (node.op == OpKind::Stop && stops == Stops::Go) {
      rebuilder.replace({i}, rebuilder.map(node.inputs[0]));
    } else if (is_composite(node)) {
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
  while (std::ranges::any_of(graph.nodes, is_open)) graph = expand_once(graph, Stops::Go);
  return graph;
}

Graph expand_for_sweep(Graph graph) {
  while (std::ranges::any_of(graph.nodes, is_composite)) graph = expand_once(graph, Stops::Stay);
  return graph;
}

}  // namespace smelt
