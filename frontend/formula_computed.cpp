// Positions of index formulas that are computed: rows of `x[t[n], c]` are gathered, or chosen, first, and the read goes
// on along the axes of the labels.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "frontend/evaluator.h"
#include "frontend/formula.h"
#include "frontend/graph_writer.h"
#include "frontend/scan.h"
#include "frontend/scopes.h"
#include "frontend/shapes.h"

namespace smelt::frontend {

/// Whether a position is a sum of indices times numbers that are known while compiling. `told`: of one that had an
/// error.
bool Formulas::is_affine(ast::ExprId expr, bool& told) {
  const ast::Ast& ast = scopes_.ast();
  if (!mentions_index(expr)) {
    if (evaluator_.has_run_time_dim(expr)) return true;
    const Value value = position_value(expr);
    told = told || value.bad();
    const auto* tensor = value.as<Tensor>();
    return tensor == nullptr || tensor->weak;
  }
  if (ast.as<ast::NameExpr>(expr) != nullptr) return true;
  if (const auto* unary = ast.as<ast::UnaryExpr>(expr); unary != nullptr && unary->op == ast::UnaryOp::Neg)
    return is_affine(unary->operand, told);
  const auto* binary = ast.as<ast::BinaryExpr>(expr);
  if (binary == nullptr) return false;
  const bool sum = binary->op == ast::BinaryOp::Add || binary->op == ast::BinaryOp::Sub;
  const bool multiple = binary->op == ast::BinaryOp::Mul && mentions_index(binary->lhs) != mentions_index(binary->rhs);
  return (sum || multiple) && is_affine(binary->lhs, told) && is_affine(binary->rhs, told);
}

/// Positions are whole: a quotient in one is meant to be rounded.
Value Formulas::position_value(ast::ExprId expr) {
  const bool outside = std::exchange(scopes_.frame().around.dim_size, true);
  Value value = evaluator_.eval(expr);
  scopes_.frame().around.dim_size = outside;
  return value;
}

/// What a position is that is computed: labels at the indices of the formula, `x[t[n], c]`, what is made of them,
/// `x[t[n] + i, c]`, or of indices alone, `x[n, i / 2]`, the last of a run-time dim, `x[n, T - 1, c]`, or the step of a
/// loop and other numbers, `x[n, s, c]`. Without a value: a function of the indices.
std::optional<Value> Formulas::data_index(const Tensor& base, size_t axis, ast::ExprId index) {
  const bool varies = mentions_index(index);
  if (!varies && evaluator_.has_run_time_dim(index)) return evaluator_.position_from_end(index, base, axis);
  bool told = false;
  if (varies && is_affine(index, told)) return told ? std::optional(Value()) : std::nullopt;
  if (told) return Value();
  Value value = position_value(index);
  const auto* tensor = value.as<Tensor>();
  return varies || (tensor != nullptr && !tensor->weak) ? std::optional(std::move(value)) : std::nullopt;
}

/// The labels that a position gives along an axis of x, which lie inside of it as far as they come from outside.
std::optional<Tensor> Formulas::labels_along(const Tensor& x, const ComputedPosition& position) {
  const Span span = scopes_.span_of(position.expr);
  const std::optional<Tensor> rows = graph_.expect_tensor(position.value, span);
  if (!rows || !as_read(*rows, span)) return std::nullopt;
  if (class_of(rows->dtype) != DTypeClass::Int) {
    diagnostics_
        .report(Diag::E0111, span, fmt::format("a position is a whole number, not `{}`", shapes_.type_text(*rows)))
        .with_help("rows are read by labels: `x[t[n], c]` with `t: ix<D>[N]`");
    return std::nullopt;
  }
  const std::optional<IndexRange> range = rows->axes.empty() ? scans_.range_of(rows->node) : std::nullopt;
  const Axis& read_axis = x.axes[position.axis];
  if (range && (range->low < 0 || range->high >= read_axis.extent.bound)) {
    diagnostics_
        .report(Diag::E0109, span,
                fmt::format("{} is from {} to {}, outside of 0..{} of `{}`", printable(sources_.text(span)), range->low,
                            range->high, read_axis.extent.bound, shapes_.type_text(x)))
        .with_help("run over fewer steps, or keep it inside: `max(t - 1, 0)`, `min(t + 1, T - 1)`");
    return std::nullopt;
  }
  const bool labels = scopes_.ast().as<ast::IndexExpr>(position.expr) != nullptr;
  return range || graph_.check_positions(*rows, read_axis, span, !labels) ? rows : std::nullopt;
}

/// Replaces what is computed: numbers one by one, of labels those of several axes at once. `positions`: what stands in
/// the brackets for each axis that is left.
bool Formulas::take_computed(FormulaRead& read, std::vector<ComputedPosition> computed,
                             std::vector<ast::ExprId>& positions) {
  Labels labels;
  for (size_t k = computed.size(); k-- > 0;) {
    const std::optional<Tensor> rows = labels_along(read.base, computed[k]);
    if (!rows) return false;
    const size_t axis = computed[k].axis;
    if (computed.size() == 1 || !rows->axes.empty()) {
      labels.insert(labels.begin(), {axis, *rows, computed[k].expr});
      continue;
    }
    if (!take_rows(read, axis, *rows, scopes_.span_of(computed[k].expr))) return false;
    positions.erase(positions.begin() + static_cast<std::ptrdiff_t>(axis));
    for (AxisLabels& later : labels) --later.axis;
  }
  if (labels.empty()) return true;
  if (labels.size() > 1 && !join_labels(read, labels, positions)) return false;
  const auto& [axis, rows, expr] = labels[0];
  if (!take_rows(read, axis, rows, scopes_.span_of(expr))) return false;
  positions.erase(positions.begin() + static_cast<std::ptrdiff_t>(axis));
  positions.insert(positions.begin(), read.axes.size() - positions.size(), expr);
  return true;
}

/// i * J + j of labels i and j along axes of these sizes, `all` places together; each label is kept inside.
std::optional<Tensor> Formulas::joined_label(const Labels& labels, const std::vector<int64_t>& sizes, int64_t all,
                                             Span span) {
  const DType dtype = all > std::numeric_limits<int32_t>::max() ? DType::I64 : DType::I32;
  Value joined = Value(0.0);
  for (size_t k = 0; k < labels.size(); ++k) {
    const std::optional<Tensor> whole = graph_.cast_to(labels[k].rows, dtype, span);
    if (!whole) return std::nullopt;
    const auto size = static_cast<double>(sizes[k]);
    Value inside = graph_.elementwise(OpKind::Min, {Value(*whole), Value(size - 1)}, span, "min");
    inside = graph_.elementwise(OpKind::Max, {inside, Value(0.0)}, span, "max");
    joined = graph_.binary(ast::BinaryOp::Mul, joined, Value(size), span);
    joined = graph_.binary(ast::BinaryOp::Add, joined, inside, span);
  }
  const auto* tensor = joined.as<Tensor>();
  return tensor == nullptr ? std::nullopt : std::optional(*tensor);
}

/// `x[n, i[n, t], j[n, t], d]`: the axes of i and j become one, where the first of them is, and have one label.
bool Formulas::join_labels(FormulaRead& read, Labels& labels, std::vector<ast::ExprId>& positions) {
  const Span span = scopes_.span_of(labels[1].expr);
  const Axes axes = read.base.axes;
  std::vector<int64_t> together, sizes;
  int64_t all = 1;
  for (const auto& [axis, rows, expr] : labels) {
    const Extent& extent = axes[axis].extent;
    if (!extent.is_static()) {
      unsupported(diagnostics_, span, "a second computed position beside a dim whose size shows at run time",
                  "read along one of them first: `rows[n, w] = x[i[n], w]`, then `z[n] = rows[n, j[n]]`");
      return false;
    }
    all *= extent.bound;
    sizes.push_back(extent.bound);
    together.push_back(static_cast<int64_t>(axis));
  }
  const std::optional<Tensor> label = joined_label(labels, sizes, all, span);
  if (!label) return false;
  const auto first = static_cast<size_t>(together[0]);
  std::vector<int64_t> order;
  Axes rest;
  std::vector<Affine> places;
  std::vector<ast::ExprId> exprs;
  for (size_t i = 0; i < axes.size(); ++i) {
    const bool joins = std::ranges::find(together, static_cast<int64_t>(i)) != together.end();
    if (joins && i != first) continue;
    if (joins)
      order.insert(order.end(), together.begin(), together.end());
    else
      order.push_back(static_cast<int64_t>(i));
    rest.push_back(joins ? Axis{kAnonymous, Extent(all)} : axes[i]);
    places.push_back(joins ? Affine{} : read.axes[i]);
    exprs.push_back(positions[i]);
  }
  Builder& graph = graph_.builder();
  graph.set_span(span);
  const NodeId turned = std::ranges::is_sorted(order) ? read.base.node : graph.transpose(read.base.node, order);
  Shape shape;
  for (const Axis& axis : rest) shape.push_back(axis.extent);
  read.base = graph_.tensor(graph.reshape(turned, shape), std::move(rest));
  read.axes = std::move(places);
  positions = std::move(exprs);
  labels = {{first, *label, labels[0].expr}};
  return true;
}

/// The rows of an axis at labels that lie inside of it.
bool Formulas::take_rows(FormulaRead& read, size_t axis, const Tensor& rows, Span span) {
  const std::optional<FormulaRead> places = as_read(rows, span);
  if (!places) return false;
  // A gather in each step would have a gradient of the whole operand in each step.
  if (const std::optional<Tensor> slice = scans_.slice_at_step(read.base, axis, rows, span)) {
    read.base = *slice;
    read.axes.erase(read.axes.begin() + static_cast<std::ptrdiff_t>(axis));
    return true;
  }
  if (take_one_of_axis(read, axis, rows, *places, span)) return true;
  if (take_in_batch(read, axis, rows, *places, span)) return true;
  std::vector<int64_t> permutation{static_cast<int64_t>(axis)};
  Axes axes = rows.axes;
  std::vector<Affine> rest = places->axes;
  for (size_t i = 0; i < read.base.axes.size(); ++i) {
    if (i == axis) continue;
    permutation.push_back(static_cast<int64_t>(i));
    axes.push_back(read.base.axes[i]);
    rest.push_back(read.axes[i]);
  }
  Builder& graph = graph_.builder();
  graph.set_span(span);
  const NodeId table = axis == 0 ? read.base.node : graph.transpose(read.base.node, permutation);
  if (!shapes_.check_size(read.base.dtype, axes, span)) return false;
  read.base = graph_.tensor(graph.make(OpKind::Gather, {table, rows.node}), std::move(axes));
  read.axes = std::move(rest);
  return true;
}

/// `x[n, t, label[n, t]]`, `x[n, last[n], d]`: one element of an axis for each of others. It is the sum over the axis
/// of what the label chooses: one pass over x, and its gradient is a choice as well. A gather would copy x to have the
/// axis in front, and its gradient would add up a row of all elements for each of them. A step of a loop gathers from
/// what is the same in all of them.
bool Formulas::take_one_of_axis(FormulaRead& read, size_t axis, const Tensor& rows, const FormulaRead& places,
                                Span span) {
  const Axes& axes = read.base.axes;
  if (!is_float(read.base.dtype) || rows.axes.empty()) return false;
  if (scans_.is_same_in_steps(read.base)) return false;
  std::vector<int64_t> along;  // of each axis of the labels, the axis of x that has its index
  for (size_t j = 0; j < rows.axes.size(); ++j) {
    for (size_t i = 0; i < axes.size(); ++i) {
      const bool same = i != axis && read.axes[i].is_index() && read.axes[i] == places.axes[j];
      if (same && axes[i].extent == rows.axes[j].extent) along.push_back(static_cast<int64_t>(i));
    }
    if (along.size() != j + 1) return false;
  }
  Builder& graph = graph_.builder();
  graph.set_span(span);
  const Shape shape = graph.type(read.base.node).shape;
  const Extent& extent = axes[axis].extent;
  NodeId last = graph.like(rows.node, static_cast<double>(extent.bound - 1));
  if (!extent.is_static()) {
    const NodeId size = graph.cast(graph.extent(extent.symbol, extent.bound, DType::F64), rows.dtype);
    last = graph.broadcast(graph.sub(size, graph.like(size, 1)), graph.type(rows.node).shape, {});
  }
  const NodeId inside = graph.make(OpKind::Max, {graph.make(OpKind::Min, {rows.node, last}), graph.like(rows.node, 0)});
  const NodeId position = graph.index({graph.type(inside).dtype, shape}, static_cast<int64_t>(axis));
  const NodeId hit = graph.make(OpKind::Eq, {position, graph.broadcast(inside, shape, std::move(along))});
  const NodeId chosen = graph.select(hit, read.base.node, graph.like(read.base.node, 0));
  Axes kept = axes;
  kept.erase(kept.begin() + static_cast<std::ptrdiff_t>(axis));
  read.axes.erase(read.axes.begin() + static_cast<std::ptrdiff_t>(axis));
  read.base = graph_.tensor(graph.reduce_sum(chosen, {static_cast<int64_t>(axis)}), std::move(kept));
  return true;
}

/// `x[n, at[n, t], d]`: axes that x and the labels share count a batch, each element of which has rows of its own. As a
/// gather it would read the rows of every element for each of them, and its gradient would add those up. Passes that
/// make a step of a loop know that form.
bool Formulas::take_in_batch(FormulaRead& read, size_t axis, const Tensor& rows, const FormulaRead& places, Span span) {
  if (scans_.is_open()) return false;
  const Axes& axes = read.base.axes;
  std::vector<int64_t> of_table, of_labels;  // axes in their new order: those of the batch first
  for (size_t i = 0; i < axes.size(); ++i) {
    if (i == axis || !read.axes[i].is_index()) continue;
    const auto same = std::ranges::find(places.axes, read.axes[i]);
    const auto j = same - places.axes.begin();
    if (same == places.axes.end() || axes[i].extent != rows.axes[static_cast<size_t>(j)].extent ||
        std::ranges::find(of_labels, j) != of_labels.end())
      continue;
    of_table.push_back(static_cast<int64_t>(i));
    of_labels.push_back(j);
  }
  if (of_table.empty()) return false;
  const auto batch = static_cast<int64_t>(of_table.size());
  Axes result;
  std::vector<Affine> positions;
  const auto take = [&](std::vector<int64_t>& order, int64_t at, const Axis& one, const Affine& position) {
    if (std::ranges::find(order, at) != order.end()) return;
    order.push_back(at);
    result.push_back(one);
    positions.push_back(position);
  };
  for (const int64_t i : of_table) {
    result.push_back(axes[static_cast<size_t>(i)]);
    positions.push_back(read.axes[static_cast<size_t>(i)]);
  }
  for (size_t j = 0; j < rows.axes.size(); ++j) take(of_labels, static_cast<int64_t>(j), rows.axes[j], places.axes[j]);
  of_table.push_back(static_cast<int64_t>(axis));
  for (size_t i = 0; i < axes.size(); ++i) take(of_table, static_cast<int64_t>(i), axes[i], read.axes[i]);
  if (!shapes_.check_size(read.base.dtype, result, span)) return false;
  Builder& graph = graph_.builder();
  graph.set_span(span);
  const auto ordered = [&](NodeId x, const std::vector<int64_t>& order) {
    return std::ranges::is_sorted(order) ? x : graph.transpose(x, order);
  };
  const NodeId table = ordered(read.base.node, of_table), labels = ordered(rows.node, of_labels);
  read.base = graph_.tensor(graph.make(OpKind::BatchGather, {table, labels}, {{"batch", batch}}), std::move(result));
  read.axes = std::move(positions);
  return true;
}

}  // namespace smelt::frontend
