#include "compiler/graph/remove_dead_nodes.h"

#include "ir/rewrite.h"

namespace smelt {

Graph remove_dead_nodes(Graph graph) {
  std::vector<bool> live(graph.size());
  for (const Argument& argument : graph.arguments) live[argument.node.index] = true;
  for (const Output& output : graph.results) live[output.node.index] = true;
  for (uint32_t i = graph.size(); i-- > 0;) {
    if (!live[i]) continue;
    for (const NodeId input : graph.nodes[i].inputs) live[input.index] = true;
  }
  GraphRebuilder rebuilder(graph);
  for (uint32_t i = 0; i < graph.size(); ++i) {
    if (live[i]) rebuilder.copy({i});
  }
  return rebuilder.finish();
}

}  // namespace smelt
