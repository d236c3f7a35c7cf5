#include "compiler/graph/step_functions.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "compiler/graph/declare_states.h"
#include "compiler/graph/needed_copies.h"
#include "compiler/graph/sequence_loop.h"
#include "compiler/graph/step_demands.h"
#include "compiler/graph/step_writer.h"
#include "ir/op.h"
#include "ir/scan.h"

namespace smelt {
namespace {

/// Whether a value is the sequence itself, or a part of it.
bool is_of_sequence(const SequenceLoop& loop, NodeId id) {
  while (op_def((*loop.body)[id]).kind == Kind::Move) id = (*loop.body)[id].inputs[0];
  return loop.sequence_of(id) != nullptr;
}

/// Both functions as one graph, before it is known which of them computes what.
class WholeFunction {
 public:
  struct State {
    NodeId argument, start, next;
  };

  /// `num_old`: results that the body had before those that are read.
  WholeFunction(const Graph& graph, const Node& scan, const SequenceLoop& loop, size_t num_old, int32_t first_ref)
      : scan_(scan), loop_(loop), num_old_(num_old), first_ref_(first_ref), build_(all_), outside_(graph, build_) {
    all_.name = graph.name;
    all_.symbols = graph.symbols;
    for (const Argument& argument : graph.arguments)
      outside_.set(argument.node, build_.argument(argument, graph.type(argument.node)));
  }

  /// Error: why there is none.
  std::expected<void, std::string> write(const StepBody& step) {
    const Graph& old = *scan_.body;
    const NodeId position = add_state("position", {DType::I32, {}});
    states_[0].start = build_.constant(1, {DType::I32, {}});
    states_[0].next = build_.add(position, build_.like(position, 1));
    now_ = build_.sub(position, build_.like(position, 1));
    NeededCopies starts(old, build_), body(step.body, build_);
    for (size_t k = 0; k < old.arguments.size(); ++k) starts.set(old.arguments[k].node, outside_.of(scan_.inputs[k]));
    if (auto bound = bind_arguments(step, body); !bound) return bound;
    for (size_t j = 0; j < step.carries.size(); ++j) {
      const NewCarry& carry = step.carries[j];
      const NodeId argument = add_state("kept", carry.type);
      states_.back().start = carry.start.valid() ? starts.of(carry.start) : build_.constant(0, carry.type);
      body.set(step.body.arguments[old.arguments.size() + j].node, argument);
    }
    for (size_t j = 0; j < step.carries.size(); ++j)
      states_[states_.size() - step.carries.size() + j].next = body.of(step.body.results[old.results.size() + j].node);
    for (size_t r = num_old_; r < old.results.size(); ++r) reads_.push_back(body.of(step.body.results[r].node));
    return {};
  }

  const Graph& graph() const { return all_; }
  const std::vector<NodeId>& reads() const { return reads_; }
  const std::vector<State>& states() const { return states_; }
  const std::vector<StepState>& types() const { return types_; }
  NodeId fed() const { return fed_; }

  /// A value of the whole that `reset` computes for `step`.
  int32_t add_stored(NodeId id) {
    types_.push_back({"same", all_.type(id)});
    return first_ref_ + static_cast<int32_t>(types_.size()) - 1;
  }

 private:
  NodeId add_state(const std::string& name, const TensorType& type) {
    const auto ref = first_ref_ + static_cast<int32_t>(types_.size());
    types_.push_back({name, type});
    states_.push_back({build_.argument({name, ArgRole::Variable, ref, {}}, type), {}, {}});
    return states_.back().argument;
  }

  std::expected<void, std::string> bind_arguments(const StepBody& step, NeededCopies& body) {
    const Graph& old = *scan_.body;
    const std::vector<bool> needed = needed_of(step.body);
    for (size_t k = 0; k < old.arguments.size(); ++k) {
      const Argument& argument = old.arguments[k];
      const NodeId inner = step.body.arguments[k].node;
      if (const Sequence* sequence = loop_.sequence_of(argument.node); sequence != nullptr) {
        body.set(inner, fed_sequence(argument, *sequence));
      } else if (argument.role == ArgRole::Carry) {
        if (needed[inner.index])
          return std::unexpected(fmt::format("its step reads `{}`, which it carries", argument.name));
      } else if (argument.role == ArgRole::Whole) {
        body.set(inner, outside_.of(scan_.inputs[k]));
      } else if (argument.node == loop_.step) {
        body.set(inner, now_);
      } else if (needed[inner.index]) {
        body.set(inner, build_.make(OpKind::Gather, {outside_.of(scan_.inputs[k]), now_}));
      }
    }
    return {};
  }

  /// By node of the step's body: what the reads and the new carries are computed from.
  std::vector<bool> needed_of(const Graph& step) const {
    std::vector<bool> needed(step.size());
    for (size_t r = num_old_; r < step.results.size(); ++r) needed[step.results[r].node.index] = true;
    for (uint32_t i = step.size(); i-- > 0;) {
      if (!needed[i]) continue;
      for (const NodeId input : step.nodes[i].inputs) needed[input.index] = true;
    }
    return needed;
  }

