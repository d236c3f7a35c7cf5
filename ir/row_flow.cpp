#include "ir/row_flow.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "ir/builder.h"
#include "ir/op.h"
#include "ir/scan.h"

namespace smelt {

namespace {

bool is_total(RowUse use) { return use > RowUse::ByRow && use < RowUse::Mixed; }

/// A value while rows are followed. An element of it may depend on several rows: `x[:, near[n, t]]` has one for n and
/// one for each place of the axis in front. Its diagonal, `x[n, near[n, t]]`, has one again.
struct FollowedRows {
  RowUse use = RowUse::None;
  std::vector<int64_t> axes = {};  // ByRow: element [.., b, .., c, ..] depends on the rows b and c of these alone
  NodeId cause = {};               // of several rows, too: the operation where they met

  bool has_several() const { return axes.size() > 1; }
};

class RowFlow {
 public:
  RowFlow(const Graph& graph, const ExampleSums& sums, const RowSource& source)
      : graph_(graph), sums_(sums), source_(source), values_(graph.size()) {}

  std::vector<RowValue> run() {
    for (uint32_t i = 0; i < graph_.size(); ++i) {
      const NodeId id{i};
      if (graph_[id].op == OpKind::Scan) parts_[id] = parts_of(id);
      values_[i] = graph_[id].op == OpKind::Part ? of_part(id) : value_of(id);
    }
    std::vector<RowValue> found;
    for (const FollowedRows& value : values_) {
      found.push_back(value.has_several()  ? RowValue{RowUse::Mixed, -1, value.cause}
                      : value.axes.empty() ? RowValue{value.use, -1, value.cause}
                                           : RowValue{value.use, value.axes[0], {}});
    }
    return found;
  }

 private:
  FollowedRows of_part(NodeId id) const {
    return parts_.at(graph_[id].inputs[0])[static_cast<size_t>(graph_[id].attrs.integer("result"))];
  }

  /// The results of a scan, as the graph around it sees them. A step is like any other piece of the graph; a carry is
  /// by row as soon as one step makes it so, and then later steps see it like that.
  std::vector<FollowedRows> parts_of(NodeId id) const {
    const Node& scan = graph_[id];
    const Graph& body = *scan.body;
    const std::vector<FollowedRows> mixed(body.results.size(), {RowUse::Mixed, {}, id});
    if (is_row_axis(steps_of(scan))) return row_a_step(id) ? own_rows(body) : mixed;
    std::vector<FollowedRows> given;
    for (size_t k = 0; k < scan.inputs.size(); ++k) {
      FollowedRows value = values_[scan.inputs[k].index];
      if (value.use > RowUse::ByRow || value.has_several()) return mixed;
      if (value.use == RowUse::ByRow && body.arguments[k].role == ArgRole::Slice && value.axes[0]-- == 0)
        return row_a_step(id) ? own_rows(body) : mixed;
      given.push_back(std::move(value));
    }
    std::vector<FollowedRows> parts(body.results.size());
    for (bool settled = false; !settled;) {
      settled = true;
      const std::vector<RowValue> inside = in_step(id, given);
      for (size_t k = 0; k < body.results.size(); ++k) {
        const Output& result = body.results[k];
        const RowValue& value = inside[result.node.index];
        if (value.use > RowUse::ByRow) return mixed;
        if (value.use == RowUse::ByRow) parts[k] = {RowUse::ByRow, {value.axis}, {}};
        if (result.role == ResultRole::Carry) {
          FollowedRows& start = given[carry_argument(body, result.ref)];
          if (start.use == RowUse::ByRow && value.use == RowUse::ByRow && start.axes != parts[k].axes) return mixed;
          if (start.use == RowUse::None && value.use == RowUse::ByRow) {
            start = parts[k];
            settled = false;
          }
          parts[k] = start;
        } else if (value.use == RowUse::ByRow) {
          ++parts[k].axes[0];  // the steps are in front
        }
      }
    }
    return parts;
  }

  /// The values of a loop's body whose arguments are these.
  std::vector<RowValue> in_step(NodeId scan, const std::vector<FollowedRows>& given) const {
    const ExampleSums none;
    const auto sums = sums_.bodies.find(scan);
    RowFlow step(*graph_[scan].body, sums == sums_.bodies.end() ? none : sums->second, source_);
    step.given_ = &given;
    return step.run();
  }

