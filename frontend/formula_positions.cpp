// Positions of index formulas: what stands in the brackets of `x[2*i + u - 1, t[n], c]`.
//
// A position is an affine function of the indices, or it is computed: then rows are gathered, or chosen, first. Whether
// all of them are inside of the operand shows here as well.
#include <fmt/format.h>

#include <utility>

#include "frontend/evaluator.h"
#include "frontend/formula.h"
#include "frontend/graph_writer.h"
#include "frontend/scan.h"
#include "frontend/scopes.h"
#include "frontend/shapes.h"

namespace smelt::frontend {

/// `2*i + u - 1` as a function of the open indices.
std::optional<Affine> Formulas::affine(ast::ExprId expr) {
  const ast::Ast& ast = scopes_.ast();
  if (!mentions_index(expr)) {
    // Positions are whole: a quotient in one is meant to be rounded.
    const bool outside = std::exchange(scopes_.frame().around.dim_size, true);
    const Value value = evaluator_.eval(expr);
    scopes_.frame().around.dim_size = outside;
    const auto constant = shapes_.expect_integer(value, scopes_.span_of(expr), "an index");
    return constant ? std::optional(Affine{*constant, {}}) : std::nullopt;
  }
  if (const auto* name = ast.as<ast::NameExpr>(expr)) return Affine::of(find(name->name));
  if (const auto* unary = ast.as<ast::UnaryExpr>(expr); unary != nullptr && unary->op == ast::UnaryOp::Neg) {
    const std::optional<Affine> x = affine(unary->operand);
    return x ? std::optional(*x * -1) : std::nullopt;
  }
  const auto* binary = ast.as<ast::BinaryExpr>(expr);
  if (binary != nullptr && (binary->op == ast::BinaryOp::Add || binary->op == ast::BinaryOp::Sub)) {
    const std::optional<Affine> a = affine(binary->lhs), b = affine(binary->rhs);
    if (!a || !b) return std::nullopt;
    return binary->op == ast::BinaryOp::Add ? *a + *b : *a - *b;
  }
  const bool one_factor = binary != nullptr && binary->op == ast::BinaryOp::Mul &&
                          mentions_index(binary->lhs) != mentions_index(binary->rhs);
  if (one_factor) {
    const std::optional<Affine> a = affine(binary->lhs), b = affine(binary->rhs);
    if (!a || !b) return std::nullopt;
    return a->terms.empty() ? *b * a->constant : *a * b->constant;
  }
  diagnostics_.report(Diag::E0111, scopes_.span_of(expr), "a position is a sum of indices times whole numbers")
      .with_help("write `x[2*i + u - 1]`; other rows are read by labels: `x[t[n], c]` with `t: ix<D>[N]`");
  return std::nullopt;
}

/// What a position is that is computed: labels at the indices of the formula, `x[t[n], c]`, the last of a run-time dim,
/// `x[n, T - 1, c]`, or the step of a loop and other numbers, `x[n, s, c]`. Without a value: a function of the indices.
std::optional<Value> Formulas::data_index(const Tensor& base, size_t axis, ast::ExprId index) {
  const bool varies = mentions_index(index);
  if (!varies && evaluator_.has_run_time_dim(index)) return evaluator_.position_from_end(index, base, axis);
  if (varies && scopes_.ast().as<ast::IndexExpr>(index) == nullptr) return std::nullopt;
  Value value = evaluator_.eval(index);
  const auto* tensor = value.as<Tensor>();
  return varies || (tensor != nullptr && !tensor->weak) ? std::optional(std::move(value)) : std::nullopt;
}

/// A position that is computed: rows of `axis` are gathered first, and the read goes on along the axes of the labels.
bool Formulas::take_data_index(FormulaRead& read, size_t axis, const Value& position, ast::ExprId index) {
  const std::optional<Tensor> rows = graph_.expect_tensor(position, scopes_.span_of(index));
  if (!rows) return false;
  const std::optional<FormulaRead> places = as_read(*rows, scopes_.span_of(index));
  if (!places) return false;
  if (class_of(rows->dtype) != DTypeClass::Int) {
    diagnostics_
        .report(Diag::E0111, scopes_.span_of(index),
                fmt::format("a position is a whole number, not `{}`", shapes_.type_text(*rows)))
        .with_help("rows are read by labels: `x[t[n], c]` with `t: ix<D>[N]`");
    return false;
  }
  const std::optional<IndexRange> range = rows->axes.empty() ? scans_.range_of(rows->node) : std::nullopt;
  const Axis& read_axis = read.base.axes[axis];
  if (range && (range->low < 0 || range->high >= read_axis.extent.bound)) {
    diagnostics_
        .report(Diag::E0109, scopes_.span_of(index),
                fmt::format("{} is from {} to {}, outside of 0..{} of `{}`",
                            printable(sources_.text(scopes_.span_of(index))), range->low, range->high,
                            read_axis.extent.bound, shapes_.type_text(read.base)))
        .with_help("run over fewer steps, or keep it inside: `max(t - 1, 0)`, `min(t + 1, T - 1)`");
    return false;
  }
  if (!range && !graph_.check_positions(*rows, read_axis, scopes_.span_of(index))) return false;
  // A gather in each step would have a gradient of the whole operand in each step.
  if (const std::optional<Tensor> slice = scans_.slice_at_step(read.base, axis, *rows, scopes_.span_of(index))) {
    read.base = *slice;
    read.axes.erase(read.axes.begin() + static_cast<std::ptrdiff_t>(axis));
    return true;
  }
  if (take_one_of_axis(read, axis, *rows, *places, scopes_.span_of(index))) return true;
  if (take_in_batch(read, axis, *rows, *places, scopes_.span_of(index))) return true;
  std::vector<int64_t> permutation{static_cast<int64_t>(axis)};
  Axes axes = rows->axes;
  std::vector<Affine> rest = places->axes;
  for (size_t i = 0; i < read.base.axes.size(); ++i) {
    if (i == axis) continue;
    permutation.push_back(static_cast<int64_t>(i));
    axes.push_back(read.base.axes[i]);
    rest.push_back(read.axes[i]);
  }
  Builder& graph = graph_.builder();
  graph.set_span(scopes_.span_of(index));
  const NodeId table = axis == 0 ? read.base.node : graph.transpose(read.base.node, permutation);
  if (!shapes_.check_size(read.base.dtype, axes, scopes_.span_of(index))) return false;
  read.base = graph_.tensor(graph.make(OpKind::Gather, {table, rows->node}), std::move(axes));
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

/// An axis whose length shows at run time is read as it is, by an index that runs over all of it.
bool Formulas::check_run_time_axis(const Affine& position, const Axis& axis, Span span) {
  const FormulaIndex* run_time = nullptr;
  for (const auto& [index, factor] : position.terms) {
    const FormulaIndex& term = scopes_.frame().indices[static_cast<size_t>(index)];
    if (!term.axis.extent.is_static()) run_time = &term;
  }
  if (axis.extent.is_static() && run_time == nullptr) return true;
  const std::string text(printable(sources_.text(span)));
  const std::string seen =
      axis.extent.is_static()
          ? fmt::format("`{}` runs over {}, whose size shows at run time, and reads {}", text,
                        shapes_.sized_text(run_time->axis), shapes_.sized_text(axis))
          : fmt::format("`{}` reads a part of {}, whose size shows at run time", text, shapes_.sized_text(axis));
  auto& report = diagnostics_.report(Diag::E0109, span, seen);
  report.note(
      "along a dim T of such a size a formula reads `x[i]`, moved `x?[i - 1]`, a part `x[i + 1]` with `i < T - 1`, or "
      "`x[0]`");
  report.with_help("give the dim a fixed size, or walk over it: `scan t < T with ..` and `x[t]`");
  return false;
}

/// Plain accesses stay inside of their operand, whatever the indices are.
bool Formulas::check_bounds(FormulaRead& read, const std::vector<ast::ExprId>& positions) {
  std::vector<int64_t> sizes;
  for (const FormulaIndex& index : scopes_.frame().indices) sizes.push_back(index.axis.extent.bound);
  bool inside = true;
  for (size_t i = 0; i < read.axes.size(); ++i) {
    const Affine& position = read.axes[i];
    const Axis& axis = read.base.axes[i];
    const Span span = scopes_.span_of(positions[i]);
    const std::string what = std::string(printable(sources_.text(span)));
    if (position.is_index()) {
      const FormulaIndex& index = scopes_.frame().indices[static_cast<size_t>(position.terms[0].first)];
      if (index.axis.extent == axis.extent) continue;
      if (!index.stated && !read.bounded) {
        const bool fixed = index.axis.extent.is_static() && axis.extent.is_static();
        diagnostics_
            .report(Diag::E0111, span,
                    fmt::format("index `{}` runs over {} and over {}", index.name, shapes_.sized_text(index.axis),
                                shapes_.sized_text(axis)))
            .with_help(fixed
                           ? fmt::format("write `{} < 2` to read a part", index.name)
                           : fmt::format("write how far it runs, `{} < T - 1`, to read a part of a dim T", index.name));
        return false;
      }
    }
    if (read.bounded && scopes_.frame().inside != nullptr && !axis.extent.is_static() && !position.is_index()) {
      // What lies outside would have to be left out at each place of the body.
      (void)unsupported(diagnostics_, span, "`max`, `min` or `prod` of a formula around `x?[..]` along a run-time dim",
                        "take it of the bare `x?[..]`, or give the dim a fixed size");
      return false;
    }
    if (!check_run_time_axis(position, axis, span)) return false;
    const IndexRange range = range_of(position, sizes);
    const bool fits = range.low >= 0 && range.high < axis.extent.bound && axis.extent.is_static();
    inside = inside && fits;
    if (fits || read.bounded) continue;
    diagnostics_
        .report(Diag::E0109, span,
                fmt::format("{} is from {} to {}, outside of 0..{} of `{}`", what, range.low, range.high,
                            axis.extent.bound, shapes_.type_text(read.base)))
        .with_help("write `?[..]`, which reads 0 outside, or a smaller extent: `i < n`");
    return false;
  }
  if (inside) read.bounded = false;
  return true;
}

std::optional<FormulaRead> Formulas::read_of(const ast::IndexExpr& access, Span span, double outside) {
  if (scopes_.in_field()) {
    unsupported(diagnostics_, span, "an index formula in a data section");
    return std::nullopt;
  }
  const Value value = evaluator_.eval(access.base);
  const Span place = scopes_.span_of(access.base);
  const std::optional<Tensor> base =
      outside == 0 ? graph_.expect_tensor(value, place) : graph_.expect_float(value, place);
  if (!base) return std::nullopt;
  if (base->axes.size() != access.indices.size()) {
    diagnostics_
        .report(Diag::E0109, span,
                fmt::format("`{}` has {} axes, and {} of them are read", shapes_.type_text(*base), base->axes.size(),
                            access.indices.size()))
        .with_help("a formula gives a position for each axis");
    return std::nullopt;
  }
  FormulaRead read{*base, {}, access.bounded};
  std::optional<std::pair<size_t, Value>> rows;  // axis, position
  for (size_t i = 0; i < access.indices.size(); ++i) {
    const ast::ExprId index = access.indices[i];
    const std::optional<Value> computed = data_index(*base, i, index);
    if (computed && computed->bad()) return std::nullopt;
    if (computed && rows) {
      unsupported(diagnostics_, scopes_.span_of(index), "a second position that is computed",
                  "read along one of them first: `rows[n, w] = x[i[n], w]`, then `z[n] = rows[n, j[n]]`");
      return std::nullopt;
    }
    if (computed) rows.emplace(i, *computed);
    const std::optional<Affine> position = computed ? Affine{} : affine(index);
    if (!position) return std::nullopt;
    read.axes.push_back(*position);
  }
  std::vector<ast::ExprId> positions = access.indices;
  if (rows) {
    if (!take_data_index(read, rows->first, rows->second, access.indices[rows->first])) return std::nullopt;
    positions.erase(positions.begin() + static_cast<std::ptrdiff_t>(rows->first));
    positions.insert(positions.begin(), read.axes.size() - positions.size(), access.indices[rows->first]);
  }
  take_run_time_parts(read, positions, outside);
  if (!check_bounds(read, positions)) return std::nullopt;
  return read;
}

}  // namespace smelt::frontend
