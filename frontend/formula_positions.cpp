// Positions of index formulas: what stands in the brackets of `x[2*i + u - 1, t[n], c]`.
//
// A position is an affine function of the indices, or it is computed (formula_computed.cpp). Whether all of them are
// inside of the operand shows here as well.
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
    const Value value = position_value(expr);
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
  return std::nullopt;  // data_index takes all others
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
        const bool at_run_time = !index.axis.extent.is_static() && !axis.extent.is_static();
        const Axis& shorter = index.axis.extent.bound < axis.extent.bound ? index.axis : axis;
        diagnostics_
            .report(Diag::E0111, span,
                    fmt::format("index `{}` runs over {} and over {}", index.name, shapes_.sized_text(index.axis),
                                shapes_.sized_text(axis)))
            .with_help(fixed ? fmt::format("write `{} < {}` to read a part", index.name, shapes_.axis_text(shorter))
                       : at_run_time
                           ? fmt::format("write how far it runs, `{} < T - 1`, to read a part of a dim T", index.name)
                           : fmt::format("positions stand in the order of the axes, which are {}",
                                         shapes_.axes_text(read.base.axes)));
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
  const Value value = evaluator_.eval(access.base);
  const Span place = scopes_.span_of(access.base);
  const std::optional<Tensor> base =
      outside == 0 ? graph_.expect_tensor(value, place) : graph_.expect_float(value, place);
  if (!base) return std::nullopt;
  if (scopes_.implies_rows(base->axes)) {
    unsupported(
        diagnostics_, span, "an index formula of one row in a data section",
        "put it into a function whose head names the rows too: `fn f(x: f32[N, C, H, W]) { y[n, c, i, j] = .. }`");
    return std::nullopt;
  }
  if (base->axes.size() != access.indices.size()) {
    diagnostics_
        .report(Diag::E0109, span,
                fmt::format("`{}` has {} axes, and {} of them are read", shapes_.type_text(*base), base->axes.size(),
                            access.indices.size()))
        .with_help("a formula gives a position for each axis");
    return std::nullopt;
  }
  FormulaRead read{*base, {}, access.bounded};
  std::vector<ComputedPosition> computed;
  for (size_t i = 0; i < access.indices.size(); ++i) {
    std::optional<Value> labels = data_index(*base, i, access.indices[i]);
    if (labels && labels->bad()) return std::nullopt;
    const std::optional<Affine> position = labels ? Affine{} : affine(access.indices[i]);
    if (!position) return std::nullopt;
    if (labels) computed.push_back({i, *std::move(labels), access.indices[i]});
    read.axes.push_back(*position);
  }
  std::vector<ast::ExprId> positions = access.indices;
  if (!take_computed(read, std::move(computed), positions)) return std::nullopt;
  take_run_time_parts(read, positions, outside);
  if (!check_bounds(read, positions)) return std::nullopt;
  return read;
}

}  // namespace smelt::frontend
