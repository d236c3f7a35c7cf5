#include "compiler/graph/derive_steps.h"

#include <fmt/format.h>

#include <algorithm>
#include <expected>
#include <utility>

#include "compiler/graph/move_shifts.h"
#include "compiler/graph/needed_copies.h"
#include "compiler/graph/step_writer.h"
#include "ir/op.h"
#include "ir/rewrite.h"
#include "ir/scan.h"

namespace smelt {
namespace {

/// A refusal without a node is of the loop itself.
std::expected<StepBody, Refusal> step_as_it_is(const Graph& graph, const Node& scan) {
  const std::expected<SequenceLoop, NodeId> loop = find_sequence_loop(graph, scan);
  if (!loop && loop.error().valid()) return std::unexpected(mixed_positions(*scan.body, loop.error()));
  if (!loop)
    return std::unexpected(
        Refusal{{}, "no carry is a sequence that a step reads up to its position, and writes one position of"});
  const Demands demands = find_demands(*loop);
  if (demands.refusal) return std::unexpected(*demands.refusal);
  if (!demands.saves) return std::unexpected(Refusal{{}, "nothing in it is computed of a sequence"});
  return write_step(*loop, demands);
}

/// A loop and its step: `scan` is the loop of the graph, or that loop with reads moved towards its sequence.
struct Derived {
  Node scan;
  StepBody step;
};

std::expected<Derived, Refusal> step_of(const Graph& graph, const Node& scan) {
  std::expected<StepBody, Refusal> step = step_as_it_is(graph, scan);
  if (step) return Derived{scan, std::move(*step)};
  if (std::optional<Node> moved = move_shifts(graph, scan)) {
    if (std::expected<StepBody, Refusal> other = step_as_it_is(graph, *moved))
      return Derived{std::move(*moved), std::move(*other)};
  }
  return std::unexpected(std::move(step.error()));
}

Span library_of(const Node& node) { return node.call.empty() ? Span{} : node.span; }

/// The first that reads a carry: the model comes before the update of the loop.
const Node& reader_of(const Graph& body, NodeId carry) {
  const auto found = std::ranges::find_if(body.nodes, [&](const Node& node) {
    return std::ranges::find(node.inputs, carry) != node.inputs.end() && !node.place().empty();
  });
  return found == body.nodes.end() ? body[carry] : *found;
}

}  // namespace

Graph derive_steps(Graph graph) {
  GraphRebuilder rebuilder(graph);
  for (uint32_t i = 0; i < graph.size(); ++i) {
    const Node& node = graph.nodes[i];
    std::optional<Derived> derived;
    if (node.op == OpKind::Scan) {
      if (std::expected<Derived, Refusal> found = step_of(graph, node)) derived = std::move(*found);
    }
    if (!derived) {
      rebuilder.copy({i});
      continue;
    }
    std::vector<NodeId> operands = rebuilder.map(node.inputs);
    Builder& build = rebuilder.build();
    build.set_place(node);
    const Graph& body = *derived->scan.body;
    NeededCopies outside(body, build);  // what is the same in all steps, before the loop
    for (size_t k = 0; k < operands.size(); ++k) outside.set(body.arguments[k].node, operands[k]);
    for (const NewCarry& carry : derived->step.carries)
      operands.push_back(carry.start.valid() ? outside.of(carry.start) : build.constant(0, carry.type));
    build.set_place(node);
    rebuilder.replace({i}, make_scan(build, std::move(derived->step.body), std::move(operands), steps_of(node), false,
                                     false, until_of(node)));
  }
  return rebuilder.finish();
}

std::optional<NotByPosition> not_by_position(const Graph& graph) {
  for (const Node& node : graph.nodes) {
    if (node.body == nullptr) continue;
    if (std::optional<NotByPosition> inner = not_by_position(*node.body)) return inner;
    if (!is_by_position(node)) continue;
    const std::expected<Derived, Refusal> step = step_of(graph, node);
    if (step) continue;
    const Refusal& refusal = step.error();
    if (!refusal.node.valid()) return NotByPosition{node.place(), {}, refusal.why};
    const Node& culprit = (*node.body)[refusal.node];
    if (culprit.op == OpKind::Argument) {
      const Node& reader = reader_of(*node.body, refusal.node);
      return NotByPosition{reader.place(), library_of(reader), fmt::format("the sequence {}", refusal.why)};
    }
    return NotByPosition{culprit.place(), library_of(culprit),
                         fmt::format("`{}` {}", op_def(culprit).name, refusal.why)};
  }
  return std::nullopt;
}

}  // namespace smelt
