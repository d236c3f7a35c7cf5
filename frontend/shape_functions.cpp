// Functions that change the axes of a value and keep its elements, and constants of a shape.
#include "frontend/shape_functions.h"

#include <fmt/format.h>

#include <algorithm>

namespace smelt::frontend {

static Value reshape_to(Call& c, const Tensor& x, Axes axes) {
  const Shape shape = shape_of(axes);
  c.use.graph.builder().set_span(c.span);
  const Result<NodeId> node =
      c.use.graph.builder().push(OpKind::Reshape, {x.node}, {{"type", TensorType{x.dtype, shape}}});
  if (!node) {
    c.use.diagnostics
        .report(Diag::E0108, c.span,
                fmt::format("`{}` cannot be read as {}", c.use.shapes.type_text(x), c.use.shapes.axes_text(axes)))
        .with_help("both have to have the same number of elements, and run-time dims keep their place");
    return {};
  }
  Tensor t = c.use.graph.tensor(*node, std::move(axes));
  t.range = x.range;
  t.label = x.label;
  t.column = x.column;
  return Value(t);
}

Value reshape(Call& c) {
  const auto x = c.use.graph.expect_tensor(c.value(0), c.span_of(0));
  auto axes = x ? c.use.shapes.expect_shape(c.value(1), c.span_of(1)) : std::nullopt;
  if (!axes) return {};
  if (c.use.scopes.in_field()) axes->insert(axes->begin(), x->axes[0]);
  if (!c.use.shapes.check_size(x->dtype, *axes, c.span)) return {};
  return reshape_to(c, *x, *axes);
}

/// All axes but the first become one.
Value flatten(Call& c) {
  const auto x = c.use.graph.expect_tensor(c.value(0), c.span_of(0));
  if (!x) return {};
  if (x->axes.size() < 2) {
    c.use.diagnostics.report(Diag::E0109, c.span,
                             fmt::format("`{}` has no axes to flatten after the first", c.use.shapes.type_text(*x)));
    return {};
  }
  int64_t product = 1;
  for (size_t i = 1; i < x->axes.size(); ++i) product *= x->axes[i].extent.bound;
  return reshape_to(c, *x, {x->axes[0], {kAnonymous, Extent(product)}});
}

/// Axes of one element are removed.
Value squeeze(Call& c) {
  const auto x = c.use.graph.expect_tensor(c.value(0), c.span_of(0));
  if (!x) return {};
  Axes kept;
  for (const Axis& axis : x->axes)
    if (axis.extent != Extent(1)) kept.push_back(axis);
  if (kept.size() == x->axes.size()) {
    c.use.diagnostics.report(Diag::E0108, c.span,
                             fmt::format("`{}` has no axis of one element", c.use.shapes.type_text(*x)));
    return {};
  }
  return reshape_to(c, *x, std::move(kept));
}

static Value filled(Call& c, double value) {
  if (!c.has(0)) return Value(value);
  const auto axes = c.use.shapes.expect_shape(c.value(0), c.span_of(0));
  return axes && c.use.shapes.check_size(c.use.graph.real(), *axes, c.span)
             ? Value(c.use.graph.constant(value, c.use.graph.real(), *axes))
             : Value();
}
Value zeros(Call& c) { return filled(c, 0); }
Value ones(Call& c) { return filled(c, 1); }

static Value filled_like(Call& c, double value) {
  const auto x = c.use.graph.expect_tensor(c.value(0), c.span_of(0));
  return x ? Value(c.use.graph.constant(value, x->dtype, x->axes)) : Value();
}
Value zeros_like(Call& c) { return filled_like(c, 0); }
Value ones_like(Call& c) { return filled_like(c, 1); }

/// x cut along one axis into single elements: a tuple.
Value split(Call& c) {
  const auto x = c.use.graph.expect_tensor(c.value(0), c.span_of(0));
  const auto over = x ? c.use.shapes.expect_axes(c.value(1), c.span_of(1)) : std::nullopt;
  const auto places = over ? c.use.shapes.find_axes(*x, *over, c.span) : std::nullopt;
  if (!places) return {};
  const auto at = static_cast<size_t>((*places)[0]);
  const Extent parts = x->axes[at].extent;
  if (places->size() != 1 || !parts.is_static() || parts.bound > 64) {
    c.use.diagnostics.report(Diag::E0205, c.span, "`split` cuts one axis of at most 64 known elements");
    return {};
  }
  TupleValue tuple;
  for (int64_t part = 0; part < parts.bound; ++part) {
    std::vector<int64_t> starts(x->axes.size(), 0), limits;
    for (const Axis& axis : x->axes) limits.push_back(axis.extent.bound);
    starts[at] = part, limits[at] = part + 1;
    Axes axes = x->axes;
    Tensor slice = c.use.graph.tensor(
        c.use.graph.builder().make(OpKind::Slice, {x->node}, {{"starts", starts}, {"limits", limits}}), axes);
    axes.erase(axes.begin() + static_cast<ptrdiff_t>(at));
    slice.range = x->range;
    tuple.items.push_back(reshape_to(c, slice, std::move(axes)));
  }
  return Value(std::move(tuple));
}

}  // namespace smelt::frontend
