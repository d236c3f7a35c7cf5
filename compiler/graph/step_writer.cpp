#include "compiler/graph/step_writer.h"

#include <algorithm>
#include <map>
#include <utility>

#include "compiler/graph/kept_positions.h"
#include "compiler/graph/mask_numbers.h"
#include "compiler/graph/step_needs.h"
#include "ir/op.h"
#include "ir/scan.h"
#include "ir/support/check.h"

namespace smelt {
namespace {

/// What is known of the elements of a value at later positions than the step's own, along one of its axes.
struct Later {
  bool settled = true;           // they are what the whole sequence has there
  std::optional<double> number;  // they are this number
};

/// One position of a value.
struct AtStep {
  NodeId node;
  std::vector<std::optional<Later>> later;  // by axis; nullopt: the axis has nothing to do with positions
  /// Whether all of it is what the whole sequence has there.
  bool is_settled() const {
    return std::ranges::all_of(later, [](const auto& axis) { return !axis || axis->settled; });
  }
};

class StepWriter {
 public:
  StepWriter(const SequenceLoop& loop, const Demands& demands)
      : loop_(loop), old_(*loop.body), demands_(demands), build_(body_), whole_(old_.size()), histories_(old_.size()) {}

  std::expected<StepBody, Refusal> run() {
    body_.name = old_.name;
    body_.symbols = old_.symbols;
    for (const Argument& argument : old_.arguments) {
      Argument copy = argument;
      whole_[argument.node.index] = build_.argument(std::move(copy), old_.type(argument.node));
    }
    add_carries();
    for (uint32_t i = 0; i < old_.size() && !refusal_; ++i) write({i});
    if (refusal_) return std::unexpected(*refusal_);
    move_rows();
    for (Output result : old_.results) {
      result.node = whole(result.node);
      body_.results.push_back(std::move(result));
    }
    body_.results.insert(body_.results.end(), new_results_.begin(), new_results_.end());
    return StepBody{std::move(body_), std::move(carries_)};
  }

 private:
  void refuse(NodeId node, std::string why) {
    if (!refusal_) refusal_ = Refusal{node, std::move(why)};
  }

  // ---- what is kept ----

  NodeId add_carry(const std::string& name, const TensorType& type, NodeId start) {
    carries_.push_back({type, start});
    return build_.argument({name, ArgRole::Carry, next_carry_++, {}}, type);
  }

  /// Arguments come before all other nodes.
  void add_carries() {
    next_carry_ = num_carries(old_);
    for (uint32_t i = 0; i < old_.size(); ++i) {
      const Node& node = old_.nodes[i];
      if (demands_.kept[i] >= 0) add_kept({i});
      if (node.op != OpKind::Scan || demands_.steps[i].empty()) continue;
      for (int32_t ref = 0; ref < num_carries(*node.body); ++ref) {
        const NodeId start = node.inputs[carry_argument(*node.body, ref)];
        states_[i].push_back(
            add_carry(node.body->arguments[carry_argument(*node.body, ref)].name, old_.type(start), start));
      }
    }
  }

  void add_kept(NodeId id) {
    KeptPositions kept{.carry = {}, .place = {}, .axis = demands_.kept[id.index], .rows = demands_.look_back[id.index]};
    kept.carry = add_carry("kept", kept_type(old_.type(id), kept.axis, kept.rows), {});
    if (kept.rows < loop_.length) kept.place = add_carry("place", {DType::I32, {}}, {});
    kept_[id.index] = kept;
  }

  void add_result(NodeId node) {
    const int32_t ref = num_carries(old_) + static_cast<int32_t>(new_results_.size());
    new_results_.push_back({"kept", ResultRole::Carry, ref, node});
  }

  void keep(NodeId id) {
    const KeptPositions& kept = kept_.at(id.index);
    const NodeId next = with_row(build_, kept, settled(id, id, kept.axis), now());
    histories_[id.index] = in_own_order(build_, kept, next);
    if (loop_.parents.valid()) {
      const std::vector<int64_t> order = kept_order(old_.type(id).rank(), kept.axis);
      follow_parents(id, loop_.rows[id.index], [&](int32_t axis) {
        return static_cast<int32_t>(std::ranges::find(order, axis) - order.begin());
      });
    }
    add_result(next);
    if (kept.is_ring()) add_result(next_place(build_, kept));
  }

  /// What is kept of node `id`, or what its loop carries, is the next result: its rows go where those of the sequence
  /// go.
  template <typename Place>
  void follow_parents(NodeId id, const RowPlace& rows, const Place& place) {
    if (rows.mixed || rows.also >= 0) return refuse(id, "mixes the rows of the sequence, which go on in another order");
    if (rows.axis >= 0) moves_.push_back({new_results_.size(), place(rows.axis)});
  }

