// Indices and accesses of index formulas.
#include "frontend/formula.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "frontend/ast_walk.h"
#include "frontend/evaluator.h"
#include "frontend/graph_writer.h"
#include "frontend/scan.h"
#include "frontend/scopes.h"
#include "frontend/shapes.h"
#include "frontend/signatures.h"

namespace smelt::frontend {

// ---- indices ----

/// The innermost open index of this name, as its place, or -1.
int32_t Formulas::find(std::string_view name) const {
  const std::vector<FormulaIndex>& open = scopes_.frame().indices;
  for (size_t k = open.size(); k-- > 0;) {
    if (open[k].name == name) return static_cast<int32_t>(k);
  }
  return -1;
}

std::optional<Value> Formulas::index_value(std::string_view name, Span span) {
  const int32_t k = find(name);
  if (k < 0) return std::nullopt;
  const FormulaIndex& index = scopes_.frame().indices[static_cast<size_t>(k)];
  graph_.builder().set_span(span);
  Tensor t =
      graph_.tensor(graph_.builder().index({DType::I32, {index.axis.extent}}, 0), {{index.dim, index.axis.extent}});
  t.grid = true;
  return Value(t);
}

/// Opens the indices of one bracket. An extent that is not stated is that of the first axis which `body` reads at the
/// bare index, inside of the operand if there is one.
bool Formulas::open(const std::vector<ast::IndexBinder>& binders, ast::ExprId body) {
  std::vector<FormulaIndex> opened;
  for (const ast::IndexBinder& binder : binders) {
    const std::string& name = binder.name.text;
    if (find(name) >= 0 || std::ranges::find(opened, name, &FormulaIndex::name) != opened.end()) {
      diagnostics_.report(Diag::E0111, binder.name.span, fmt::format("index `{}` is open already", printable(name)))
          .with_help("give each index of a formula a name of its own");
      return false;
    }
    const bool stated = binder.extent.valid();
    bool told = false;  // of an operand that had an error
    std::optional<Axis> axis =
        stated ? signatures_.axis_expression(binder.extent) : axis_read_at(body, name, false, told);
    if (!axis && !stated) axis = axis_read_at(body, name, true, told);
    if (!axis) {
      if (!stated && !told) {
        diagnostics_
            .report(Diag::E0111, binder.name.span, fmt::format("nothing says how far index `{}` runs", printable(name)))
            .with_help(fmt::format("write `{0} < 8`, or read a tensor that has a name at the bare index: `y = ..` on a "
                                   "line before, then `y[{0}]`",
                                   printable(name)));
      }
      return false;
    }
    const DimId dim = shapes_.new_dim(name, axis->extent, binder.name.span);
    opened.push_back({name, dim, *axis, stated});
  }
  for (FormulaIndex& index : opened) scopes_.frame().indices.push_back(std::move(index));
  return true;
}

/// The first axis of a tensor in `expr` that is read at the bare index, by `?[..]` or by `[..]`. Only tensors with a
/// name and parameters are looked at, because others would be computed twice.
std::optional<Axis> Formulas::axis_read_at(ast::ExprId expr, std::string_view index, bool bounded, bool& told) {
  const ast::Ast& ast = scopes_.ast();
  const auto* access = ast.as<ast::IndexExpr>(expr);
  const bool has_name = access != nullptr && (ast.as<ast::NameExpr>(access->base) != nullptr ||
                                              ast.as<ast::MemberExpr>(access->base) != nullptr);
  if (has_name && access->bounded == bounded) {
    for (size_t i = 0; i < access->indices.size(); ++i) {
      const auto* name = ast.as<ast::NameExpr>(access->indices[i]);
      if (name == nullptr || name->name != index) continue;
      const Value base = evaluator_.eval(access->base);
      std::optional<Tensor> tensor;
      if (const auto* known = base.as<Tensor>()) tensor = *known;
      if (base.as<Selector>() != nullptr) tensor = graph_.expect_tensor(base, scopes_.span_of(access->base));
      told = told || base.bad() || (!tensor && base.as<Selector>() != nullptr);
      if (tensor && i < tensor->axes.size()) return tensor->axes[i];
    }
  }
  std::optional<Axis> found;
  ast::for_each_child(ast, ast[expr], [&](ast::ExprId child) {
    if (!found) found = axis_read_at(child, index, bounded, told);
  });
  return found;
}

bool Formulas::mentions_index(ast::ExprId expr) const {
  const auto* name = scopes_.ast().as<ast::NameExpr>(expr);
  if (name != nullptr) return find(name->name) >= 0;
  bool found = false;
  ast::for_each_child(scopes_.ast(), scopes_.ast()[expr],
                      [&](ast::ExprId child) { found = found || mentions_index(child); });
  return found;
}

bool Formulas::is_access(const ast::IndexExpr& access) const {
  return std::ranges::any_of(access.indices, [&](ast::ExprId index) { return mentions_index(index); });
}

/// The indices at which a tensor is read, in the order in which they were opened.
std::vector<int32_t> Formulas::indices_of(const FormulaRead& read) const {
  std::set<int32_t> all;
  for (const Affine& axis : read.axes) {
    for (const auto& [index, factor] : axis.terms) all.insert(index);
  }
  return {all.begin(), all.end()};
}

Axes Formulas::axes_of(const std::vector<int32_t>& indices) const {
  Axes axes;
  for (const int32_t k : indices) {
    const FormulaIndex& index = scopes_.frame().indices[static_cast<size_t>(k)];
    axes.push_back({index.dim, index.axis.extent});
  }
  return axes;
}

/// The formula whose result has the axes `kept`.
IndexFormula Formulas::formula_of(const std::vector<int32_t>& kept, const std::vector<int32_t>& summed,
                                  std::initializer_list<const FormulaRead*> reads) const {
  IndexFormula formula{static_cast<int32_t>(kept.size()), {}, {}};
  std::vector<Affine> numbers(scopes_.frame().indices.size());
  for (const auto* group : {&kept, &summed}) {
    for (const int32_t k : *group) {
      numbers[static_cast<size_t>(k)] = Affine::of(formula.num_indices());
      formula.extents.push_back(scopes_.frame().indices[static_cast<size_t>(k)].axis.extent);
    }
  }
  for (const FormulaRead* read : reads) {
    IndexMap& map = formula.operands.emplace_back();
    map.bounded = read->bounded;
    for (const Affine& axis : read->axes) map.axes.push_back(substitute(axis, numbers));
  }
  return formula;
}

// ---- accesses ----

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
      unsupported(diagnostics_, scopes_.span_of(index), "a second position that is computed");
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

/// A tensor whose axes are open indices, as it is.
std::optional<FormulaRead> Formulas::as_read(const Tensor& value, Span span) {
  FormulaRead read{value, {}, false};
  for (const Axis& axis : value.axes) {
    int32_t place = -1;
    for (size_t k = 0; k < scopes_.frame().indices.size(); ++k) {
      if (scopes_.frame().indices[k].dim == axis.dim) place = static_cast<int32_t>(k);
    }
    if (place < 0) {
      diagnostics_
          .report(Diag::E0111, span,
                  fmt::format("axis {} of `{}` has no index", shapes_.sized_text(axis), shapes_.type_text(value)))
          .with_help("a formula reads every axis at a position: `x[n, c]`");
      return std::nullopt;
    }
    read.axes.push_back(Affine::of(place));
  }
  return read;
}

/// The elements as a tensor with the read's indices as its axes; positions outside of the operand give `outside`.
Value Formulas::value_of(const FormulaRead& read, double outside, Span span) {
  const std::vector<int32_t> indices = indices_of(read);
  Axes axes = axes_of(indices);
  bool as_it_is = !read.bounded && indices.size() == read.axes.size();
  for (size_t i = 0; as_it_is && i < indices.size(); ++i) {
    as_it_is = read.axes[i] == Affine::of(indices[i]) && read.base.axes[i].extent == axes[i].extent;
  }
  Tensor result = read.base;
  if (!as_it_is) {
    if (!shapes_.check_size(read.base.dtype, axes, span)) return {};
    graph_.builder().set_span(span);
    const Result<NodeId> node = graph_.builder().push(
        OpKind::Read, {read.base.node}, {{"formula", formula_of(indices, {}, {&read})}, {"outside", outside}});
    if (!node) {
      diagnostics_.report(Diag::E0111, span, node.error().message).with_help(node.error().help);
      return {};
    }
    result.node = *node;
    if (read.bounded) result.range.reset();
  }
  result.axes = std::move(axes);
  result.grid = true;  // other axes are other indices: all pairs are what a formula means
  return Value(result);
}

Value Formulas::accessed(const ast::IndexExpr& access, Span span) {
  const std::optional<FormulaRead> read = read_of(access, span);
  if (!read) return {};
  if (read->bounded && scopes_.frame().inside != nullptr) {
    FormulaRead ones = *read;
    ones.base = graph_.constant(1, graph_.real(), read->base.axes);
    const Value inside = graph_.binary(ast::BinaryOp::Gt, value_of(ones, 0, span), Value(0.5), span);
    if (const auto* mask = inside.as<Tensor>()) scopes_.frame().inside->push_back(*mask);
  }
  return value_of(*read, 0, span);
}

Value Formulas::assigned(const ast::AssignStmt& stmt, Span span) {
  const size_t first = scopes_.frame().indices.size();
  if (!open(stmt.binders, stmt.value)) return {};
  const std::optional<Tensor> value = graph_.expect_tensor(evaluator_.eval(stmt.value), scopes_.span_of(stmt.value));
  Value result;
  if (value && as_read(*value, scopes_.span_of(stmt.value))) {
    std::vector<int32_t> all;
    for (size_t k = first; k < scopes_.frame().indices.size(); ++k) all.push_back(static_cast<int32_t>(k));
    const Axes axes = axes_of(all);
    if (shapes_.check_size(value->dtype, axes, span)) {
      graph_.builder().set_span(span);
      Tensor whole = *graph_.broadcast_to(*value, axes, span);
      for (size_t i = 0; i < all.size(); ++i) whole.axes[i] = scopes_.frame().indices[first + i].axis;
      whole.grid = false;
      whole.label = value->label;
      whole.column = -1;
      result = Value(whole);
    }
  }
  scopes_.frame().indices.resize(first);
  return result;
}

}  // namespace smelt::frontend
