#include "compiler/graph/derive_steps.h"

#include <expected>
#include <utility>

#include "compiler/graph/step_writer.h"
#include "ir/rewrite.h"
#include "ir/scan.h"

namespace smelt {
namespace {

/// A node of the body that is the same in all steps, before the loop.
class OutsideCopies {
 public:
  OutsideCopies(const Node& scan, std::vector<NodeId> operands, Builder& outer) : body_(*scan.body), outer_(outer) {
    copies_.resize(body_.size());
    for (size_t k = 0; k < operands.size(); ++k) copies_[body_.arguments[k].node.index] = operands[k];
  }

  NodeId of(NodeId wanted) {
    std::vector<bool> needed(body_.size());
    needed[wanted.index] = true;
    for (uint32_t i = wanted.index + 1; i-- > 0;) {
      if (!needed[i] || copies_[i].valid()) continue;
      for (const NodeId input : body_.nodes[i].inputs) needed[input.index] = true;
    }
    for (uint32_t i = 0; i <= wanted.index; ++i) {
      if (!needed[i] || copies_[i].valid()) continue;
      std::vector<NodeId> inputs;
      for (const NodeId input : body_.nodes[i].inputs) inputs.push_back(copies_[input.index]);
      copies_[i] = outer_.copy(body_.nodes[i], std::move(inputs));
    }
    return copies_[wanted.index];
  }

 private:
  const Graph& body_;
  Builder& outer_;
  std::vector<NodeId> copies_;
};

/// Nullopt: nothing in it is computed for a whole sequence.
std::optional<std::expected<StepBody, Refusal>> step_of(const Graph& graph, const Node& scan) {
  const std::optional<SequenceLoop> loop = find_sequence_loop(graph, scan);
  if (!loop) return std::nullopt;
  const Demands demands = find_demands(*loop);
  if (demands.refusal) return std::unexpected(*demands.refusal);
  if (!demands.saves) return std::nullopt;
  return write_step(*loop, demands);
}

}  // namespace

Graph derive_steps(Graph graph) {
  GraphRebuilder rebuilder(graph);
  for (uint32_t i = 0; i < graph.size(); ++i) {
    const Node& node = graph.nodes[i];
    std::optional<std::expected<StepBody, Refusal>> step;
    if (node.op == OpKind::Scan) step = step_of(graph, node);
    if (!step || !*step) {
      rebuilder.copy({i});
      continue;
    }
    std::vector<NodeId> operands = rebuilder.map(node.inputs);
    Builder& build = rebuilder.build();
    build.set_place(node);
    OutsideCopies outside(node, operands, build);
    for (const NewCarry& carry : (*step)->carries)
      operands.push_back(carry.start.valid() ? outside.of(carry.start) : build.constant(0, carry.type));
    build.set_place(node);
    rebuilder.replace({i}, make_scan(build, std::move((*step)->body), std::move(operands), steps_of(node), false));
  }
  return rebuilder.finish();
}

std::optional<Refusal> refusal_of(const Graph& graph, const Node& scan) {
  if (scan.op != OpKind::Scan) return std::nullopt;
  const std::optional<std::expected<StepBody, Refusal>> step = step_of(graph, scan);
  return step && !*step ? std::optional(step->error()) : std::nullopt;
}

}  // namespace smelt