  /// After all that reads them in this step.
  void move_rows() {
    for (const auto& [result, axis] : moves_) {
      NodeId& node = new_results_[result].node;
      build_.set_place(old_[loop_.parents]);
      node = back_at(build_, build_.make(OpKind::Gather, {in_front(build_, node, axis), whole(loop_.parents)}), axis);
    }
  }

  // ---- nodes ----

  NodeId whole(NodeId id) const {
    const NodeId node = whole_[id.index];
    SMELT_CHECK(node.valid(), "%{} of a loop is needed as a whole, and was not asked for", id.index);
    return node;
  }
  NodeId now() const { return whole(loop_.step); }

  void write(NodeId id) {
    const Node& node = old_[id];
    build_.set_place(node);
    if (demands_.whole[id.index] && node.op != OpKind::Argument)
      whole_[id.index] = loop_.is_read[id.index] ? read_now(id) : build_.copy(node, whole_inputs(node));
    if (node.op == OpKind::Scan && !demands_.steps[id.index].empty()) {
      write_loop_step(id);
    } else {
      for (const int32_t axis : demands_.steps[id.index]) at_[{id.index, axis}] = step_of(id, axis);
    }
    if (refusal_) return;
    if (demands_.kept[id.index] >= 0) keep(id);
  }

  std::vector<NodeId> whole_inputs(const Node& node) const {
    std::vector<NodeId> inputs;
    for (const NodeId input : node.inputs) inputs.push_back(whole(input));
    return inputs;
  }

  /// What stood for a read of the whole value at the position of the step.
  NodeId read_now(NodeId id) { return build_.reshape(settled(id, old_[id].inputs[0], 0), old_.type(id).shape); }

  const AtStep& at_step(NodeId id, int32_t axis) const { return at_.at({id.index, axis}); }

  /// One position of `id`, for a reader that would not notice what is not settled in it.
  NodeId settled(NodeId reader, NodeId id, int32_t axis) {
    const AtStep& value = at_step(id, axis);
    if (!value.is_settled()) refuse(reader, "reads positions behind the one that it computes");
    return value.node;
  }

  TensorType step_type(NodeId id, int32_t axis) const {
    TensorType type = old_.type(id);
    type.shape[static_cast<size_t>(axis)] = Extent(1);
    return type;
  }

  /// Position `axis` of a value that is there as a whole.
  NodeId sliced(NodeId x, NodeId id, int32_t axis) {
    return build_.reshape(build_.make(OpKind::Gather, {in_front(build_, x, axis), now()}), step_type(id, axis).shape);
  }

  AtStep step_of(NodeId id, int32_t axis) {
    const Node& node = old_[id];
    AtStep result{.node = {}, .later = std::vector<std::optional<Later>>(node.type.rank())};
    const StepNeeds needs = step_needs(loop_, id, axis);
    if (needs.sliced) {
      result.node = sliced(whole(id), id, axis);
    } else if (node.op == OpKind::Index) {
      const TensorType type = step_type(id, axis);
      result.node = node.attrs.integer("axis") == axis
                        ? build_.broadcast(build_.cast(now(), type.dtype), type.shape, {})
                        : build_.index(type, node.attrs.integer("axis"));
    } else if (node.op == OpKind::Part) {
      result.node = loop_results_.at({node.inputs[0].index, node.attrs.integer("result")});
    } else if (node.op == OpKind::Gather) {
      result.node = build_.make(OpKind::Gather, {whole(node.inputs[0]), at_step(node.inputs[1], axis).node});
      const auto& later = at_step(node.inputs[1], axis).later;
      std::ranges::copy(later, result.later.begin());
    } else if (needs.cut) {
      std::vector<NodeId> operands;
      for (size_t k = 0; k < node.inputs.size(); ++k) operands.push_back(operand(node.inputs[k], needs.operands[k]));
      result.node = make_part_of(build_, node, std::move(operands), {{*needs.cut, 1}});
      follow_later(id, needs, result);
    } else {
      result.node = windowed(id, axis, needs);
    }
    return result;
  }

  NodeId operand(NodeId id, const Operand& need) {
    if (need.need == Need::Step) return at_step(id, need.axis).node;
    if (need.need == Need::History) return history(id);
    return whole(id);
  }
  NodeId history(NodeId id) const { return histories_[id.index].valid() ? histories_[id.index] : whole(id); }

  // ---- windows ----

  static double outside_of(const Node& node) {
    const AttrValue* outside = node.attrs.find("outside");
    return outside == nullptr ? 0 : std::get<double>(*outside);
  }

  NodeId window(NodeId id, int32_t axis, const PositionWindow& positions, double outside) {
    const auto kept = kept_.find(id.index);
    const bool ring = kept != kept_.end() && kept->second.is_ring();
    return read_window(build_, history(id), axis, positions, outside, now(), ring ? kept->second.place : now(),
                       ring ? kept->second.rows : 0);
  }

