#include "frontend/window_functions.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>
#include <string_view>

namespace smelt::frontend {

namespace {

/// The whole numbers of `3`, `(3, 1)` or `[3, 1]`.
std::optional<std::vector<int64_t>> numbers(Call& c, const Value& value, Span span, std::string_view what) {
  std::vector<int64_t> list;
  const auto* tuple = value.as<TupleValue>();
  const auto* shape = value.as<ShapeValue>();
  if (shape != nullptr) {
    for (const Axis& axis : shape->axes) list.push_back(axis.extent.bound);
    return list;
  }
  const std::vector<Value> single{value};
  for (const Value& item : tuple != nullptr ? tuple->items : single) {
    const auto number = c.use.shapes.expect_integer(item, span, what);
    if (!number) return std::nullopt;
    list.push_back(*number);
  }
  return list;
}

Value tuple_of(std::initializer_list<int64_t> items) {
  TupleValue tuple;
  for (const int64_t item : items) tuple.items.emplace_back(item);
  return Value(std::move(tuple));
}

std::string listed(const std::vector<int64_t>& list) { return fmt::format("{}", fmt::join(list, ", ")); }

constexpr int64_t kLargestWindow = 1 << 20;

}  // namespace

Value pair(Call& c) {
  const auto list = numbers(c, c.value(0), c.span_of(0), "a size");
  const auto least = c.has(1) ? c.use.shapes.expect_integer(c.value(1), c.span_of(1), "a size") : 1;
  if (!list || !least) return {};
  const bool fits = std::ranges::all_of(*list, [&](int64_t n) { return n >= *least && n <= kLargestWindow; });
  if (list->size() > 2 || list->empty() || !fits) {
    c.use.diagnostics
        .report(Diag::E0503, c.use.graph.call_site(c.span),
                fmt::format("a size, stride or dilation is ({})", listed(*list)))
        .with_help(fmt::format("give one number from {} for both axes, or two: `(3, 1)`", *least));
    return {};
  }
  return tuple_of({list->front(), list->back()});
}

/// pad, axis, of, size, kernel, stride, dilation
Value margins(Call& c) {
  if (const auto* dim = c.value(3).as<DimValue>(); dim != nullptr && !c.use.shapes.dim_of(dim->id).extent.is_static()) {
    const Dim& axis = c.use.shapes.dim_of(dim->id);
    c.use.diagnostics
        .report(Diag::E0109, c.use.graph.call_site(c.span),
                fmt::format("windows pass over `{}`, whose size shows at run time", axis.name))
        .with_help(fmt::format("give the dim a fixed size, `dim {} = {}`, and fill what is behind an end with zeros",
                               axis.name, axis.extent.bound));
    return {};
  }
  std::array<int64_t, 6> given{};
  for (size_t i = 1; i < 7; ++i) {
    const auto number = c.use.shapes.expect_integer(c.value(i), c.span_of(i), "a size");
    if (!number) return {};
    given[i - 1] = *number;
  }
  const auto [axis, of, size, kernel, stride, dilation] = given;
  const bool has_window = kernel != 0;  // else a margin of its own, whose size no window decides
  const std::array sizes{has_window ? kernel : 1, stride, dilation};
  if (std::ranges::any_of(sizes, [](int64_t n) { return n < 1 || n > kLargestWindow; })) {
    c.use.diagnostics
        .report(Diag::E0503, c.use.graph.call_site(c.span),
                fmt::format("kernel {}, stride {} and dilation {}", kernel, stride, dilation))
        .with_help("each of them is a whole number from 1");
    return {};
  }
  if (of < 1 || axis < 0 || axis >= of) {
    c.use.diagnostics.report(Diag::E0503, c.span, fmt::format("axis {} of {}", axis, of))
        .with_help("axes are counted from 0");
    return {};
  }
  const int64_t reach = dilation * (kernel - 1) + 1;
  int64_t before = 0, after = 0;
  const auto* word = c.value(0).as<std::string>();
  if (word != nullptr && *word == "same" && has_window) {
    const int64_t total = std::max<int64_t>(((size + stride - 1) / stride - 1) * stride + reach - size, 0);
    before = total / 2, after = total - total / 2;
  } else {
    const auto list = word == nullptr ? numbers(c, c.value(0), c.span_of(0), "a margin") : std::nullopt;
    if (!list && word == nullptr) return {};
    const auto count = list ? static_cast<int64_t>(list->size()) : 0;
    const bool right = count == 1 || count == of || count == 2 * of;
    if (!right || std::ranges::any_of(*list, [](int64_t n) { return n < 0 || n > kLargestWindow; })) {
      c.use.diagnostics
          .report(Diag::E0503, c.use.graph.call_site(c.span),
                  list ? fmt::format("the margin is ({})", listed(*list))
                       : fmt::format("the margin is {}", c.use.shapes.describe(c.value(0))))
          .with_help(fmt::format("it is a number from 0, {}{}",
                                 of == 1 ? "(before, after)" : "(vertical, horizontal), (top, bottom, left, right)",
                                 has_window ? ", or `same`" : ""));
      return {};
    }
    const auto at = [&](int64_t i) { return (*list)[static_cast<size_t>(i)]; };
    before = count == 1 ? at(0) : count == of ? at(axis) : at(2 * axis);
    after = count == 1 ? at(0) : count == of ? at(axis) : at(2 * axis + 1);
  }
  if (size + before + after < reach) {
    const std::string kernel_text =
        dilation == 1 ? fmt::format("kernel {}", kernel)
                      : fmt::format("kernel {} with dilation {} reaches over {} and", kernel, dilation, reach);
    const std::string room =
        before == after ? fmt::format("{} + 2*{}", size, before) : fmt::format("{} + {} + {}", size, before, after);
    c.use.diagnostics
        .report(Diag::E0103, c.use.graph.call_site(c.span), fmt::format("{} does not fit into {}", kernel_text, room))
        .with_help("take a smaller kernel, a larger `pad`, or fewer layers that shrink the picture");
    return {};
  }
  return tuple_of({before, after});
}

// ---- values put side by side ----

namespace {

/// The position that `axis=` or `over=` names; `rank` of them.
std::optional<size_t> place_of(Call& c, const Tensor& x, size_t over, size_t axis, int64_t rank) {
  if (c.has(over) == c.has(axis)) {
    c.use.diagnostics.report(Diag::E0401, c.span, fmt::format("`{}` takes either `over=` or `axis=`", c.name()))
        .with_help("`over=C` names the axis, `axis=1` counts from 0, and from the end below 0");
    return std::nullopt;
  }
  if (c.has(over)) {
    const auto axes = c.use.shapes.expect_axes(c.value(over), c.span_of(over));
    const auto found = axes && axes->size() == 1 ? c.use.shapes.find_axes(x, *axes, c.span_of(over)) : std::nullopt;
    return found ? std::optional(static_cast<size_t>((*found)[0])) : std::nullopt;
  }
  const auto number = c.use.shapes.expect_integer(c.value(axis), c.span_of(axis), "an axis");
  if (!number) return std::nullopt;
  const int64_t rows = c.use.scopes.implies_rows(x.axes) ? 1 : 0;
  const int64_t place = *number < 0 ? *number + rank : *number + rows;
  if (place >= rows && place < rank) return static_cast<size_t>(place);
  c.use.diagnostics
      .report(Diag::E0109, c.span_of(axis),
              fmt::format("axis {} of `{}`, which has {}", *number, c.use.shapes.type_text(x), rank - rows))
      .with_help(rank == rows
                     ? ""
                     : fmt::format("axes are counted from 0 to {}, or from -{} to -1", rank - rows - 1, rank - rows));
  return std::nullopt;
}

std::optional<std::vector<Tensor>> tensors_of(Call& c) {
  std::vector<Tensor> tensors;
  for (const Value& item : c.value(0).as<TupleValue>()->items) {
    const std::optional<Tensor> x = c.use.graph.expect_tensor(item, c.span_of(0));
    if (!x) return std::nullopt;
    tensors.push_back(*x);
  }
  if (!tensors.empty()) return tensors;
  c.use.diagnostics.report(Diag::E0401, c.span, fmt::format("`{}` is given nothing", c.name()));
  return std::nullopt;
}

/// Other axes and the element type are the same.
bool fits(Call& c, const Tensor& a, const Tensor& b, std::optional<size_t> along) {
  if (a.dtype != b.dtype) {
    c.use.diagnostics
        .report(
            Diag::E0501, c.span,
            fmt::format("`{}` is given `{}` and `{}`", c.name(), c.use.shapes.type_text(a), c.use.shapes.type_text(b)))
        .with_help(fmt::format("convert one of them: `cast(.., {})`", to_string(a.dtype)));
    return false;
  }
  bool same = a.axes.size() == b.axes.size();
  for (size_t i = 0; same && i < a.axes.size(); ++i) same = i == along || c.use.shapes.unify(a.axes[i], b.axes[i]);
  if (same) return true;
  c.use.diagnostics
      .report(
          Diag::E0101, c.span,
          fmt::format("`{}` cannot join `{}` and `{}`", c.name(), c.use.shapes.type_text(a), c.use.shapes.type_text(b)))
      .with_help(along ? fmt::format("all axes but axis {} are the same, in the same order", *along)
                       : std::string("all axes are the same, in the same order"));
  return false;
}

}  // namespace

namespace {

std::optional<Range> range_of_both(const Tensor& a, const Tensor& b) {
  if (!a.range || !b.range) return std::nullopt;
  return Range{std::min(a.range->low, b.range->low), std::max(a.range->high, b.range->high)};
}

/// Values one after the other along an axis of which a size shows at run time, over all positions of the result: each
/// is read where it begins, and counts up to its end.
class JoinAtRunTime {
 public:
  JoinAtRunTime(Call& c, size_t place, const Axes& axes)
      : use_(c.use), build_(c.use.graph.builder()), span_(c.span), place_(place), axes_(axes) {
    positions_ = build_.index({DType::I32, {axes[place].extent}}, 0);
  }

