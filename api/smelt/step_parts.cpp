#include "api/smelt/step_parts.h"

#include <algorithm>
#include <set>
#include <tuple>

namespace smelt {
namespace {

using Place = std::tuple<uint32_t, uint32_t, uint32_t>;
Place place_of(const Node& node) { return {node.span.file, node.span.begin, node.span.end}; }

std::vector<bool> needed_by(const Graph& graph, const std::vector<NodeId>& roots) {
  std::vector<bool> needed(graph.size());
  for (const NodeId root : roots) needed[root.index] = true;
  for (uint32_t i = graph.size(); i-- > 0;) {
    if (!needed[i]) continue;
    for (const NodeId input : graph.nodes[i].inputs) needed[input.index] = true;
  }
  return needed;
}

std::vector<NodeId> results_of(const Graph& graph, const auto& wanted) {
  std::vector<NodeId> nodes;
  for (const Output& result : graph.results) {
    if (wanted(result)) nodes.push_back(result.node);
  }
  return nodes;
}

bool is_loss(const Output& result) { return result.role == ResultRole::Loss; }

/// Where the text has what only the updates need. Gradients take the places of what they differentiate, and a gradient
/// inside the loss is forward.
std::set<Place> update_places(const Graph& written) {
  const std::vector<bool> forward = needed_by(written, results_of(written, is_loss));
  std::set<Place> places;
  for (uint32_t i = 0; i < written.size(); ++i) {
    const Node& node = written.nodes[i];
    if (!forward[i] && node.op != OpKind::Grad) places.insert(place_of(node));
  }
  return places;
}

}  // namespace

std::vector<StepPart> find_step_parts(const Graph& written, const Graph& optimized, const std::vector<bool>& is_state) {
  std::vector<StepPart> parts(optimized.size(), StepPart::Forward);
  if (results_of(optimized, is_loss).empty()) return parts;
  const auto makes_state = [&](const Output& result) {
    return result.role == ResultRole::Variable && is_state[static_cast<size_t>(result.ref)];
  };
  const std::vector<bool> forward = needed_by(optimized, results_of(optimized, is_loss));
  const std::vector<bool> state = needed_by(optimized, results_of(optimized, makes_state));
  const std::set<Place> updates = update_places(written);
  for (uint32_t i = 0; i < optimized.size(); ++i) {
    if (forward[i]) continue;
    parts[i] = state[i]                                         ? StepPart::State
               : updates.contains(place_of(optimized.nodes[i])) ? StepPart::Update
                                                                : StepPart::Backward;
  }
  return parts;
}

}  // namespace smelt
