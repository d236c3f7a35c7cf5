#include "compiler/graph/stage_loops.h"

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "compiler/graph/declare_states.h"
#include "compiler/graph/sequence_loop.h"
#include "ir/builder.h"
#include "ir/half_bits.h"
#include "ir/op.h"
#include "ir/scan.h"

namespace smelt {
namespace {

using Made = std::optional<std::vector<MadeElement>>;

/// Whether the turns of a loop are pieces of their own: it computes products, or loops that do.
bool is_cut(const Node& node) {
  if (node.op != OpKind::Scan || is_reversed(node) || !steps_of(node).is_static()) return false;
  return std::ranges::any_of(node.body->nodes,
                             [](const Node& inner) { return op_def(inner).kind == Kind::Contract || is_cut(inner); });
}

/// What every piece can have for itself: feeds, parameters, and what is made of nothing.
bool is_everywhere(const Node& node) {
  const Kind kind = op_def(node).kind;
  return kind == Kind::Argument || kind == Kind::Constant || kind == Kind::Index || kind == Kind::Extent;
}

int64_t elements_of(const TensorType& type) { return num_elements(type.shape).value_or(0); }

/// One graph, and by way of its loops those of their turns.
class GraphStager {
 public:
  GraphStager(StagedFunction& out, int32_t first_ref, const Graph& graph)
      : out_(out), first_ref_(first_ref), graph_(graph), segment_(graph.size()) {}

  std::vector<StagedItem> run() {
    find_segments();
    for (Loop& loop : loops_) make_turn(loop);
    // From the last one to the first, because each may ask those before it for values.
    std::vector<Graph> pieces(loops_.size() + 1);
    for (size_t k = pieces.size(); k-- > 0;) pieces[k] = piece_of(k);
    std::vector<StagedItem> stages;
    for (size_t k = 0; k < pieces.size(); ++k) {
      stages.push_back({static_cast<int32_t>(out_.pieces.size()), -1});
      out_.pieces.push_back(std::move(pieces[k]));
      ++length_;
      if (k == loops_.size()) break;
      stages.push_back({-1, loops_[k].index});
      loops_[k].begin = length_;
      length_ += steps_of(graph_[loops_[k].scan]).bound * loops_[k].inner->length_;
    }
    return stages;
  }

  /// By element of a value; nullopt: it is more than a movement of what loops write.
  Made made_of(NodeId id) const {
    const Node& node = graph_[id];
    if (const Loop* loop = loop_of(node)) return made_by(*loop, static_cast<size_t>(node.attrs.integer("result")));
    if (node.op == OpKind::Stop) return made_of(node.inputs[0]);
    if (node.op == OpKind::Constant && node.attrs.number("value") == 0)
      return std::vector<MadeElement>(static_cast<size_t>(elements_of(node.type)));
    if (node.op == OpKind::Add) return sum_of(made_of(node.inputs[0]), made_of(node.inputs[1]));
    if (op_def(node).kind == Kind::Move) return moved(node, made_of(node.inputs[0]));
    return std::nullopt;
  }

  int64_t length() const { return length_; }

 private:
  struct Loop {
    NodeId scan;
    int32_t index = -1;  // among all loops
    int64_t begin = 0;   // pieces that ran before its first turn
    int32_t counter = -1;
    std::vector<int32_t> operands, results;  // variables
    std::unique_ptr<Graph> turn;
    std::vector<NodeId> elements;  // nodes of `turn`: what it gives, by result of the body
    std::unique_ptr<GraphStager> inner;
  };

  /// The nodes between two loops are a segment: after how many loops a node is computed.
  void find_segments() {
    for (uint32_t i = 0; i < graph_.size(); ++i) {
      const Node& node = graph_.nodes[i];
      for (const NodeId input : node.inputs) segment_[i] = std::max(segment_[i], segment_[input.index]);
      if (!is_cut(node)) continue;
      loops_.push_back({});
      loops_.back().scan = {i};
      segment_[i] = loops_.size();
    }
  }