  /// Whether a scan over the rows computes each one alone: no step leaves anything to the next one, and nothing of the
  /// batch but the step's own row enters it.
  bool row_a_step(NodeId id) const {
    const Node& scan = graph_[id];
    const Graph& body = *scan.body;
    std::vector<FollowedRows> given;
    for (size_t k = 0; k < scan.inputs.size(); ++k) {
      const FollowedRows& value = values_[scan.inputs[k].index];
      const bool own = value.axes == std::vector<int64_t>{0} && body.arguments[k].role == ArgRole::Slice;
      given.push_back(own ? FollowedRows{} : value);
    }
    const std::vector<RowValue> inside = in_step(id, given);
    return std::ranges::all_of(body.results, [&](const Output& result) {
      const bool changes =
          result.role == ResultRole::Carry && result.node != body.arguments[carry_argument(body, result.ref)].node;
      return !changes && inside[result.node.index].use == RowUse::None;
    });
  }
  static std::vector<FollowedRows> own_rows(const Graph& body) {
    std::vector<FollowedRows> parts;
    for (const Output& result : body.results)
      parts.push_back(result.role == ResultRole::Carry ? FollowedRows{} : FollowedRows{RowUse::ByRow, {0}, {}});
    return parts;
  }

  FollowedRows value_of(NodeId id) const {
    const Node& node = graph_[id];
    if (node.op == OpKind::Scan) return {};  // its steps; what it gives has parts of its own
    if (sums_.contains(id))
      return values_[node.inputs[0].index];  // read by its gradient alone, which is one per example
    switch (op_def(node).kind) {
      case Kind::Argument: return of_argument(id);
      case Kind::Constant: return {};
      case Kind::Extent:
        return node.attrs.integer("symbol") == source_.symbol ? FollowedRows{RowUse::Count, {}, id} : FollowedRows{};
      case Kind::Index: {
        const auto along = static_cast<size_t>(node.attrs.integer("axis"));
        return is_row_axis(node.type.shape[along]) ? mixed(id) : FollowedRows{};
      }
      case Kind::Random: return of_draw(id);
      default: return of_operation(id);
    }
  }

  bool is_row_axis(const Extent& extent) const { return !extent.is_static() && extent.symbol == source_.symbol; }
  static FollowedRows mixed(NodeId cause) { return {RowUse::Mixed, {}, cause}; }

  FollowedRows of_argument(NodeId id) const {
    if (given_ != nullptr) return (*given_)[id.index];  // those of a body are its first nodes
    if (std::ranges::find(source_.rows, id) != source_.rows.end()) return {RowUse::ByRow, {0}, {}};
    return by_type(id);
  }

  /// A draw for each row, or one for all of them.
  FollowedRows of_draw(NodeId id) const {
    const FollowedRows value = by_type(id);
    return value.use == RowUse::None && source_.in_pieces ? mixed(id) : value;
  }

  FollowedRows by_type(NodeId id) const {
    const Shape& shape = graph_.type(id).shape;
    const auto is_row = [&](const Extent& extent) { return is_row_axis(extent); };
    const auto count = std::ranges::count_if(shape, is_row);
    if (count == 0) return {};
    if (count > 1) return mixed(id);
    return {RowUse::ByRow, {std::ranges::find_if(shape, is_row) - shape.begin()}, {}};
  }

  FollowedRows of_operation(NodeId id) const {
    const Node& node = graph_[id];
    if (node.op == OpKind::Read && numbers_rows(node)) return mixed(id);
    const std::span<const NodeId> operands = paths_of(node);
    FollowedRows rows{RowUse::ByRow, {}, {}};
    bool folds = folds_rows(node), totals = false;
    NodeId met;  // where an operand with several rows got them
    for (size_t k = 0; k < operands.size(); ++k) {
      const FollowedRows& operand = values_[operands[k].index];
      if (operand.use == RowUse::Mixed) return operand;
      totals = totals || is_total(operand.use);
      if (operand.has_several()) met = operand.cause;
      for (const int64_t axis : operand.axes) {
        const int64_t moved = follow_axis(graph_, sums_, id, k, axis);
        if (moved != kMixesAxis && !keeps_rows(operands[k], axis, id, moved)) return mixed(id);
        if (moved == kMixesAxis) {
          folds = true;
        } else if (std::ranges::find(rows.axes, moved) == rows.axes.end()) {
          rows.axes.push_back(moved);
        }
      }
    }
    const bool is_meta = op_def(node).kind == Kind::Meta && node.op != OpKind::Adjoint;
    if (is_meta && (totals || rows.has_several())) return mixed(id);
    if (met.valid() && (is_meta || folds)) return mixed(met);
    if (folds) return rows.axes.empty() && !totals ? total(id) : mixed(id);
    if (!rows.axes.empty() && totals) return mixed(first_cause(node));
    if (rows.has_several()) rows.cause = met.valid() ? met : id;
    if (!rows.axes.empty()) return rows;
    if (!totals) return {};
    const RowUse use = std::ranges::any_of(node.type.shape, [&](const Extent& e) { return is_row_axis(e); })
                           ? RowUse::Mixed  // a total is given back to the rows
                           : combined(node);
    return {use, {}, first_cause(node)};
  }