  void add(const Tensor& x) {
    const Size size = use_.shapes.size_of_extent(x.axes[place_].extent);
    Tensor part = behind(x);
    part.axes = axes_;
    if (joined_) {
      const TensorType mask{DType::Bool, shape_of(axes_)};
      const NodeId is_before = build_.make(OpKind::Lt, {positions_, all(number(start_))});
      const NodeId before = build_.broadcast(is_before, mask.shape, {static_cast<int64_t>(place_)});
      part.node = build_.make(OpKind::Select, {before, joined_->node, part.node});
      part.range = range_of_both(*joined_, part);
    }
    joined_ = part;
    start_ = start_ + size;
  }
  Tensor take() { return *joined_; }

 private:
  /// Of a size that shows at run time, or not.
  NodeId number(const Size& size) {
    if (size.is_static()) return build_.constant(static_cast<double>(size.number), {DType::I32, {}});
    const Extent extent = use_.shapes.extent_of(size);
    return build_.extent(extent.symbol, extent.bound, DType::I32);
  }
  NodeId all(NodeId scalar) { return build_.broadcast(scalar, {axes_[place_].extent}, {}); }

  /// x from `start_` on; what stands elsewhere is not read.
  Tensor behind(const Tensor& x) {
    const Axis& axis = axes_[place_];
    if (start_.is_static()) {
      Tensor part = use_.graph.part(x, place_, axis, -start_.number, 0.0, span_);
      part.range = x.range;
      return part;
    }
    const NodeId zero = all(build_.constant(0, {DType::I32, {}}));
    if (x.axes[place_].extent == Extent(1)) return use_.graph.rows_along(x, place_, zero, axis, span_);
    const NodeId count = number(use_.shapes.size_of_extent(x.axes[place_].extent));
    const NodeId last = all(build_.sub(count, build_.like(count, 1)));
    const NodeId from_start = build_.sub(positions_, all(number(start_)));
    const NodeId inside = build_.make(OpKind::Min, {build_.make(OpKind::Max, {from_start, zero}), last});
    return use_.graph.rows_along(x, place_, inside, axis, span_);
  }