  /// The sequence with what the host gives at its position.
  NodeId fed_sequence(const Argument& argument, const Sequence& sequence) {
    const TensorType type = loop_.body->type(argument.node);
    const NodeId old = add_state(argument.name, type);
    TensorType one = type;
    one.shape.erase(one.shape.begin() + sequence.axis);
    fed_ = build_.argument({argument.name, ArgRole::Feed, -1, {}}, one);
    std::vector<int64_t> others;
    for (int64_t axis = 0; axis < static_cast<int64_t>(type.rank()); ++axis)
      if (axis != sequence.axis) others.push_back(axis);
    const Shape length{type.shape[static_cast<size_t>(sequence.axis)]};
    const NodeId place = build_.add(now_, build_.like(now_, static_cast<double>(sequence.lead - 1)));
    const NodeId here =
        build_.make(OpKind::Eq, {build_.index({DType::I32, length}, 0), build_.broadcast(place, length, {})});
    const NodeId next = build_.select(build_.broadcast(here, type.shape, {sequence.axis}),
                                      build_.broadcast(fed_, type.shape, std::move(others)), old);
    states_.back().start = build_.constant(0, type);
    states_.back().next = next;
    return next;
  }

  const Node& scan_;
  const SequenceLoop& loop_;
  size_t num_old_;
  int32_t first_ref_;
  Graph all_;
  Builder build_;
  NeededCopies outside_;
  NodeId now_, fed_;
  std::vector<State> states_;
  std::vector<StepState> types_;
  std::vector<NodeId> reads_;
};

/// Of a whole function: what differs from position to position.
std::vector<bool> find_varying(const WholeFunction& whole) {
  const Graph& all = whole.graph();
  std::vector<bool> varying(all.size());
  for (const auto& state : whole.states()) varying[state.argument.index] = true;
  varying[whole.fed().index] = true;
  for (uint32_t i = 0; i < all.size(); ++i)
    for (const NodeId input : all.nodes[i].inputs) varying[i] = varying[i] || varying[input.index];
  return varying;
}

/// What `reset` leaves to `step`: values that are the same at all positions and that a step reads, but for parameters,
/// numbers, and movements of them.
std::map<uint32_t, int32_t> find_stored(WholeFunction& whole) {
  const Graph& all = whole.graph();
  const std::vector<bool> varying = find_varying(whole);
  std::vector<bool> needed(all.size());
  for (const NodeId read : whole.reads()) needed[read.index] = true;
  for (const auto& state : whole.states()) needed[state.next.index] = true;
  std::map<uint32_t, int32_t> stored;
  for (uint32_t i = all.size(); i-- > 0;) {
    if (!needed[i]) continue;
    const Node& node = all.nodes[i];
    const Kind kind = op_def(node).kind;
    const bool is_variable = node.op == OpKind::Argument &&
                             all.arguments[static_cast<size_t>(node.attrs.integer("index"))].role == ArgRole::Variable;
    const bool cheap =
        is_variable || kind == Kind::Constant || kind == Kind::Index || kind == Kind::Extent || kind == Kind::Move;
    if (!varying[i] && !cheap) {
      stored[i] = whole.add_stored({i});
      continue;
    }
    for (const NodeId input : node.inputs) needed[input.index] = true;
  }
  return stored;
}

/// The part of a graph that `results` need, where the values in `stored` are variables.
Graph part_of(const Graph& all, std::string name, std::vector<Output> results,
              const std::map<uint32_t, int32_t>& stored) {
  std::vector<bool> needed(all.size());
  for (const Output& result : results) needed[result.node.index] = true;
  for (uint32_t i = all.size(); i-- > 0;) {
    if (!needed[i] || stored.contains(i)) continue;
    for (const NodeId input : all.nodes[i].inputs) needed[input.index] = true;
  }
  Graph part;
  part.name = std::move(name);
  part.symbols = all.symbols;
  Builder build(part);
  std::vector<NodeId> copies(all.size());
  for (uint32_t i = 0; i < all.size(); ++i) {
    if (!needed[i]) continue;
    const Node& node = all.nodes[i];
    if (const auto variable = stored.find(i); variable != stored.end()) {
      copies[i] = build.argument({"same", ArgRole::Variable, variable->second, {}}, node.type);
    } else if (node.op == OpKind::Argument) {
      copies[i] = build.argument(all.arguments[static_cast<size_t>(node.attrs.integer("index"))], node.type);
    } else {
      std::vector<NodeId> inputs;
      for (const NodeId input : node.inputs) inputs.push_back(copies[input.index]);
      copies[i] = build.copy(node, std::move(inputs));
    }
  }
  for (Output& result : results) result.node = copies[result.node.index];
  part.results = std::move(results);
  return part;
}

/// Labels that are fed have to be rows of the tables that are read by them.
LabelLimit limit_of(const Graph& step, const std::string& name, const Graph& of) {
  std::vector<bool> labels(step.size());
  int64_t below = 0;
  for (const Argument& argument : step.arguments) labels[argument.node.index] = argument.name == name;
  for (uint32_t i = 0; i < step.size(); ++i) {
    const Node& node = step.nodes[i];
    const Kind kind = op_def(node).kind;
    if (kind == Kind::Gather && labels[node.inputs[1].index]) {
      const Extent& rows = step.type(node.inputs[0]).shape[row_axis(node)];
      if (rows.is_static()) below = below == 0 ? rows.bound : std::min(below, rows.bound);
    }
    if (kind == Kind::Move || kind == Kind::Gather) labels[i] = labels[node.inputs[0].index];
    if (node.op == OpKind::Select) labels[i] = labels[node.inputs[1].index];
  }
  for (const Output& result : of.results)
    if (result.labels.below > 0 && result.labels.symbol < 0 && (below == 0 || result.labels.below == below))
      return result.labels;
  return {below, -1, name};
}

/// The body, which also gives what it reads at the position of its step.
std::shared_ptr<const Graph> with_reads(const SequenceLoop& loop) {
  Graph body = *loop.body;
  for (uint32_t i = 0; i < body.size(); ++i) {
    if (!loop.is_read[i] || is_of_sequence(loop, body.nodes[i].inputs[0])) continue;
    body.results.push_back({"scores", ResultRole::Stacked, -1, {i}});
  }
  return std::make_shared<const Graph>(std::move(body));
}

std::vector<Output> results_of_step(const WholeFunction& whole, int32_t first_ref) {
  std::vector<Output> results;
  const std::vector<NodeId>& reads = whole.reads();
  for (size_t k = 0; k < reads.size(); ++k)
    results.push_back({k == 0 ? "scores" : fmt::format("scores{}", k + 1), ResultRole::Value, -1, reads[k]});
  for (size_t k = 0; k < whole.states().size(); ++k)
    results.push_back(
        {whole.types()[k].name, ResultRole::Variable, first_ref + static_cast<int32_t>(k), whole.states()[k].next});
  return results;
}

std::vector<Output> results_of_reset(const WholeFunction& whole, const std::map<uint32_t, int32_t>& stored,
                                     int32_t first_ref) {
  std::vector<Output> results;
  for (size_t k = 0; k < whole.states().size(); ++k)
    results.push_back(
        {whole.types()[k].name, ResultRole::Variable, first_ref + static_cast<int32_t>(k), whole.states()[k].start});
  for (const auto& [node, ref] : stored) results.push_back({"same", ResultRole::Variable, ref, {node}});
  return results;
}

}  // namespace

std::expected<StepFunctions, std::string> step_functions(const Graph& graph, NodeId loop_id, int32_t first_ref) {
  Node scan = graph[loop_id];
  std::expected<SequenceLoop, NodeId> loop = find_sequence_loop(graph, scan);
  if (!loop) return std::unexpected("no carry of its loop is a sequence");
  if (loop->parents.valid()) return std::unexpected("its loop puts rows in another order");
  if (loop->sequences.size() != 1) return std::unexpected("its loop writes several sequences");
  if (loop->sequences[0].lead > 1)
    return std::unexpected(fmt::format("a step of its loop writes {} positions ahead", loop->sequences[0].lead));
  const size_t num_old = scan.body->results.size();
  scan.body = with_reads(*loop);
  if (scan.body->results.size() == num_old)
    return std::unexpected("its loop reads nothing at the position of its step");
  loop = find_sequence_loop(graph, scan);
  const Demands demands = find_demands(*loop);
  if (demands.refusal) return std::unexpected(demands.refusal->why);
  const std::expected<StepBody, Refusal> body = write_step(*loop, demands);
  if (!body) return std::unexpected(body.error().why);
  WholeFunction whole(graph, scan, *loop, num_old, first_ref);
  if (auto written = whole.write(*body); !written) return std::unexpected(written.error());
  const std::map<uint32_t, int32_t> stored = find_stored(whole);
  StepFunctions functions{.reset = {},
                          .step = {},
                          .states = whole.types(),
                          .position = 0,
                          .num_positions = steps_of(scan).bound,
                          .lead = loop->sequences[0].lead};
  functions.step = part_of(whole.graph(), graph.name + "_step", results_of_step(whole, first_ref), stored);
  functions.reset = part_of(whole.graph(), graph.name + "_reset", results_of_reset(whole, stored, first_ref), {});
  declare_states(functions.reset);
  for (Argument& argument : functions.step.arguments)
    if (argument.role == ArgRole::Feed && !is_float(functions.step.type(argument.node).dtype))
      argument.limit = limit_of(functions.step, argument.name, graph);
  return functions;
}

}  // namespace smelt