  /// Which rows a part of them has shows where it begins and ends: `x[.. B - 1]`, `x[0 .. 1]`.
  bool keeps_rows(NodeId from, int64_t axis, NodeId to, int64_t moved) const {
    return op_def(graph_[to]).kind == Kind::Meta ||
           graph_.type(from).shape[static_cast<size_t>(axis)] == graph_.type(to).shape[static_cast<size_t>(moved)];
  }

  /// Whether rows read a table by their number: `table[i + 1]` with an index i of the rows.
  bool numbers_rows(const Node& node) const {
    const IndexMap& map = node.attrs.formula("formula").operands[0];
    const Shape& from = graph_.type(node.inputs[0]).shape;
    for (size_t axis = 0; axis < from.size(); ++axis) {
      for (const auto& [index, factor] : map.axes[axis].terms)
        if (is_row_axis(node.type.shape[static_cast<size_t>(index)]) && !is_row_axis(from[axis])) return true;
    }
    return false;
  }

  /// Whether a reduction goes over an axis as long as the batch, also of values that do not depend on the row.
  bool folds_rows(const Node& node) const {
    for (const int64_t axis : folded_axes(node)) {
      if (is_row_axis(graph_.type(node.inputs[0]).shape[static_cast<size_t>(axis)])) return true;
    }
    return op_def(node).kind == Kind::Contract && contracts_rows(node);
  }

  bool contracts_rows(const Node& node) const {
    const NodeId id{static_cast<uint32_t>(&node - graph_.nodes.data())};
    for (size_t k = 0; k < node.inputs.size(); ++k) {
      const Shape& shape = graph_.type(node.inputs[k]).shape;
      for (size_t axis = 0; axis < shape.size(); ++axis) {
        if (is_row_axis(shape[axis]) && follow_axis(graph_, sums_, id, k, static_cast<int64_t>(axis)) == kMixesAxis)
          return true;
      }
    }
    return false;
  }

  static FollowedRows total(const NodeId id, RowUse use) { return {use, {}, id}; }
  FollowedRows total(NodeId id) const {
    switch (graph_[id].op) {
      case OpKind::ReduceSum:
      case OpKind::Contract: return total(id, RowUse::Sum);
      case OpKind::ReduceMax: return total(id, RowUse::Largest);
      case OpKind::ReduceMin: return total(id, RowUse::Smallest);
      default: return total(id, RowUse::Mixed);
    }
  }

  NodeId first_cause(const Node& node) const {
    for (const NodeId input : paths_of(node))
      if (values_[input.index].cause.valid()) return values_[input.index].cause;
    return {};
  }

  /// An operation on totals and on what does not depend on rows.
  RowUse combined(const Node& node) const {
    std::vector<RowUse> uses;
    for (const NodeId input : paths_of(node)) uses.push_back(values_[input.index].use);
    const auto linear = [](RowUse use) { return use == RowUse::Sum || use == RowUse::Count || use == RowUse::Mean; };
    const auto all = [&](RowUse a, RowUse b) {
      return std::ranges::all_of(uses, [&](RowUse use) { return use == a || use == b; });
    };
    switch (node.op) {
      case OpKind::Broadcast:
      case OpKind::Transpose:
      case OpKind::Reshape:
      case OpKind::Slice:
      case OpKind::Stop:
      case OpKind::Adjoint: return uses[0];
      case OpKind::Cast: return is_float(node.type.dtype) ? uses[0] : RowUse::Formula;
      case OpKind::Neg:
      case OpKind::ReduceSum: return linear(uses[0]) ? uses[0] : RowUse::Formula;
      case OpKind::Add:
      case OpKind::Sub:
        if (all(RowUse::Mean, RowUse::None)) return RowUse::Mean;
        return all(RowUse::Sum, RowUse::Count) ? RowUse::Sum : RowUse::Formula;
      case OpKind::Mul:
        if (uses[0] == RowUse::None && linear(uses[1])) return uses[1];
        return uses[1] == RowUse::None && linear(uses[0]) ? uses[0] : RowUse::Formula;
      case OpKind::Div:
        if (uses[1] == RowUse::None && linear(uses[0])) return uses[0];
        return uses[0] == RowUse::Sum && uses[1] == RowUse::Count ? RowUse::Mean : RowUse::Formula;
      default: return RowUse::Formula;
    }
  }