  const Provided& use_;
  Builder& build_;
  Span span_;
  size_t place_;
  const Axes& axes_;
  NodeId positions_;
  Size start_;
  std::optional<Tensor> joined_;
};

/// The axes of all values one after the other; nullopt where they do not fit, or become too large.
std::optional<Axes> joined_axes(Call& c, const std::vector<Tensor>& tensors, size_t place) {
  Tensor joined = tensors.front();
  Size size;
  for (const Tensor& x : tensors) {
    if (!fits(c, joined, x, place)) return std::nullopt;
    for (size_t i = 0; i < joined.axes.size(); ++i)
      if (joined.axes[i].dim == kAnonymous) joined.axes[i] = x.axes[i];
    size = size + c.use.shapes.size_of_extent(x.axes[place].extent);
  }
  if (c.use.shapes.largest(size) > kMaxDim) {
    c.use.diagnostics.report(Diag::E0201, c.span, fmt::format("the result is longer than {}", kMaxDim));
    return std::nullopt;
  }
  joined.axes[place] = {kAnonymous, c.use.shapes.extent_of(size)};
  return c.use.shapes.check_size(joined.dtype, joined.axes, c.span) ? std::optional(joined.axes) : std::nullopt;
}

}  // namespace

/// xs.., over=, axis=
Value concat(Call& c) {
  const auto tensors = tensors_of(c);
  if (!tensors) return {};
  const auto place = place_of(c, tensors->front(), 1, 2, static_cast<int64_t>(tensors->front().axes.size()));
  const auto axes = place ? joined_axes(c, *tensors, *place) : std::nullopt;
  if (!axes) return {};
  c.use.graph.builder().set_span(c.span);
  Tensor joined = tensors->front();
  if ((*axes)[*place].extent.is_static()) {
    for (const Tensor& x : std::span(*tensors).subspan(1)) {
      const auto range = range_of_both(joined, x);
      joined.node =
          c.use.graph.builder().make(OpKind::Concat, {joined.node, x.node}, {{"axis", static_cast<int64_t>(*place)}});
      joined.range = range;
    }
  } else {
    JoinAtRunTime join(c, *place, *axes);
    for (const Tensor& x : *tensors) join.add(x);
    joined = join.take();
  }
  joined.axes = *axes;
  joined.column = -1;
  joined.grid = false;
  return Value(joined);
}

/// xs.., axis=, over=
Value stack(Call& c) {
  const auto tensors = tensors_of(c);
  if (!tensors) return {};
  const Tensor& first = tensors->front();
  const auto rank = static_cast<int64_t>(first.axes.size()) + 1;
  const auto number =
      c.has(1) ? c.use.shapes.expect_integer(c.value(1), c.span_of(1), "an axis") : std::optional<int64_t>(0);
  if (!number) return {};
  const int64_t rows = c.use.scopes.implies_rows(first.axes) ? 1 : 0;
  const int64_t place = *number < 0 ? *number + rank : *number + rows;
  if (place < rows || place >= rank) {
    c.use.diagnostics.report(Diag::E0109, c.span_of(1),
                             fmt::format("axis {} of a result with {} axes", *number, rank - rows));
    return {};
  }
  std::optional<Tensor> joined;
  c.use.graph.builder().set_span(c.span);
  for (const Tensor& x : *tensors) {
    if (!fits(c, first, x, std::nullopt)) return {};
    Axes axes = first.axes;
    axes.insert(axes.begin() + place, Axis{kAnonymous, Extent(1)});
    const NodeId part = c.use.graph.builder().reshape(x.node, shape_of(axes));
    if (!joined) {
      joined = c.use.graph.tensor(part, axes);
      continue;
    }
    axes[static_cast<size_t>(place)].extent = Extent(joined->axes[static_cast<size_t>(place)].extent.bound + 1);
    const NodeId node = c.use.graph.builder().make(OpKind::Concat, {joined->node, part}, {{"axis", place}});
    joined = c.use.graph.tensor(node, axes);
  }
  if (c.has(2)) {
    const auto name = c.use.shapes.expect_axes(c.value(2), c.span_of(2));
    if (!name) return {};
    if (name->size() != 1 || (*name)[0].extent != joined->axes[static_cast<size_t>(place)].extent) {
      c.use.diagnostics.report(
          Diag::E0108, c.span_of(2),
          fmt::format("{} values are stacked along {}", tensors->size(), c.use.shapes.axes_text(*name)));
      return {};
    }
    joined->axes[static_cast<size_t>(place)] = (*name)[0];
  }
  return c.use.shapes.check_size(joined->dtype, joined->axes, c.span) ? Value(*joined) : Value();
}

/// x, over=, axis=
Value flip(Call& c) {
  const auto x = c.use.graph.expect_tensor(c.value(0), c.span_of(0));
  const auto place = x ? place_of(c, *x, 1, 2, static_cast<int64_t>(x->axes.size())) : std::nullopt;
  if (!place) return {};
  if (const Extent extent = x->axes[*place].extent; !extent.is_static()) {
    Builder& build = c.use.graph.builder();
    build.set_span(c.span);
    const NodeId size = build.extent(extent.symbol, extent.bound, DType::I32);
    const NodeId last = build.broadcast(build.sub(size, build.like(size, 1)), {extent}, {});
    const NodeId rows = build.sub(last, build.index({DType::I32, {extent}}, 0));
    return Value(c.use.graph.rows_along(*x, *place, rows, x->axes[*place], c.span));
  }
  IndexFormula formula{static_cast<int32_t>(x->axes.size()), {IndexMap{}}, shape_of(x->axes)};
  for (int32_t i = 0; i < formula.rank; ++i) formula.operands[0].axes.push_back(Affine::of(i));
  formula.operands[0].axes[*place] = Affine::of(static_cast<int32_t>(*place), -1) + (x->axes[*place].extent.bound - 1);
  c.use.graph.builder().set_span(c.span);
  Tensor result = *x;
  result.node = c.use.graph.builder().read(x->node, std::move(formula));
  return Value(result);
}

}  // namespace smelt::frontend
