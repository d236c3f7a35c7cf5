#include "compiler/graph/touch_rows.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <vector>

#include "ir/op.h"
#include "ir/rewrite.h"

namespace smelt {
namespace {

// To find the first of equal rows takes a comparison of all pairs of updates.
constexpr int64_t kRowsAnUpdate = 4;

/// What a value is in the rows that have no update: 0, what `same` has there, or something else.
struct Elsewhere {
  bool zero = false;
  NodeId same;  // when it is another value, of all rows
};

/// Whether each row along the first axis is the same.
bool repeats_rows(const Node& node) {
  if (node.op == OpKind::Constant) return true;
  if (node.op != OpKind::Broadcast) return false;
  const std::vector<int64_t>& axes = node.attrs.integers("axes");
  return std::ranges::find(axes, 0) == axes.end();
}

/// One gradient of a table, and what is computed of it by element.
class TableGradient {
 public:
  TableGradient(const Graph& graph, const std::vector<std::vector<NodeId>>& users, NodeId scatter)
      : graph_(graph), users_(users), scatter_(scatter) {
    const Node& node = graph[scatter];
    elsewhere_[scatter] = {.zero = true, .same = {}};
    for (uint32_t i = scatter.index + 1; i < graph.size(); ++i) {
      const Node& reader = graph.nodes[i];
      const bool reads = std::ranges::any_of(reader.inputs, [&](NodeId input) { return elsewhere_.contains(input); });
      if (reads && op_def(reader).kind == Kind::Elementwise && reader.type.shape == node.type.shape)
        elsewhere_[{i}] = without_update(reader);
    }
  }

  /// Whether all that is read of it are new values of tables, and sums over all rows.
  bool is_of_few_rows() const {
    const Shape& rows = graph_.type(graph_[scatter_].inputs[0]).shape;
    const TensorType& table = graph_.type(scatter_);
    const int64_t updates = num_elements(rows).value_or(INT32_MAX);
    if (!table.shape[0].is_static() || updates > table.shape[0].bound / kRowsAnUpdate) return false;
    if (updates * updates > num_elements(table.shape).value_or(0)) return false;
    for (const Output& result : graph_.results) {
      if (elsewhere_.contains(result.node) && !is_new_table(result)) return false;
    }
    return std::ranges::all_of(elsewhere_, [&](const auto& entry) {
      return std::ranges::all_of(users_[entry.first.index],
                                 [&](NodeId user) { return elsewhere_.contains(user) || sums_rows(user); });
    });
  }

  /// A variable that keeps its rows where there is no update.
  bool is_new_table(const Output& result) const {
    const auto value = elsewhere_.find(result.node);
    if (value == elsewhere_.end() || result.role != ResultRole::Variable || !value->second.same.valid()) return false;
    const Node& old = graph_[value->second.same];
    if (old.op != OpKind::Argument) return false;
    const Argument& argument = graph_.arguments[static_cast<size_t>(old.attrs.integer("index"))];
    return argument.role == ArgRole::Variable && argument.ref == result.ref;
  }

  /// A sum over the rows of zeros where there is no update, in which nothing differs from row to row but the gradient.
  bool sums_rows(NodeId id) const {
    const Node& node = graph_[id];
    if (node.op != OpKind::ReduceSum || !elsewhere_.contains(node.inputs[0])) return false;
    const std::vector<int64_t>& axes = node.attrs.integers("axes");
    return std::ranges::find(axes, 0) != axes.end() && elsewhere_.at(node.inputs[0]).zero &&
           is_alike_in_rows(node.inputs[0]);
  }

  NodeId scatter() const { return scatter_; }
  bool has(NodeId id) const { return elsewhere_.contains(id); }
  NodeId old_value(NodeId id) const { return elsewhere_.at(id).same; }

