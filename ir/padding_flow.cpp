#include "ir/padding_flow.h"

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <vector>

#include "ir/example_axis.h"
#include "ir/op.h"
#include "ir/scan.h"

namespace smelt {

namespace {

/// A value at the positions that a row does not have.
enum class Padding : uint8_t { Other, Zero, Masked };

struct PaddedValue {
  Padding padding = Padding::Other;
  bool along = false;       // it has another value at each position
  bool from_data = false;   // and positions alone: no parameter, draw or feed, and no other axis' index as in one-hot
  bool from_sizes = false;  // made of numbers and numbers of positions alone
  bool counts = false;      // the number of positions has a part in it

  friend bool operator==(const PaddedValue&, const PaddedValue&) = default;
};

class PaddingFlow {
 public:
  /// A body has what it is given; a step of a loop over positions sees one of them.
  struct Body {
    std::vector<PaddedValue> given;
    bool of_position = false;
  };
  PaddingFlow(const Graph& graph, std::span<const int32_t> lengths, const Body* body = nullptr)
      : graph_(graph), lengths_(lengths), body_(body), values_(graph.size()) {
    for (uint32_t i = 0; i < graph_.size(); ++i) values_[i] = value_of(NodeId{i});
  }

  PaddingRead first_read(std::span<const Output> results) const {
    std::vector<bool> needed(graph_.size(), false);
    for (const Output& result : results) needed[result.node.index] = true;
    PaddingRead first;
    for (uint32_t i = graph_.size(); i-- > 0;) {
      if (!needed[i]) continue;
      if (const auto read = reads_.find(NodeId{i}); read != reads_.end()) first = read->second;
      for (const NodeId input : graph_.nodes[i].inputs) needed[input.index] = true;
    }
    return first;
  }

 private:
  bool is_length(const Extent& extent) const {
    return !extent.is_static() && std::ranges::find(lengths_, extent.symbol) != lengths_.end();
  }
  bool has_length(const TensorType& type) const {
    return std::ranges::any_of(type.shape, [&](const Extent& extent) { return is_length(extent); });
  }

  PaddedValue value_of(NodeId id) {
    const Node& node = graph_[id];
    const OpDef& op = op_def(node);
    PaddedValue value{.along = has_length(node.type), .from_data = op.kind != Kind::Random && op.kind != Kind::Meta};
    value.from_sizes = value.from_data;
    for (const NodeId input : node.inputs) {
      value.from_sizes = value.from_sizes && values_[input.index].from_sizes;
      value.counts = value.counts || values_[input.index].counts;
      value.along = value.along || (body_ != nullptr && body_->of_position && values_[input.index].along);
      value.from_data = value.from_data && values_[input.index].from_data;
    }
    switch (op.kind) {
      case Kind::Argument: return of_argument(id);
      case Kind::Index: return {Padding::Other, value.along, value.along};
      case Kind::Extent:
        value.counts = std::ranges::find(lengths_, node.attrs.integer("symbol")) != lengths_.end();
        return value;
      case Kind::Scan: scan(id); return {};
      case Kind::Part: return part(id);
      case Kind::Meta: value.padding = Padding::Masked; return value;  // of a derivative nothing is known
      default: break;
    }
    note_fold(id);
    note_last(id);
    value.padding = padding_of(node, value);
    return value;
  }

  PaddedValue of_argument(NodeId id) const {
    if (body_ != nullptr) return body_->given[id.index];  // those of a body are its first nodes
    const Argument& argument = graph_.arguments[static_cast<size_t>(graph_[id].attrs.integer("index"))];
    const bool from_data = argument.role == ArgRole::Column || argument.role == ArgRole::Rows;
    const bool padded = argument.role == ArgRole::Column && has_length(graph_.type(id));
    return {padded ? Padding::Zero : Padding::Other, has_length(graph_.type(id)), from_data};
  }

  Padding padding_of(const Node& node, const PaddedValue& value) const {
    const OpDef& op = op_def(node);
    if (op.traits.comparison && value.along && value.from_data) return Padding::Masked;
    const auto operand = [&](size_t k) -> const PaddedValue& { return values_[node.inputs[k].index]; };
    for (size_t k = 0; k < node.inputs.size(); ++k) {
      if (operand(k).along && operand(k).padding == Padding::Masked) return Padding::Masked;
    }
    const auto is_zero = [&](size_t k) { return operand(k).along && operand(k).padding == Padding::Zero; };
    switch (op.kind) {
      case Kind::Move: return is_zero(0) && node.op != OpKind::Pad ? Padding::Zero : Padding::Other;
      case Kind::Gather: return is_zero(0) ? Padding::Zero : Padding::Other;  // rows of a table of strings
      case Kind::Reduce: return node.op == OpKind::ReduceSum && is_zero(0) ? Padding::Zero : Padding::Other;
      case Kind::Contract: return is_zero(0) || is_zero(1) ? Padding::Zero : Padding::Other;
      default: return op.reference != nullptr && keeps_zero(node) ? Padding::Zero : Padding::Other;
    }
  }

  /// Whether the result is 0 where those operands are that have zeros, whatever the others are.
  bool keeps_zero(const Node& node) const {
    bool any = false;
    for (const double other : {1.5, -2.5}) {
      std::array<double, 4> operands{};
      for (size_t k = 0; k < node.inputs.size(); ++k) {
        const bool zero = values_[node.inputs[k].index].padding == Padding::Zero;
        any = any || zero;
        operands[k] = zero ? 0 : other;
      }
      if (op_def(node).reference(std::span(operands.data(), node.inputs.size())) != 0) return false;
    }
    return any;
  }