  const Loop* loop_of(const Node& part) const {
    if (part.op != OpKind::Part) return nullptr;
    const auto at = std::ranges::find(loops_, part.inputs[0], &Loop::scan);
    return at == loops_.end() ? nullptr : &*at;
  }

  int32_t add_state(const TensorType& type) {
    out_.states.push_back(type);
    return first_ref_ + static_cast<int32_t>(out_.states.size()) - 1;
  }

  /// In which a value goes on to other pieces.
  int32_t variable_of(NodeId id) {
    const Node& node = graph_[id];
    if (const Loop* loop = loop_of(node)) return loop->results[static_cast<size_t>(node.attrs.integer("result"))];
    const auto [known, fresh] = stored_.try_emplace(id.index, -1);
    if (fresh) known->second = add_state(node.type);
    return known->second;
  }

  /// `id` in a piece other than its own. What was rounded goes on as a half, because that is what products read.
  NodeId fetch(Builder& build, NodeId id) {
    const Node& node = graph_[id];
    const bool is_widened = node.op == OpKind::Cast && is_half(graph_.type(node.inputs[0]).dtype);
    return is_widened ? build.cast(fetch_whole(build, node.inputs[0]), node.type.dtype) : fetch_whole(build, id);
  }
  NodeId fetch_whole(Builder& build, NodeId id) {
    const Node& node = graph_[id];
    if (node.op == OpKind::Argument) return fetch_argument(build, id);
    if (is_everywhere(node)) return build.copy(node, {});
    return build.argument({"kept", ArgRole::Variable, variable_of(id), {}}, node.type);
  }
  NodeId fetch_argument(Builder& build, NodeId id) const {
    return build.argument(graph_.arguments[static_cast<size_t>(graph_[id].attrs.integer("index"))], graph_.type(id));
  }

  // ---- turns ----

  void make_turn(Loop& loop) {
    const Node& scan = graph_[loop.scan];
    const Graph& body = *scan.body;
    loop.turn = std::make_unique<Graph>();
    loop.turn->name = graph_.name;
    loop.turn->symbols = graph_.symbols;
    loop.counter = add_state({DType::I32, {}});
    Builder build(*loop.turn);
    const NodeId now = build.argument({"turn", ArgRole::Variable, loop.counter, {}}, {DType::I32, {}});
    std::vector<NodeId> map(body.size());
    for (size_t k = 0; k < body.arguments.size(); ++k) map[body.arguments[k].node.index] = operand(loop, k, build, now);
    for (uint32_t i = 0; i < body.size(); ++i) {
      if (body.nodes[i].op == OpKind::Argument) continue;
      std::vector<NodeId> inputs;
      for (const NodeId input : body.nodes[i].inputs) inputs.push_back(map[input.index]);
      map[i] = build.copy(body.nodes[i], std::move(inputs));
    }
    for (const Output& result : body.results) {
      loop.elements.push_back(map[result.node.index]);
      if (result.role == ResultRole::Carry) {
        loop.results.push_back(loop.operands[carry_argument(body, result.ref)]);
        build.result({result.name, ResultRole::Variable, loop.results.back(), loop.elements.back()});
      } else {
        loop.results.push_back(add_stacked(build, steps_of(scan), loop.elements.back(), now));
      }
    }
    build.result({"turn", ResultRole::Variable, loop.counter, build.add(now, build.like(now, 1))});
    loop.index = static_cast<int32_t>(out_.loops.size());
    const int32_t until =
        may_stop(scan) ? loop.operands[carry_argument(body, until_of(scan))] - first_ref_ : int32_t{-1};
    out_.loops.push_back({steps_of(scan).bound, until, {}});
    loop.inner = std::make_unique<GraphStager>(out_, first_ref_, *loop.turn);
    std::vector<StagedItem> stages = loop.inner->run();
    out_.loops[static_cast<size_t>(loop.index)].turn = std::move(stages);
  }