 private:
  Elsewhere of(NodeId id) const {
    if (const auto known = elsewhere_.find(id); known != elsewhere_.end()) return known->second;
    const Node& node = graph_[id];
    const bool zero = node.op == OpKind::Constant && node.attrs.number("value") == 0;
    return {.zero = zero, .same = zero ? NodeId() : id};
  }

  Elsewhere without_update(const Node& node) const {
    const ScalarReferenceFn reference = op_def(node).reference;
    if (reference == nullptr) return {};
    std::vector<Elsewhere> operands;
    for (const NodeId input : node.inputs) {
      operands.push_back(of(input));
      if (!operands.back().zero && graph_.type(input).dtype == DType::Bool) return {};  // either, of a select
    }
    // The op's own formula tells, at numbers that are no operation's fixed points.
    bool zero = true;
    std::vector<bool> same(operands.size(), true);
    for (const double sample : {-3.7, 0.43, 1017.3}) {
      std::vector<double> values;
      for (size_t k = 0; k < operands.size(); ++k)
        values.push_back(operands[k].zero ? 0 : sample * (1 + 0.37 * static_cast<double>(k)));
      const double result = reference(values);
      zero = zero && result == 0;
      for (size_t k = 0; k < operands.size(); ++k) same[k] = same[k] && result == values[k];
    }
    if (zero) return {.zero = true, .same = {}};
    for (size_t k = 0; k < operands.size(); ++k) {
      if (same[k] && !operands[k].zero && graph_.type(node.inputs[k]) == node.type) return operands[k];
    }
    return {};
  }

  /// Whether each row of what is no gradient in it is the same.
  bool is_alike_in_rows(NodeId id) const {
    if (id == scatter_) return true;
    const Node& node = graph_[id];
    if (!elsewhere_.contains(id)) return repeats_rows(node);
    return std::ranges::all_of(node.inputs, [&](NodeId input) { return is_alike_in_rows(input); });
  }

  const Graph& graph_;
  const std::vector<std::vector<NodeId>>& users_;
  NodeId scatter_;
  std::map<NodeId, Elsewhere> elsewhere_;  // of the gradient, and of what is computed of it by element
};

/// Computes a formula of a table's gradient for few rows.
class FewRows {
 public:
  FewRows(const Graph& graph, GraphRebuilder& rebuilder, const TableGradient& gradient)
      : graph_(graph), rebuilder_(rebuilder), gradient_(gradient) {
    const Node& scatter = graph[gradient.scatter()];
    Builder& b = rebuilder.build();
    b.set_place(scatter);
    index_ = rebuilder.map(scatter.inputs[0]);
    rows_ = b.type(index_).shape;
    const NodeId first = first_places();
    TensorType sums = scatter.type;
    sums.shape[0] = Extent(*num_elements(rows_));
    const NodeId updates = rebuilder.map(scatter.inputs[1]);
    const NodeId summed = b.make(OpKind::ScatterAdd, {first, updates}, {{"type", sums}});
    summed_[gradient.scatter()] = summed;
    read_[gradient.scatter()] = b.make(OpKind::Gather, {summed, first});
  }

  /// The new table, whose rows were `old`.
  NodeId put(NodeId value) {
    const NodeId rows = read(value);
    const NodeId to = rebuilder_.map(gradient_.old_value(value));
    return rebuilder_.build().make(OpKind::PutRows, {index_, rows, to});
  }

  NodeId sum(const Node& reduction) {
    const NodeId rows = summed(reduction.inputs[0]);
    return rebuilder_.build().make(reduction.op, {rows}, reduction.attrs);
  }

 private:
  /// For each update the first one of the same row.
  NodeId first_places() {
    Builder& b = rebuilder_.build();
    const auto rank = static_cast<int64_t>(rows_.size());
    Shape pairs = rows_;
    pairs.insert(pairs.end(), rows_.begin(), rows_.end());
    std::vector<int64_t> one(rows_.size()), other(rows_.size());
    std::iota(one.begin(), one.end(), 0);
    std::iota(other.begin(), other.end(), rank);
    const NodeId left = b.broadcast(index_, pairs, one), right = b.broadcast(index_, pairs, other);
    const NodeId equal = b.make(OpKind::Eq, {left, right});
    const NodeId place = b.broadcast(b.position(rows_), pairs, other);
    const NodeId candidates = b.select(equal, place, b.like(place, static_cast<double>(*num_elements(rows_))));
    return b.reduce_min(candidates, std::move(other));  // of one label there is no axis
  }