  /// Notes an operation that folds the positions of a value with padding.
  void note_fold(NodeId id) {
    const Node& node = graph_[id];
    const OpDef& op = op_def(node);
    const bool folds = op.kind == Kind::Reduce || op.kind == Kind::Contract ||
                       (op.kind == Kind::Composite && node.op != OpKind::Concat);
    for (size_t k = 0; folds && k < node.inputs.size(); ++k) {
      const Shape& shape = graph_.type(node.inputs[k]).shape;
      for (size_t axis = 0; axis < shape.size(); ++axis) {
        const bool folded =
            is_length(shape[axis]) && follow_axis(graph_, {}, id, k, static_cast<int64_t>(axis)) == kMixesAxis;
        if (folded && !is_harmless(node, k)) reads_.emplace(id, PaddingRead{&node, shape[axis].symbol});
      }
    }
  }

  /// `h[n, T - 1]`: the last position of the longest row, whichever row it is read of.
  void note_last(NodeId id) {
    const Node& node = graph_[id];
    if (op_def(node).kind != Kind::Gather || values_[node.inputs[0].index].padding != Padding::Other) return;
    const Extent& read = graph_.type(node.inputs[0]).shape[row_axis(node)];
    const PaddedValue& at = values_[node.inputs[1].index];
    if (is_length(read) && at.counts && at.from_sizes) reads_.emplace(id, PaddingRead{&node, read.symbol});
  }

  bool is_harmless(const Node& node, size_t k) const {
    const auto padding = [&](size_t operand) { return values_[node.inputs[operand].index].padding; };
    if (op_def(node).kind == Kind::Contract)
      return padding(k) != Padding::Other || padding(k ^ 1U) != Padding::Other;  // a factor of the product
    return padding(k) != Padding::Other;
  }

  /// What a loop makes of what it is given, until what a step leaves is what the next one finds.
  void scan(NodeId id) {
    const Node& node = graph_[id];
    const Graph& body = *node.body;
    Body inner{.given = {}, .of_position = is_length(steps_of(node)) || (body_ != nullptr && body_->of_position)};
    for (size_t k = 0; k < node.inputs.size(); ++k) {
      inner.given.push_back(values_[node.inputs[k].index]);
      if (is_length(steps_of(node))) inner.given.back().along = body.arguments[k].role == ArgRole::Slice;
    }
    while (true) {
      const PaddingFlow inside(body, lengths_, &inner);
      if (join_carries(body, inside, inner.given, is_length(steps_of(node)))) continue;
      if (const PaddingRead read = inside.first_read(body.results); read.node != nullptr) reads_.emplace(id, read);
      for (const Output& result : body.results)
        parts_[id].push_back({inside.values_[result.node.index], inside.keeps(result)});
      return;
    }
  }

  /// Whether a carry begins otherwise than was thought.
  static bool join_carries(const Graph& body, const PaddingFlow& inside, std::vector<PaddedValue>& given,
                           bool over_positions) {
    bool changed = false;
    for (const Output& result : body.results) {
      if (result.role != ResultRole::Carry) continue;
      PaddedValue& start = given[carry_argument(body, result.ref)];
      const PaddedValue& end = inside.values_[result.node.index];
      const PaddedValue both{std::min(start.padding, end.padding), start.along || (end.along && !over_positions),
                             start.from_data && end.from_data};
      changed = changed || both != start;
      start = both;
    }
    return changed;
  }

  /// Whether a step at a position that a row does not have leaves a carry as it is.
  bool keeps(const Output& result) const {
    if (result.role != ResultRole::Carry) return true;
    const Node& end = graph_[result.node];
    const NodeId start = graph_.arguments[carry_argument(graph_, result.ref)].node;
    const bool adds = (end.op == OpKind::Add || end.op == OpKind::Sub) && end.inputs[0] == start &&
                      values_[end.inputs[1].index].padding == Padding::Zero;
    return result.node == start || adds || values_[result.node.index].padding == Padding::Masked;
  }

  /// Behind the end of a row, steps over positions go on: the last carry is of them, and what a reversed loop stacks.
  PaddedValue part(NodeId id) {
    const Node& scan = graph_[graph_[id].inputs[0]];
    const auto k = static_cast<size_t>(graph_[id].attrs.integer("result"));
    const std::vector<LoopResult>& results = parts_.at(graph_[id].inputs[0]);
    const bool is_carry = scan.body->results[k].role == ResultRole::Carry;
    const bool goes_on = is_carry
                             ? !results[k].kept
                             : is_reversed(scan) && std::ranges::any_of(results, std::logical_not{}, &LoopResult::kept);
    if (is_length(steps_of(scan)) && goes_on) reads_.emplace(id, PaddingRead{&scan, steps_of(scan).symbol});
    PaddedValue value = results[k].value;
    value.along = has_length(graph_.type(id)) || (body_ != nullptr && body_->of_position && value.along);
    return value;
  }

  struct LoopResult {
    PaddedValue value;
    bool kept = true;  // a carry, behind the end of a row
  };

  const Graph& graph_;
  std::span<const int32_t> lengths_;
  const Body* body_;
  std::vector<PaddedValue> values_;
  std::map<NodeId, std::vector<LoopResult>> parts_;  // of each scan
  std::map<NodeId, PaddingRead> reads_;
};

}  // namespace

PaddingRead find_padding_read(const Graph& graph, std::span<const Output> results, std::span<const int32_t> lengths) {
  return PaddingFlow(graph, lengths).first_read(results);
}

}  // namespace smelt
