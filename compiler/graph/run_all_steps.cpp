#include "compiler/graph/run_all_steps.h"

#include <memory>
#include <utility>

#include "ir/builder.h"
#include "ir/scan.h"

namespace smelt {
namespace {

/// A step that leaves its carries as it finds them once carry `until` is not 0.
Graph with_choice(Graph body, int32_t until) {
  Builder build(body);
  const NodeId over = body.arguments[carry_argument(body, until)].node;
  const NodeId zero = build.like(over, 0);
  const NodeId is_over = build.make(OpKind::Ne, {over, zero});
  for (size_t k = 0; k < body.results.size(); ++k) {
    const NodeId before = body.arguments[carry_argument(body, body.results[k].ref)].node;
    const Shape shape = body.type(before).shape;
    const NodeId here = shape.empty() ? is_over : build.broadcast(is_over, shape, {});
    body.results[k].node = build.select(here, before, body.results[k].node);
  }
  return body;
}

}  // namespace

Graph run_all_steps(Graph graph) {
  for (Node& node : graph.nodes) {
    if (node.body == nullptr) continue;
    Graph body = run_all_steps(*node.body);
    if (may_stop(node)) body = with_choice(std::move(body), until_of(node));
    node.attrs.set("until", int64_t{-1});
    node.body = std::make_shared<const Graph>(std::move(body));
  }
  return graph;
}

}  // namespace smelt
