// Functions over axes, and along dims.
#include "frontend/axis_functions.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "ir/op.h"

namespace smelt::frontend {

namespace {

/// In an index formula the axes of a value are indices, which `sum[i]` and the like reduce. Tells of a function that
/// would take them all without a word; true when it would. `over`: the argument that names axes.
bool takes_indices(Call& c, size_t over) {
  const auto* x = c.value(0).as<Tensor>();
  if (c.has(over) || x == nullptr) return false;
  for (const Frame* frame = &c.use.scopes.frame(); frame != nullptr; frame = frame->caller) {
    for (const FormulaIndex& index : frame->indices) {
      if (std::ranges::find(x->axes, index.dim, &Axis::dim) == x->axes.end()) continue;
      c.use.diagnostics
          .report(Diag::E0111, c.span,
                  fmt::format("`{}` of `{}` would be over index `{}` of the formula", c.name(),
                              c.use.shapes.type_text(*x), index.name))
          .with_help("indices are reduced in brackets, `sum[i] x[i]`, and a mean is that divided by the size");
      return true;
    }
  }
  return false;
}

/// Of the axes that `over` names, or of all, which of x they are.
std::optional<std::vector<int64_t>> places_of(Call& c, const Tensor& x, size_t over) {
  if (c.has(over)) {
    const auto axes = c.use.shapes.expect_axes(c.value(over), c.span_of(over));
    return axes ? c.use.shapes.find_axes(x, *axes, c.span) : std::nullopt;
  }
  if (takes_indices(c, over)) return std::nullopt;
  std::vector<int64_t> all;
  for (size_t i = 0; i < x.axes.size(); ++i) {
    if (!c.use.scopes.counts_rows(x.axes[i])) all.push_back(static_cast<int64_t>(i));
  }
  return all;
}

/// Of a tensor with several axes, which of them is meant has to be said: over all of them, rows of a batch would meet.
bool names_an_axis(Call& c, const Tensor& x, const std::vector<int64_t>& places, bool several) {
  if (c.has(1) || places.size() <= 1) return true;
  std::vector<std::string> names;
  for (const int64_t at : places) names.push_back(c.use.shapes.axis_text(x.axes[static_cast<size_t>(at)]));
  const std::string all =
      several ? fmt::format(", or `over=({})` for all of them together", fmt::join(names, ", ")) : "";
  const std::string choice = several ? "" : fmt::format(", or another of {}", fmt::join(names, ", "));
  c.use.diagnostics
      .report(Diag::E0105, c.use.graph.call_site(c.span),
              fmt::format("`{}` of `{}` does not say which axis it is over", c.name(), c.use.shapes.type_text(x)))
      .with_help(fmt::format("write `over={}`{}{}", names.back(), all, choice));
  return false;
}

/// max(a, b) by element; max(x, over=..) and max(x) reduce.
Value extremum(Call& c, OpKind pairwise, OpKind reduction) {
  if (!c.has(1) && takes_indices(c, 2)) return {};
  if (!c.has(1)) return c.use.graph.reduce(reduction, c.value(0), c.has(2) ? &c.value(2) : nullptr, c.span);
  if (c.has(2)) {
    c.use.diagnostics.report(Diag::E0401, c.span, "two operands are compared by element, without `over=`");
    return {};
  }
  const auto a = c.use.shapes.number_of(c.value(0)), b = c.use.shapes.number_of(c.value(1));
  if (a && b) return (*a > *b) == (pairwise == OpKind::Max) ? c.value(0) : c.value(1);
  return c.use.graph.elementwise(pairwise, {c.value(0), c.value(1)}, c.span,
                                 pairwise == OpKind::Max ? "`max`" : "`min`");
}

/// How many elements of x one result of a reduction over `places` covers, at run time where an extent is.
Value count_of(GraphWriter& graph, const Tensor& x, const std::vector<int64_t>& places) {
  Tensor n = graph.tensor(graph.builder().count(x.node, places, DType::F64), {});
  n.weak = true;
  return Value(n);
}

}  // namespace

// ---- functions of the op table ----

/// The axes go, or stay as they are.
Value apply_over_axes(Call& c) {
  const OpDef& op = *c.function.op;
  const bool removes = op.applied == Applied::OverAxes;
  const auto x = c.use.graph.expect_float(c.value(0), c.span_of(0));
  auto places = x ? places_of(c, *x, 1) : std::nullopt;
  if (!places) return {};
  if (!names_an_axis(c, *x, *places, true)) return {};
  std::ranges::sort(*places);
  Axes axes;
  for (size_t i = 0; i < x->axes.size(); ++i) {
    if (!removes || !std::ranges::binary_search(*places, static_cast<int64_t>(i))) axes.push_back(x->axes[i]);
  }
  if (places->empty()) {
    c.use.diagnostics.report(Diag::E0105, c.span,
                             fmt::format("`{}` has no axis to normalise over", c.use.shapes.type_text(*x)));
    return {};
  }
  c.use.graph.builder().set_span(c.span);
  Tensor t =
      c.use.graph.tensor(c.use.graph.builder().make(op_kind(op), {x->node}, {{"axes", *places}}), std::move(axes));
  if (op.range.known()) t.range = Range{op.range.low, op.range.high};
  return Value(t);
}

/// Positions along one axis, as labels of it.
Value apply_of_axis(Call& c) {
  const auto x = c.use.graph.expect_tensor(c.value(0), c.span_of(0));
  const auto places = x ? places_of(c, *x, 1) : std::nullopt;
  if (!places || !names_an_axis(c, *x, *places, false)) return {};
  if (places->size() != 1) {
    c.use.diagnostics.report(Diag::E0105, c.span, "the index of an extremum is along one axis");
    return {};
  }
  Axes axes = x->axes;
  const auto place = (*places)[0];
  const DimId label = axes[static_cast<size_t>(place)].dim;
  axes.erase(axes.begin() + place);
  c.use.graph.builder().set_span(c.span);
  const NodeId node = c.use.graph.builder().make(op_kind(*c.function.op), {x->node}, {{"axis", place}});
  Tensor t = c.use.graph.tensor(node, std::move(axes));
  t.label = label;
  return Value(t);
}

// ---- reductions ----

Value maximum(Call& c) { return extremum(c, OpKind::Max, OpKind::ReduceMax); }
Value minimum(Call& c) { return extremum(c, OpKind::Min, OpKind::ReduceMin); }

Value sum(Call& c) {
  if (takes_indices(c, 1)) return {};
  return c.use.graph.reduce(OpKind::ReduceSum, c.value(0), c.has(1) ? &c.value(1) : nullptr, c.span);
}

Value count(Call& c) {
  const auto x = c.use.graph.expect_tensor(c.value(0), c.span_of(0));
  const auto places = x ? places_of(c, *x, 1) : std::nullopt;
  if (places) c.use.graph.builder().set_span(c.span);
  return places ? count_of(c.use.graph, *x, *places) : Value();
}

Value mean(Call& c) {
  const auto x = c.use.graph.expect_tensor(c.value(0), c.span_of(0));
  const auto places = x ? places_of(c, *x, 1) : std::nullopt;
  if (!places) return {};
  const Value total = sum(c);
  if (total.bad() || places->empty()) return total;
  Value result = c.use.graph.binary(ast::BinaryOp::Div, total, count_of(c.use.graph, *x, *places), c.span);
  if (auto* t = result.as<Tensor>()) t->range = x->range;
  return result;
}

Value contract(Call& c) {
  const auto a = c.use.graph.expect_float(c.value(0), c.span_of(0)),
             b = c.use.graph.expect_float(c.value(1), c.span_of(1));
  const auto over = a && b ? c.use.shapes.expect_axes(c.value(2), c.span_of(2)) : std::nullopt;
  return over ? c.use.graph.contract(*a, *b, *over, c.span) : Value();
}

// ---- along dims ----

/// An axis of one element is a matter of shape; others need a name to be repeated along, which `reshape` takes away.
static std::string help_for_axis_without_name(const Shapes& shapes, const Tensor& x, const Axis& axis) {
  if (axis.extent.bound != 1) return fmt::format("declare a dim of that size: `dim K = {}`", axis.extent.bound);
  std::string axes;
  for (const Axis& own : x.axes) axes += shapes.axis_text(own) + ", ";
  return fmt::format("an axis of one element comes by `reshape(.., [{}1])`", axes);
}

/// x repeated along axes that it lacks: all pairs, on purpose.
Value stretch(Call& c) {
  const auto x = c.use.graph.expect_tensor(c.value(0), c.span_of(0));
  const auto over = x ? c.use.shapes.expect_axes(c.value(1), c.span_of(1)) : std::nullopt;
  if (!over) return {};
  Axes axes = x->axes;
  for (const Axis& axis : *over) {
    if (axis.dim != kAnonymous && std::ranges::find(axes, axis) == axes.end()) {
      axes.push_back(axis);
      continue;
    }
    const bool no_name = axis.dim == kAnonymous;
    const std::string text = c.use.shapes.type_text(*x);
    Diagnostic& said =
        c.use.diagnostics.report(Diag::E0105, c.span_of(1),
                                 no_name ? std::string("`stretch` repeats along axes with names")
                                         : fmt::format("`{}` has {} already", text, c.use.shapes.axis_text(axis)));
    if (no_name) said.with_help(help_for_axis_without_name(c.use.shapes, *x, axis));
    return {};
  }
  if (!c.use.shapes.check_size(x->dtype, axes, c.span)) return {};
  std::vector<int64_t> places(x->axes.size());
  std::iota(places.begin(), places.end(), 0);
  c.use.graph.builder().set_span(c.span);
  return Value(c.use.graph.expand(*x, axes, places));
}

/// 0, 1, .. along a dim, as labels of it.
Value index(Call& c) {
  const auto axes = c.use.shapes.expect_axes(c.value(0), c.span_of(0));
  if (!axes || axes->size() != 1) return {};
  c.use.graph.builder().set_span(c.span);
  Tensor t = c.use.graph.tensor(c.use.graph.builder().index({DType::I32, {(*axes)[0].extent}}, 0), *axes);
  t.label = (*axes)[0].dim;
  t.grid = true;
  return Value(t);
}

Value capacity(Call& c) {
  const auto axes = c.use.shapes.expect_axes(c.value(0), c.span_of(0));
  return axes && axes->size() == 1 ? Value((*axes)[0].extent.bound) : Value();
}

}  // namespace smelt::frontend
