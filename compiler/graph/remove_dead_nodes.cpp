#include "compiler/graph/remove_dead_nodes.h"

#include "ir/rewrite.h"

namespace smelt {

Graph remove_dead_nodes(Graph graph) {
  const std::vector<bool> live = live_nodes(graph);
  GraphRebuilder rebuilder(graph);
  for (uint32_t i = 0; i < graph.size(); ++i) {
    if (live[i]) rebuilder.copy({i});
  }
  return rebuilder.finish();
}

}  // namespace smelt
