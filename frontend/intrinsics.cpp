// The functions that the compiler provides: their table, and those that only pass their arguments on.
#include "frontend/intrinsics.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "frontend/axis_functions.h"
#include "frontend/calls.h"
#include "frontend/data_section.h"
#include "frontend/derivatives.h"
#include "frontend/distributions.h"
#include "frontend/library.h"
#include "frontend/loss_operands.h"
#include "frontend/planned.h"
#include "frontend/shape_functions.h"
#include "frontend/window_functions.h"
#include "ir/op.h"

namespace smelt::frontend {

namespace {

// ---- functions of the op table ----

/// One number, or each element.
Value apply_by_element(Call& c) {
  const OpDef& op = *c.function.op;
  const Value& x = c.value(0);
  if (const auto number = c.use.shapes.number_of(x)) {
    if (op_kind(op) == OpKind::Floor && x.as<int64_t>() != nullptr) return x;  // whole numbers may be sizes
    return Value(op.reference(std::array{*number}));
  }
  Value result = c.use.graph.elementwise(op_kind(op), {x}, c.span, fmt::format("`{}`", op.name));
  if (auto* t = result.as<Tensor>(); t != nullptr && op.range.known()) t->range = Range{op.range.low, op.range.high};
  return result;
}

/// Nothing for an op that the language does not have under its name.
std::optional<Intrinsic> function_of(const OpDef& op) {
  switch (op.applied) {
    case Applied::No: break;
    case Applied::ByElement: return Intrinsic{op.name, "x", op.doc, apply_by_element, &op};
    case Applied::OverAxes:
    case Applied::AlongAxes: return Intrinsic{op.name, "x, over=", op.doc, apply_over_axes, &op};
    case Applied::OfAxis: return Intrinsic{op.name, "x, over=", op.doc, apply_of_axis, &op};
  }
  return std::nullopt;
}

// ---- by element ----

Value where(Call& c) {
  return c.use.graph.elementwise(OpKind::Select, {c.value(0), c.value(1), c.value(2)}, c.span, "`where`");
}

Value clamp(Call& c) {
  const auto low = c.use.shapes.number_of(c.value(1)), high = c.use.shapes.number_of(c.value(2));
  if (low && high && *low > *high) {
    c.use.diagnostics.report(Diag::E0503, c.span,
                             fmt::format("`clamp` to {}..{}: the low end is above the high end", *low, *high));
    return {};
  }
  if (const auto x = c.use.shapes.number_of(c.value(0)); x && low && high) return Value(std::clamp(*x, *low, *high));
  const Value above = c.use.graph.elementwise(OpKind::Max, {c.value(0), c.value(1)}, c.span, "`clamp`");
  Value result = c.use.graph.elementwise(OpKind::Min, {above, c.value(2)}, c.span, "`clamp`");
  if (auto* t = result.as<Tensor>(); t != nullptr && low && high) t->range = Range{*low, *high};
  return result;
}

Value stop(Call& c) {
  const auto x = c.use.graph.expect_float(c.value(0), c.span_of(0));
  if (!x) return {};
  Tensor t = c.use.graph.tensor(c.use.graph.builder().make(OpKind::Stop, {x->node}), x->axes);
  t.range = x->range;
  return Value(t);
}

Value cast(Call& c) {
  const auto* dtype = c.value(1).as<DTypeValue>();
  if (dtype == nullptr) {
    c.use.diagnostics.report(Diag::E0504, c.span_of(1), "`cast` takes an element type such as f32");
    return {};
  }
  const DType to = dtype->dtype == DType::F32 ? c.use.graph.real() : dtype->dtype;
  const auto x = c.use.graph.expect_tensor(c.value(0), c.span_of(0), to);
  if (!x) return {};
  c.use.graph.builder().set_span(c.span);
  Tensor t = c.use.graph.tensor(c.use.graph.builder().cast(x->node, to), x->axes);
  t.range = x->range;
  t.grid = x->grid;
  return Value(t);
}

Value nan(Call& c) {
  const auto x = c.use.graph.expect_float(c.value(0), c.span_of(0));
  return x ? c.use.graph.elementwise(OpKind::Ne, {Value(*x), Value(*x)}, c.span, "`nan`") : Value();
}

// ---- parameters, gradients, options ----

Value grad(Call& c) { return c.use.derivatives.gradient(c.value(0), c.value(1), c.span); }
Value jvp(Call& c) { return c.use.derivatives.directional_derivative(c.value(0), c.value(1), c.value(2), c.span); }
Value l2(Call& c) { return c.use.derivatives.penalty(c.value(0), true, c.span); }
Value l1(Call& c) {
  if (c.has(1)) return c.use.calls.call_library("l1_loss", {c.value(0), c.value(1)}, c.span);
  return c.use.derivatives.penalty(c.value(0), false, c.span);
}
Value given(Call& c) { return Value(c.value(0).as<NoneValue>() == nullptr); }

// ---- data and distributions ----

Value field(Call& c) {
  if (c.value(0).as<std::string>() != nullptr) {
    c.use.diagnostics.report(Diag::E0502, c.span_of(0), "a field is a number, not a name")
        .with_help("columns are counted from 0: `field(2)` is the third one of a csv file, whatever its header says");
    return {};
  }
  const auto k = c.use.shapes.expect_integer(c.value(0), c.span_of(0), "a field");
  // Below 0 there is none: -1 stands for the whole row elsewhere.
  return k ? c.use.data.field_column(*k < 0 ? -2 : static_cast<int32_t>(std::min<int64_t>(*k, 1 << 20)), c.span)
           : Value();
}
Value row(Call& c) { return c.use.data.field_column(Column::kWholeRow, c.span); }

/// A distribution of two forms takes one of its last two parameters.
Value distribution(Call& c) {
  const DistributionRecord& record = *c.function.distribution;
  const bool two_forms = !record.misuse.empty();
  const size_t last = c.args.size() - 1;
  if (two_forms && c.has(last) == c.has(last - 1)) {
    c.use.diagnostics.report(Diag::E0401, c.span, std::string(record.misuse)).with_help(std::string(record.help));
    return {};
  }
  std::vector<Value> params;
  for (size_t i = 0; i < c.args.size(); ++i)
    if (c.has(i)) params.push_back(c.value(i));
  return c.use.distributions.make_distribution(record, std::move(params), two_forms && c.has(last), c.span);
}
Value log_prob(Call& c) {
  return c.use.distributions.distribution_function("log_prob", c.value(0), {c.value(1)}, c.span);
}
Value kl(Call& c) { return c.use.distributions.distribution_function("kl", c.value(0), {c.value(1)}, c.span); }
Value entropy(Call& c) { return c.use.distributions.distribution_function("entropy", c.value(0), {}, c.span); }
Value mean_of(Call& c) { return c.use.distributions.distribution_function("mean", c.value(0), {}, c.span); }

// ---- names that are only reported ----

Value not_yet(Call& c) { return unsupported(c.use.diagnostics, c.span, fmt::format("`{}`", c.function.name)); }
Value grid(Call& c) {
  c.use.diagnostics.report(Diag::E0609, c.span, "`grid` stands in an `image` action only");
  return {};
}

const Intrinsic kOwn[] = {
    {"max", "x, y=, over=", "larger of two by element, or the largest over axes", maximum},
    {"min", "x, y=, over=", "smaller of two by element, or the smallest over axes", minimum},
    {"where", "condition, a, b", "a where the condition holds, else b", where},
    {"clamp", "x, low, high", "x, but at least low and at most high", clamp},
    {"stop", "x", "x, as a constant of differentiation", stop},
    {"cast", "x, dtype", "x as another element type", cast},
    {"nan", "x", "where x is not a number", nan},
    {"stretch", "x, over", "x repeated along axes that it lacks", stretch},
    {"same_axes", "a, b", "(a, b), two operands of a loss, which have the same axes", same_axes},
    {"labels_of", "y, over", "y, the labels of a loss, which are positions along the axis", labels_of},
    {"sum", "x, over=", "sum over axes, or over all", sum},
    {"mean", "x, over=", "mean over axes, or over all; run-time dims count their actual size", mean},
    {"count", "x, over=", "number of elements along axes", count},
    {"contract", "a, b, over", "sum of products over the named axes", contract},
    {"reshape", "x, shape", "the same elements in row-major order", reshape},
    {"flatten", "x", "all axes but the first become one", flatten},
    {"squeeze", "x", "without axes of one element", squeeze},
    {"concat", "xs.., over=, axis=", "values one after the other along an axis", concat},
    {"stack", "xs.., axis=, over=",
     "values side by side along a new axis, the first one unless `axis` says which; `over` names it", stack},
    {"flip", "x, over=, axis=", "the elements of an axis in reverse order", flip},
    {"pair", "size, least=", "(k, k) of a number, or a pair as it is", pair},
    {"margins", "pad, axis, of, size, kernel, stride, dilation", "zeros before and after an axis under a window",
     margins},
    {"split", "x, over", "one tensor for each element of an axis", split},
    {"zeros", "shape=", "0 everywhere", zeros},
    {"ones", "shape=", "1 everywhere", ones},
    {"zeros_like", "x", "0, shaped like x", zeros_like},
    {"ones_like", "x", "1, shaped like x", ones_like},
    {"_in_front", "x, over, size, fill",
     "x with an axis in front that is as long as `size`; `fill` stands behind its elements", in_front},
    {"_front_as", "x, over", "the first elements of the axis in front, as many as a dim has, along that dim", front_as},
    {"_digits", "n", "binary digits of n - 1, at least 1: 2 ^ digits(n) is a power of two that is not below n", digits},
    {"_sorts_by_network", "x, over", "whether `sort` and `rank` of x use a sorting network", sorts_by_network},
    {"_is_number", "x", "whether x is a number or has no axes", is_number},
    {"_as_labels", "x, over", "whole numbers as labels of a dim", as_labels},
    {"index", "dim", "0, 1, .. along a dim", index},
    {"capacity", "dim", "the bound of a dim", capacity},
    {"grad", "y, wrt", "derivative of a scalar", grad},
    {"jvp", "y, wrt, along", "derivative along a direction", jvp},
    {"l2", "what", "half the sum of squares of parameters or of a tensor", l2},
    {"l1", "a, b=", "sum of magnitudes of parameters; of two tensors, mean magnitude of the difference", l1},
    {"given", "option", "whether an option of an optimiser is written on the step line", given},
    {"field", "k", "field k of the reader, one row", field, nullptr, nullptr, true},
    {"row", "", "all columns of a csv file", row},
    {"log_prob", "dist, x", "log of the density, by element", log_prob},
    {"kl", "q, p", "Kullback-Leibler divergence by element, in closed form", kl},
    {"entropy", "dist", "by element", entropy},
    {"mean_of", "dist", "mean of a distribution", mean_of},
    {"grid", "x, columns", "pictures side by side, in an image action", grid},
};

std::vector<Intrinsic> all_functions() {
  std::vector<Intrinsic> all;
  for (const OpDef& op : all_ops()) {
    if (const std::optional<Intrinsic> function = function_of(op)) all.push_back(*function);
  }
  all.insert(all.end(), std::begin(kOwn), std::end(kOwn));
  for (const DistributionRecord& record : all_distributions())
    all.push_back({.name = record.name, .params = record.params, .evaluate = distribution, .distribution = &record});
  for (const Planned& planned : kPlanned) {
    if (planned.kind == PlannedKind::Function)
      all.push_back({.name = planned.name, .params = planned.params, .evaluate = not_yet});
  }
  return all;
}

}  // namespace

std::span<const Intrinsic> intrinsics() {
  static const std::vector<Intrinsic> all = all_functions();
  return all;
}

const Intrinsic* find_intrinsic(std::string_view name) {
  const auto found = std::ranges::find(intrinsics(), name, &Intrinsic::name);
  return found == intrinsics().end() ? nullptr : &*found;
}

std::vector<std::string_view> intrinsic_names() {
  std::vector<std::string_view> names;
  for (const Intrinsic& intrinsic : intrinsics())
    if (!is_inner_name(intrinsic.name) && intrinsic.evaluate != not_yet) names.push_back(intrinsic.name);
  return names;
}

}  // namespace smelt::frontend
