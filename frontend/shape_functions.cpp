// Functions that change the axes of a value and keep its elements, and constants of a shape.
#include "frontend/shape_functions.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "ir/half_bits.h"

namespace smelt::frontend {

/// Axes in another order are no matter of shape. A formula has them in any.
static std::string help_for_order(const Call& c, const Tensor& x, const Axes& axes) {
  const bool has_names = std::ranges::none_of(x.axes, [](const Axis& axis) { return axis.dim == kAnonymous; });
  if (!has_names || !std::ranges::is_permutation(x.axes, axes))
    return "both have to have the same number of elements, and run-time dims keep their place";
  const auto letters = [&](const Axes& order) {
    std::string list;
    for (const Axis& axis : order) {
      const auto at = std::ranges::find(x.axes, axis) - x.axes.begin();
      list += (list.empty() ? "" : ", ") + std::string(1, static_cast<char>('i' + at));
    }
    return list;
  };
  return fmt::format("`reshape` keeps the order of the elements; a formula turns axes: `y[{}] = x[{}]` has {}",
                     letters(axes), letters(x.axes), c.use.shapes.axes_text(axes));
}

static Value reshape_to(Call& c, const Tensor& x, Axes axes) {
  const Shape shape = shape_of(axes);
  c.use.graph.builder().set_span(c.span);
  const Result<NodeId> node =
      c.use.graph.builder().push(OpKind::Reshape, {x.node}, {{"type", TensorType{x.dtype, shape}}});
  if (!node) {
    c.use.diagnostics
        .report(Diag::E0108, c.span,
                fmt::format("`{}` cannot be read as {}", c.use.shapes.type_text(x), c.use.shapes.axes_text(axes)))
        .with_help(help_for_order(c, x, axes));
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
  if (c.use.scopes.implies_rows(x->axes)) axes->insert(axes->begin(), x->axes[0]);
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

// ---- for the library's sorting ----

/// x with its axis `over` in front, along a longer dim; behind its elements stands `fill`.
Value in_front(Call& c) {
  const auto x = c.use.graph.expect_float(c.value(0), c.span_of(0));
  const auto over = x ? c.use.shapes.expect_axes(c.value(1), c.span_of(1)) : std::nullopt;
  const auto places = over ? c.use.shapes.find_axes(*x, *over, c.span) : std::nullopt;
  const auto longer = places ? c.use.shapes.expect_axes(c.value(2), c.span_of(2)) : std::nullopt;
  const std::optional<double> fill = c.use.shapes.number_of(c.value(3));
  if (!longer || places->size() != 1 || longer->size() != 1 || !fill) return {};
  const auto at = static_cast<size_t>((*places)[0]);
  Axes axes{longer->front()};
  IndexFormula formula{static_cast<int32_t>(x->axes.size()), {IndexMap{{}, true}}, {longer->front().extent}};
  for (size_t k = 0; k < x->axes.size(); ++k) {
    formula.operands[0].axes.push_back(Affine::of(k == at ? 0 : static_cast<int32_t>(axes.size())));
    if (k == at) continue;
    axes.push_back(x->axes[k]);
    formula.extents.push_back(unstated());
  }
  if (!c.use.shapes.check_size(x->dtype, axes, c.span)) return {};
  const NodeId node = c.use.graph.builder().read(x->node, std::move(formula), *fill);
  return Value(c.use.graph.tensor(node, std::move(axes)));
}

/// The first elements of the axis in front, as many as a dim has, along that dim.
Value front_as(Call& c) {
  const auto x = c.use.graph.expect_tensor(c.value(0), c.span_of(0));
  const auto over = x ? c.use.shapes.expect_axes(c.value(1), c.span_of(1)) : std::nullopt;
  if (!over || over->size() != 1 || x->axes.empty()) return {};
  return Value(c.use.graph.part(*x, 0, over->front(), 0, std::nullopt, c.span));
}

/// How many binary digits n - 1 has, at least 1: 2^digits is a power of two that is not below n.
Value digits(Call& c) {
  const auto n = c.use.shapes.expect_integer(c.value(0), c.span_of(0), "a size");
  return n && *n > 0 ? Value(std::max<int64_t>(std::bit_width(static_cast<uint64_t>(*n - 1)), 1)) : Value();
}

// From these lengths on a network is quicker, for 16 rows or more and for fewer (docs/performance.md, November 2026),
// up to where f32 counts each place.
constexpr int64_t kManyRows = 16, kLeastOfMany = 256, kLeastOfFew = 2048, kMostForNetwork = 1 << 24;

Value sorts_by_network(Call& c) {
  const auto x = c.use.graph.expect_tensor(c.value(0), c.span_of(0));
  const auto over = x ? c.use.shapes.expect_axes(c.value(1), c.span_of(1)) : std::nullopt;
  if (!over || over->size() != 1) return {};
  const Extent& size = over->front().extent;
  const int64_t rows = num_elements(shape_of(x->axes)).value_or(0) / std::max<int64_t>(size.bound, 1);
  const int64_t least = rows >= kManyRows ? kLeastOfMany : kLeastOfFew;
  return Value(is_float(x->dtype) && !is_half(x->dtype) && size.bound >= least && size.bound <= kMostForNetwork);
}

/// Whole numbers as labels of a dim.
Value as_labels(Call& c) {
  const auto x = c.use.graph.expect_tensor(c.value(0), c.span_of(0));
  const auto over = x ? c.use.shapes.expect_axes(c.value(1), c.span_of(1)) : std::nullopt;
  if (!over || over->size() != 1) return {};
  std::optional<Tensor> labels = c.use.graph.cast_to(*x, DType::I32, c.span);
  if (!labels) return {};
  labels->label = over->front().dim;
  labels->range.reset();
  return Value(*labels);
}

}  // namespace smelt::frontend