  const Graph& graph_;
  const ExampleSums& sums_;
  const RowSource& source_;
  const std::vector<FollowedRows>* given_ = nullptr;  // of a body: what its arguments are
  std::vector<FollowedRows> values_;
  std::map<NodeId, std::vector<FollowedRows>> parts_;  // of each scan
};

ResultRole role_of(RowUse use) {
  return use == RowUse::Largest    ? ResultRole::Largest
         : use == RowUse::Smallest ? ResultRole::Smallest
                                   : ResultRole::Sum;
}

/// Copies what results need of a graph down to its totals, which become feeds.
class ResultGraph {
 public:
  ResultGraph(const Graph& graph, const std::vector<RowValue>& flow, TotalsSplit& split)
      : graph_(graph), flow_(flow), split_(split), builder_(split.result) {
    split_.result.name = graph.name;
    split_.result.symbols = graph.symbols;
    split_.totals = graph;
    split_.totals.results.clear();
  }

  void add(const Output& output) {
    Output copy = output;
    copy.node = map(output.node);
    builder_.result(std::move(copy));
  }

 private:
  /// Nodes stay in their order: an operand comes before its readers.
  NodeId map(NodeId root) {
    std::vector<bool> needed(graph_.size(), false);
    needed[root.index] = true;
    for (uint32_t i = root.index + 1; i-- > 0;) {
      if (!needed[i] || is_leaf(NodeId{i})) continue;
      for (const NodeId input : graph_.nodes[i].inputs) needed[input.index] = true;
    }
    for (uint32_t i = 0; i <= root.index; ++i) {
      if (needed[i] && !map_.contains(NodeId{i})) map_.emplace(NodeId{i}, copy(NodeId{i}));
    }
    return map_.at(root);
  }

  bool is_leaf(NodeId id) const { return is_total(flow_[id.index].use) && flow_[id.index].cause == id; }

  NodeId copy(NodeId id) {
    const Node& node = graph_[id];
    builder_.set_place(node);
    if (is_leaf(id)) {
      const std::string name = fmt::format("total{}", split_.totals.results.size());
      split_.totals.results.push_back({name, role_of(flow_[id.index].use), -1, id});
      return builder_.argument({name, ArgRole::Feed, -1, {}}, node.type);
    }
    if (op_def(node).kind == Kind::Argument) {
      const auto index = static_cast<size_t>(node.attrs.integer("index"));
      return builder_.argument(graph_.arguments[index], node.type);
    }
    std::vector<NodeId> inputs;
    for (const NodeId input : node.inputs) inputs.push_back(map_.at(input));
    return builder_.copy(node, std::move(inputs));
  }

  const Graph& graph_;
  const std::vector<RowValue>& flow_;
  TotalsSplit& split_;
  Builder builder_;
  std::map<NodeId, NodeId> map_;
};

}  // namespace

std::vector<RowValue> row_flow(const Graph& graph, const ExampleSums& sums, const RowSource& source) {
  return RowFlow(graph, sums, source).run();
}

std::string coupling_name(const Graph& graph, NodeId cause) {
  const OpDef& op = op_def(graph[cause]);
  switch (op.kind) {
    case Kind::Extent: return "the number of rows";
    case Kind::Index: return "the number of a row (`index`)";
    case Kind::Random: return "a draw that all rows share";
    default: return fmt::format("`{}`", op.name);
  }
}

std::optional<TotalsSplit> split_totals(const Graph& graph, const std::vector<RowValue>& flow,
                                        const RowSource& source) {
  if (source.symbol < 0) return std::nullopt;  // a batch of fixed size: its rows are a constant of the formula
  TotalsSplit split;
  ResultGraph result(graph, flow, split);
  for (const Output& output : graph.results) {
    const RowUse use = flow[output.node.index].use;
    if (!averages(use) && use != RowUse::Mixed) result.add(output);
  }
  if (split.result.results.empty()) return std::nullopt;
  return split;
}

}  // namespace smelt
