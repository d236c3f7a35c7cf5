// Asking a value to be something: a number, a tensor, a list of axes. Each `expect_*` reports when it is not.
#include <fmt/format.h>

#include <algorithm>

#include "frontend/intrinsics.h"
#include "frontend/shapes.h"

namespace smelt::frontend {

Value unsupported(Diagnostics& diagnostics, Span span, std::string_view what, std::string_view help) {
  diagnostics.report(Diag::E0701, span, fmt::format("{} is not supported yet", what)).with_help(std::string(help));
  return {};
}

std::string Shapes::describe(const Value& value) const {
  struct Describer {
    const Shapes& e;
    std::string operator()(std::monostate) const { return "an unknown value"; }
    std::string operator()(int64_t v) const { return fmt::format("{}", v); }
    std::string operator()(double v) const { return fmt::format("{}", v); }
    std::string operator()(bool v) const { return v ? "true" : "false"; }
    std::string operator()(const std::string& v) const { return fmt::format("\"{}\"", printable(v)); }
    std::string operator()(const DimValue& v) const {
      const Dim& dim = e.dim_of(v.id);
      return fmt::format("dim {} ({}{})", dim.name, dim.extent.is_static() ? "" : "at most ", dim.extent.bound);
    }
    std::string operator()(const ShapeValue& v) const { return fmt::format("the shape {}", e.axes_text(v.axes)); }
    std::string operator()(const TupleValue& v) const { return fmt::format("a tuple of {}", v.items.size()); }
    std::string operator()(const Tensor& v) const { return fmt::format("`{}`", e.type_text(v)); }
    std::string operator()(const FnValue& v) const { return fmt::format("function `{}`", v.decl->name.text); }
    std::string operator()(const IntrinsicValue& v) const { return fmt::format("function `{}`", v.intrinsic->name); }
    std::string operator()(const LayerValue& v) const { return fmt::format("layer `{}`", v.instance->path); }
    std::string operator()(const Selector& v) const { return fmt::format("the parameters `{}`", v.text); }
    std::string operator()(const DTypeValue& v) const { return fmt::format("the type {}", to_string(v.dtype)); }
    std::string operator()(const NoneValue&) const { return "`none`"; }
    std::string operator()(const Distribution& v) const {
      return fmt::format("a {} distribution{}", v.record->name, v.shape ? " over " + e.axes_text(*v.shape) : "");
    }
  };
  return std::visit(Describer{*this}, static_cast<const Value::variant&>(value));
}

std::string Shapes::help_for_no_value(const Value& value) const {
  if (const auto* tuple = value.as<TupleValue>())
    return tuple->items.size() == 2 ? "a tuple is several values: take one of them, or take it apart, `(a, b) = ..`"
                                    : "a tuple is several values: take it apart first, `(a, b, c) = ..`";
  if (const auto* shape = value.as<ShapeValue>())
    return fmt::format("a shape is no value: `reshape(x, {0})` gives x that shape, `zeros({0})` makes a value of it",
                       axes_text(shape->axes));
  if (value.as<LayerValue>() != nullptr || value.as<FnValue>() != nullptr || value.as<IntrinsicValue>() != nullptr)
    return "apply it to a value: `f(x)`";
  if (value.as<Distribution>() != nullptr) return "draw from it, `z ~ ..`, or take its mean, `mean_of(..)`";
  return value.as<NoneValue>() != nullptr ? "`given(x)` asks whether an option is there" : "";
}

std::optional<double> Shapes::number_of(const Value& value) const {
  if (const auto* whole = value.as<int64_t>()) return static_cast<double>(*whole);
  if (const auto* number = value.as<double>()) return *number;
  const auto* dim = value.as<DimValue>();
  if (dim == nullptr || !dim_of(dim->id).extent.is_static()) return std::nullopt;
  return static_cast<double>(dim_of(dim->id).extent.bound);
}

std::optional<int64_t> Shapes::expect_integer(const Value& value, Span span, std::string_view what) {
  if (value.bad()) return std::nullopt;
  if (const auto* whole = value.as<int64_t>()) return *whole;
  if (const auto* dim = value.as<DimValue>()) {
    const Dim& d = dim_of(dim->id);
    if (d.extent.is_static()) return d.extent.bound;
    diagnostics_
        .report(Diag::E0205, span, fmt::format("{} depends on `{}`, which is known at run time only", what, d.name))
        .with_help(fmt::format("its bound is `capacity({})`", d.name));
    return std::nullopt;
  }
  if (const auto* t = value.as<Tensor>(); t != nullptr && t->weak) {
    diagnostics_.report(Diag::E0205, span, fmt::format("{} is known at run time only", what))
        .with_help("`capacity(T)` is the bound of dim T");
    return std::nullopt;
  }
  Diagnostic& report =
      diagnostics_.report(Diag::E0502, span, fmt::format("{} is a whole number, not {}", what, describe(value)));
  if (value.as<Tensor>() != nullptr && what == "a size")
    report.with_help("brackets hold sizes; values stand side by side without them: `concat(x, y, axis=0)`");
  if (value.as<LayerValue>() != nullptr && what == "a size")
    report.with_help("the file has a net of this name: give the axis another one");
  return std::nullopt;
}

std::optional<bool> Shapes::expect_bool(const Value& value, Span span, std::string_view what) {
  if (value.bad()) return std::nullopt;
  if (const auto* flag = value.as<bool>()) return *flag;
  diagnostics_.report(Diag::E0502, span, fmt::format("{} is {}, not a compile-time boolean", what, describe(value)))
      .with_help("write `true`, `false` or a comparison of numbers that are known while compiling");
  return std::nullopt;
}

std::string Shapes::label_help(const Tensor& a, const Tensor& b, Meeting meeting) const {
  const bool plain = meeting == Meeting::Plain;
  if (plain && (a.grid || b.grid)) return {};  // positions in arithmetic are no labels
  const Tensor& labels = is_float(a.dtype) ? b : a;
  const Tensor& scores = is_float(a.dtype) ? a : b;
  if (is_float(labels.dtype) || !is_float(scores.dtype)) return {};
  DimId dim = labels.label;
  if (dim == kAnonymous && labels.grid) return {};  // the number that an index of a formula is
  if (dim == kAnonymous && labels.axes.size() == 1) dim = labels.axes[0].dim;  // `index(Class)`
  const bool scored = dim != kAnonymous && std::ranges::find(scores.axes, dim, &Axis::dim) != scores.axes.end();
  if (!plain && dim != kAnonymous && !scored && labels.axes.size() == 1)  // compared with `index(Class)`
    return fmt::format("labels are whole numbers: `ix<{}>`, or `cast(.., i32)`", dim_of(dim).name);
  if (!scored) return {};
  return fmt::format("`argmax(x, over={})` is the label of the largest", dim_of(dim).name);
}

std::optional<Axes> Shapes::expect_axes(const Value& value, Span span) {
  if (value.bad()) return std::nullopt;
  if (const auto* dim = value.as<DimValue>()) return Axes{axis_of(dim->id)};
  if (const auto* shape = value.as<ShapeValue>()) return shape->axes;
  if (const auto* size = value.as<int64_t>(); size != nullptr && *size > 0) return Axes{{kAnonymous, Extent(*size)}};
  if (const auto* tuple = value.as<TupleValue>()) {
    Axes all;
    for (const Value& item : tuple->items) {
      const std::optional<Axes> part = expect_axes(item, span);
      if (!part) return std::nullopt;
      all.insert(all.end(), part->begin(), part->end());
    }
    return all;
  }
  diagnostics_.report(Diag::E0105, span, fmt::format("expected a dim, found {}", describe(value)))
      .with_help(
          value.as<int64_t>() == nullptr
              ? "name the axis: `over=Class`, or several: `over=(B, T)`"
              : "an axis is known by its name or its size, not by its place: `over=Class`, or several: `over=(B, T)`");
  return std::nullopt;
}

std::optional<Axes> Shapes::expect_shape(const Value& value, Span span) {
  if (value.bad()) return std::nullopt;
  if (const auto* shape = value.as<ShapeValue>()) return shape->axes;
  diagnostics_
      .report(Diag::E0403, span, fmt::format("expected a shape such as [64, 28, 28], found {}", describe(value)))
      .with_help(value.as<DimValue>() != nullptr || value.as<int64_t>() != nullptr || value.as<TupleValue>() != nullptr
                     ? "sizes of a shape stand in brackets: `[64, 28]`"
                     : "");
  return std::nullopt;
}

}  // namespace smelt::frontend