  NodeId operand(Loop& loop, size_t k, Builder& build, NodeId now) {
    const Node& scan = graph_[loop.scan];
    const ArgRole role = scan.body->arguments[k].role;
    const Node& given = graph_[scan.inputs[k]];
    loop.operands.push_back(-1);
    if (role == ArgRole::Carry) {
      loop.operands[k] = add_state(given.type);
      return build.argument({"carry", ArgRole::Variable, loop.operands[k], {}}, given.type);
    }
    if (role == ArgRole::Slice && given.op == OpKind::Index && given.type.rank() == 1)
      return build.cast(now, given.type.dtype);
    const NodeId whole = fetch_whole(build, scan.inputs[k]);  // a body reads what the loop was given, of that type
    return role == ArgRole::Slice ? build.make(OpKind::Gather, {whole, now}) : whole;
  }

  /// A stacked result: a variable of which each turn writes its own element.
  int32_t add_stacked(Builder& build, const Extent& steps, NodeId element, NodeId now) {
    TensorType type = build.type(element);
    std::vector<int64_t> others;
    for (size_t axis = 0; axis < type.rank(); ++axis) others.push_back(static_cast<int64_t>(axis) + 1);
    type.shape.insert(type.shape.begin(), steps);
    const int32_t ref = add_state(type);
    const NodeId old = build.argument({"stacked", ArgRole::Variable, ref, {}}, type);
    const Shape length{steps};
    const NodeId here =
        build.make(OpKind::Eq, {build.index({DType::I32, length}, 0), build.broadcast(now, length, {})});
    const NodeId next = build.select(build.broadcast(here, type.shape, {0}),
                                     build.broadcast(element, type.shape, std::move(others)), old);
    build.result({"stacked", ResultRole::Variable, ref, next});
    return ref;
  }

  // ---- pieces ----

  /// What segment k has to compute: results of the function, what the loop behind it starts with, what others ask for.
  std::vector<Output> results_of(size_t k, Builder& build) {
    std::vector<Output> results;
    if (k == loops_.size()) results = graph_.results;
    for (const auto& [node, ref] : stored_)
      if (segment_[node] == k) results.push_back({"kept", ResultRole::Variable, ref, {node}});
    if (k == loops_.size()) return results;
    const Node& scan = graph_[loops_[k].scan];
    for (size_t a = 0; a < scan.inputs.size(); ++a)
      if (scan.body->arguments[a].role == ArgRole::Carry)
        results.push_back({"start", ResultRole::Variable, loops_[k].operands[a], scan.inputs[a]});
    const NodeId zero = build.constant(0, {DType::I32, {}});
    build.result({"turn", ResultRole::Variable, loops_[k].counter, zero});
    return results;
  }

  Graph piece_of(size_t k) {
    Graph piece;
    piece.name = graph_.name;
    piece.symbols = graph_.symbols;
    Builder build(piece);
    std::vector<Output> results = results_of(k, build);
    const auto is_own = [&](uint32_t i) {
      return segment_[i] == k && loop_of(graph_.nodes[i]) == nullptr && graph_.nodes[i].op != OpKind::Argument;
    };
    std::vector<bool> needed(graph_.size());
    for (const Output& result : results) needed[result.node.index] = true;
    for (uint32_t i = graph_.size(); i-- > 0;) {
      if (!needed[i] || !is_own(i)) continue;
      for (const NodeId input : graph_.nodes[i].inputs) needed[input.index] = true;
    }
    std::vector<NodeId> copies(graph_.size());
    for (uint32_t i = 0; i < graph_.size(); ++i) {
      if (!needed[i]) continue;
      if (!is_own(i)) {
        copies[i] = fetch(build, {i});
        continue;
      }
      std::vector<NodeId> inputs;
      for (const NodeId input : graph_.nodes[i].inputs) inputs.push_back(copies[input.index]);
      copies[i] = build.copy(graph_.nodes[i], std::move(inputs));
    }
    for (Output& result : results) {
      result.node = copies[result.node.index];
      build.result(std::move(result));
    }
    declare_states(piece);
    return piece;
  }

  // ---- where elements are made ----

