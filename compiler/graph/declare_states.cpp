#include "compiler/graph/declare_states.h"

#include <algorithm>

#include "ir/builder.h"

namespace smelt {

void declare_states(Graph& graph) {
  Builder build(graph);
  for (const Output& result : graph.results) {
    const bool is_there = std::ranges::any_of(graph.arguments, [&](const Argument& argument) {
      return argument.role == ArgRole::Variable && argument.ref == result.ref;
    });
    if (result.role == ResultRole::Variable && !is_there)
      build.argument({result.name, ArgRole::Variable, result.ref, {}}, graph.type(result.node));
  }
}

}  // namespace smelt