  /// `id` in the rows that have updates, a row for each update.
  NodeId read(NodeId id) {
    if (const auto known = read_.find(id); known != read_.end()) return known->second;
    const Node& node = graph_[id];
    NodeId made;
    if (gradient_.has(id)) {
      made = by_element(node, [&](NodeId input) { return read(input); });
    } else if (repeats_rows(node)) {
      made = repeated(node, rows_);
    } else {
      made = rebuilder_.build().make(OpKind::Gather, {rebuilder_.map(id), index_});
    }
    return read_[id] = made;
  }

  /// `id` in one row for each row that has updates, and in rows that have none.
  NodeId summed(NodeId id) {
    if (const auto known = summed_.find(id); known != summed_.end()) return known->second;
    const Node& node = graph_[id];
    const NodeId made = gradient_.has(id) ? by_element(node, [&](NodeId input) { return summed(input); })
                                          : repeated(node, {Extent(*num_elements(rows_))});
    return summed_[id] = made;
  }

  template <typename Of>
  NodeId by_element(const Node& node, const Of& of) {
    std::vector<NodeId> operands;
    for (const NodeId input : node.inputs) operands.push_back(of(input));
    rebuilder_.build().set_place(node);
    return rebuilder_.build().make(node.op, std::move(operands), node.attrs);
  }

  /// What is the same in all rows, in rows of another shape.
  NodeId repeated(const Node& node, const Shape& rows) {
    Shape shape = rows;
    shape.insert(shape.end(), node.type.shape.begin() + 1, node.type.shape.end());
    Builder& b = rebuilder_.build();
    if (node.op == OpKind::Constant) return b.constant(node.attrs.number("value"), {node.type.dtype, shape});
    std::vector<int64_t> axes = node.attrs.integers("axes");
    for (int64_t& axis : axes) axis += static_cast<int64_t>(rows.size()) - 1;
    return b.broadcast(rebuilder_.map(node.inputs[0]), shape, axes);
  }

  const Graph& graph_;
  GraphRebuilder& rebuilder_;
  const TableGradient& gradient_;
  NodeId index_;
  Shape rows_;                              // of the index
  std::map<NodeId, NodeId> read_, summed_;  // by old node
};

}  // namespace

Graph touch_rows(Graph graph) {
  const auto users = users_of(graph);
  std::vector<TableGradient> gradients;
  for (uint32_t i = 0; i < graph.size(); ++i) {
    if (graph.nodes[i].op != OpKind::ScatterAdd) continue;
    TableGradient gradient(graph, users, {i});
    if (gradient.is_of_few_rows()) gradients.push_back(std::move(gradient));
  }
  if (gradients.empty()) return graph;
  GraphRebuilder rebuilder(graph);
  std::map<NodeId, FewRows> few;  // by scatter
  for (uint32_t i = 0; i < graph.size(); ++i) {
    rebuilder.copy({i});
    for (const TableGradient& gradient : gradients) {
      if (gradient.scatter() == NodeId{i}) few.try_emplace({i}, graph, rebuilder, gradient);
      const bool is_new = std::ranges::any_of(graph.results, [&](const Output& result) {
        return result.node == NodeId{i} && gradient.is_new_table(result);
      });
      if (is_new) rebuilder.replace({i}, few.at(gradient.scatter()).put({i}));
      if (gradient.sums_rows({i})) rebuilder.replace({i}, few.at(gradient.scatter()).sum(graph.nodes[i]));
    }
  }
  return rebuilder.finish();
}

}  // namespace smelt