  Made made_by(const Loop& loop, size_t result) const {
    const Node& scan = graph_[loop.scan];
    const Output& output = scan.body->results[result];
    const int64_t steps = steps_of(scan).bound, turn = loop.inner->length();
    std::vector<MadeElement> made;
    if (output.role == ResultRole::Carry) {
      const TensorType& type = scan.body->type(output.node);
      const std::optional<Sequence> sequence = sequence_of_carry(graph_, scan, output.ref);
      if (!sequence || sequence->moved.valid()) {  // each turn may change all of it
        for (int64_t e = 0; e < elements_of(type); ++e)
          made.push_back({loop.begin + steps * turn, loop.results[result] - first_ref_, e});
        return made;
      }
      const auto axis = static_cast<size_t>(sequence->axis);
      const int64_t stride = row_major_strides(type.shape)[axis], length = type.shape[axis].bound;
      for (int64_t e = 0; e < elements_of(type); ++e) {
        const int64_t written = e / stride % length - sequence->lead;  // in this turn
        const bool is_written = 0 <= written && written < steps;
        made.push_back({loop.begin + (is_written ? (written + 1) * turn : 0), loop.results[result] - first_ref_, e});
      }
      return made;
    }
    const int64_t size = elements_of(scan.body->type(output.node));
    const Made element = loop.inner->made_of(loop.elements[result]);
    for (int64_t t = 0; t < steps; ++t) {
      for (int64_t e = 0; e < size; ++e) {
        made.push_back(element ? (*element)[static_cast<size_t>(e)]
                               : MadeElement{turn, loop.results[result] - first_ref_, t * size + e});
        made.back().after += loop.begin + t * turn;
      }
    }
    return made;
  }

  /// A sum of two values, one of which is 0 at each element: values side by side.
  static Made sum_of(Made a, const Made& b) {
    if (!a || !b) return std::nullopt;
    for (size_t e = 0; e < a->size(); ++e) {
      if ((*a)[e].variable >= 0 && (*b)[e].variable >= 0) return std::nullopt;
      if ((*b)[e].variable >= 0) (*a)[e] = (*b)[e];
    }
    return a;
  }

  Made moved(const Node& node, const Made& from) const {
    if (!from) return std::nullopt;
    const TensorType& operand = graph_.type(node.inputs[0]);
    if (node.op == OpKind::Reshape) return from;  // laid out by bounds, both are in one order
    const std::optional<IndexMap> map = op_def(node).access(operand, node.type, node.attrs);
    if (!map) return std::nullopt;
    const std::vector<int64_t> strides = row_major_strides(operand.shape), own = row_major_strides(node.type.shape);
    std::vector<MadeElement> made(static_cast<size_t>(elements_of(node.type)));
    for (size_t e = 0; e < made.size(); ++e) {
      int64_t place = 0;
      bool inside = true;
      for (size_t axis = 0; axis < map->axes.size(); ++axis) {
        int64_t at = map->axes[axis].constant;
        for (const auto& [index, factor] : map->axes[axis].terms)
          at += factor * (static_cast<int64_t>(e) / own[static_cast<size_t>(index)] %
                          node.type.shape[static_cast<size_t>(index)].bound);
        inside = inside && 0 <= at && at < operand.shape[axis].bound;
        place += at * strides[axis];
      }
      if (inside) made[e] = (*from)[static_cast<size_t>(place)];
    }
    return made;
  }

  StagedFunction& out_;
  int32_t first_ref_;
  const Graph& graph_;
  std::vector<size_t> segment_;         // by node
  std::vector<Loop> loops_;             // in their order
  std::map<uint32_t, int32_t> stored_;  // by node: the variable in which it goes on
  int64_t length_ = 0;                  // pieces that run
};

}  // namespace

std::optional<StagedFunction> stage_loops(const Graph& graph, int32_t first_ref) {
  if (graph.results.size() != 1 || std::ranges::none_of(graph.nodes, is_cut)) return std::nullopt;
  StagedFunction staged;
  GraphStager stager(staged, first_ref, graph);
  staged.stages = stager.run();
  Made made = stager.made_of(graph.results[0].node);
  if (!made) return std::nullopt;
  staged.made = std::move(*made);
  return staged;
}

}  // namespace smelt