  NodeId windowed(NodeId id, int32_t axis, const StepNeeds& needs) {
    const Node& node = old_[id];
    IndexFormula formula = formula_of(node);
    std::vector<NodeId> operands;
    for (size_t k = 0; k < node.inputs.size(); ++k) {
      const auto [need, along] = needs.operands[k];
      if (need == Need::Whole) {
        operands.push_back(whole(node.inputs[k]));
        continue;
      }
      const PositionWindow positions = *window_of(old_, node, k, along, axis);
      operands.push_back(need == Need::Step ? settled(id, node.inputs[k], along)
                                            : window(node.inputs[k], along, positions, outside_of(node)));
      IndexMap& map = formula.operands[k];
      map.axes[static_cast<size_t>(along)] = positions.inside;
      map.bounded = map.bounded && reads_outside_elsewhere(node, formula, k, along);
    }
    return with_own_axis(node, formula, axis, std::move(operands));
  }

  /// Of a movement: that of the `read` which it is.
  IndexFormula formula_of(const Node& node) const {
    if (const AttrValue* formula = node.attrs.find("formula")) return std::get<IndexFormula>(*formula);
    return {static_cast<int32_t>(node.type.rank()), maps_of(old_, node), node.type.shape};
  }

  bool reads_outside_elsewhere(const Node& node, const IndexFormula& formula, size_t k, int32_t along) const {
    const Shape& shape = old_.type(node.inputs[k]).shape;
    const std::vector<int64_t> sizes = bounds_of(formula.extents);
    for (size_t axis = 0; axis < shape.size(); ++axis) {
      if (static_cast<int32_t>(axis) == along) continue;
      const Affine& read = formula.operands[k].axes[axis];
      if (read.is_index() && formula.extents[static_cast<size_t>(read.terms[0].first)] == shape[axis]) continue;
      const IndexRange range = range_of(read, sizes);
      if (range.low < 0 || range.high >= shape[axis].bound || !shape[axis].is_static()) return true;
    }
    return false;
  }

  /// A formula may not have an index that no operand has: the node without it, and an axis of 1 in its place.
  NodeId with_own_axis(const Node& node, IndexFormula formula, int32_t axis, std::vector<NodeId> operands) {
    std::vector<Affine> renumbered;
    for (int32_t index = 0; index < formula.num_indices(); ++index)
      renumbered.push_back(index == axis ? Affine{} : Affine::of(index < axis ? index : index - 1));
    for (IndexMap& map : formula.operands) {
      for (Affine& read : map.axes) read = substitute(read, renumbered);
    }
    formula.extents.erase(formula.extents.begin() + axis);
    --formula.rank;
    Shape shape = node.type.shape;
    shape[static_cast<size_t>(axis)] = Extent(1);
    const NodeId rest = op_def(node).kind == Kind::Contract
                            ? build_.make(node.op, std::move(operands), {{"formula", std::move(formula)}})
                            : build_.read(operands[0], std::move(formula), outside_of(node));
    return build_.reshape(rest, shape);
  }

  // ---- loops over the positions ----

  /// One turn of an inner loop: what its body computes, with its carries as carries of the outer loop.
  void write_loop_step(NodeId id) {
    const Node& scan = old_[id];
    const Graph& inner = *scan.body;
    std::vector<NodeId> map(inner.size());
    for (size_t k = 0; k < inner.arguments.size(); ++k) {
      const Argument& argument = inner.arguments[k];
      NodeId& value = map[argument.node.index];
      if (argument.role == ArgRole::Carry) value = states_.at(id.index)[static_cast<size_t>(argument.ref)];
      if (argument.role == ArgRole::Whole) value = whole(scan.inputs[k]);
      if (argument.role != ArgRole::Slice) continue;
      value = build_.reshape(settled(id, scan.inputs[k], 0), inner.type(argument.node).shape);
    }
    for (uint32_t i = 0; i < inner.size(); ++i) {
      const Node& node = inner.nodes[i];
      if (node.op == OpKind::Argument) continue;
      std::vector<NodeId> inputs;
      for (const NodeId input : node.inputs) inputs.push_back(map[input.index]);
      map[i] = build_.copy(node, std::move(inputs));
    }
    std::vector<NodeId> next(static_cast<size_t>(num_carries(inner)));
    for (size_t k = 0; k < inner.results.size(); ++k) {
      const Output& result = inner.results[k];
      if (result.role == ResultRole::Carry) {
        next[static_cast<size_t>(result.ref)] = map[result.node.index];
        continue;
      }
      Shape shape = inner.type(result.node).shape;
      shape.insert(shape.begin(), Extent(1));
      loop_results_[{id.index, static_cast<int64_t>(k)}] = build_.reshape(map[result.node.index], shape);
    }
    const std::vector<RowPlace> rows =
        loop_.parents.valid() ? rows_of_carries(old_, scan, loop_.rows) : std::vector<RowPlace>(next.size());
    for (size_t k = 0; k < next.size(); ++k) {
      follow_parents(id, rows[k], [](int32_t axis) { return axis; });
      add_result(next[k]);
    }
  }

