// Index formulas: their indices, how far each runs, and the value of what is read at them.
#include "frontend/formula.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "frontend/ast_walk.h"
#include "frontend/evaluator.h"
#include "frontend/graph_writer.h"
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

// ---- what a formula reads, and what it gives ----

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