  // ---- later positions ----

  /// What is known of operand k at later positions along `along`, when position `axis` of the reader is computed.
  Later later_of(NodeId id, const Operand& need, int32_t along) const {
    if (need.need == Need::History && loop_.depends[id.index] && loop_.positions[id.index] == std::vector{along})
      return {.settled = false, .number = {}};
    if (need.need == Need::Step) {
      const std::optional<Later>& known = at_step(id, need.axis).later[static_cast<size_t>(along)];
      if (known) return *known;
    }
    if (loop_.depends[id.index]) return {};
    Positions at;
    for (size_t axis = 0; axis < old_.type(id).rank(); ++axis)
      at.push_back(Affine::of(kFree + static_cast<int32_t>(axis)));
    if (need.need == Need::Step) at[static_cast<size_t>(need.axis)] = Affine::of(kNow);
    at[static_cast<size_t>(along)] = Affine::of(kNow) + Affine::of(kLater) + 1;
    return {.settled = true, .number = number_at(old_, id, at, loop_.step)};
  }

  /// Every axis of an operand that has positions is one of the result, or summed over.
  void follow_later(NodeId id, const StepNeeds& needs, AtStep& result) {
    const Node& node = old_[id];
    for (size_t k = 0; k < node.inputs.size(); ++k) {
      const NodeId input = node.inputs[k];
      const size_t rank = old_.type(input).rank();
      for (size_t along = 0; along < rank; ++along) {
        const auto place = static_cast<int32_t>(along);
        if (needs.operands[k].need == Need::Step && needs.operands[k].axis == place) continue;
        const bool tracked = needs.operands[k].need == Need::History
                                 ? place == needs.operands[k].axis
                                 : needs.operands[k].need == Need::Step &&
                                       at_step(input, needs.operands[k].axis).later[along].has_value();
        if (tracked) follow(id, k, place, needs, result);
      }
    }
  }

  void follow(NodeId id, size_t k, int32_t along, const StepNeeds& needs, AtStep& result) {
    const Node& node = old_[id];
    const std::optional<AxisCut> cut = cut_of_operand(old_, node, k, along);
    if (!cut) {
      if (!later_of(node.inputs[k], needs.operands[k], along).settled)
        refuse(id, "reads positions behind the one that it computes");
      return;
    }
    std::vector<std::optional<double>> numbers;
    bool settled = true;
    for (size_t other = 0; other < node.inputs.size(); ++other) {
      Later later;
      if (cut->operands[other] >= 0) later = later_of(node.inputs[other], needs.operands[other], cut->operands[other]);
      settled = settled && later.settled;
      numbers.push_back(later.number);
    }
    const Later all{settled, number_of_all(node, numbers)};
    if (cut->result >= 0) {
      result.later[static_cast<size_t>(cut->result)] = all.number ? Later{true, all.number} : all;
      return;
    }
    const double identity = op_def(node).kind == Kind::Reduce ? op_def(node).identity : 0;
    if (!all.settled && all.number != identity) refuse(id, "reads positions behind the one that it computes");
  }

  static std::optional<double> number_of_all(const Node& node, const std::vector<std::optional<double>>& numbers) {
    switch (op_def(node).kind) {
      case Kind::Elementwise: return number_of(node, numbers);
      case Kind::Contract: {
        const bool zero = std::ranges::any_of(numbers, [](const auto& number) { return number == 0.0; });
        return zero ? std::optional(0.0) : std::nullopt;
      }
      default: return numbers[0];
    }
  }

  const SequenceLoop& loop_;
  const Graph& old_;
  const Demands& demands_;
  Graph body_;
  Builder build_;
  std::vector<NodeId> whole_, histories_;                        // by old node
  std::map<std::pair<uint32_t, int32_t>, AtStep> at_;            // by old node and axis
  std::map<uint32_t, KeptPositions> kept_;                       // by old node
  std::map<uint32_t, std::vector<NodeId>> states_;               // by inner loop: arguments of its carries
  std::map<std::pair<uint32_t, int64_t>, NodeId> loop_results_;  // by inner loop and result
  std::vector<NewCarry> carries_;
  std::vector<Output> new_results_;
  std::vector<std::pair<size_t, int32_t>> moves_;  // results, and their axes of rows
  int32_t next_carry_ = 0;
  std::optional<Refusal> refusal_;
};

}  // namespace

std::expected<StepBody, Refusal> write_step(const SequenceLoop& loop, const Demands& demands) {
  return StepWriter(loop, demands).run();
}

}  // namespace smelt
