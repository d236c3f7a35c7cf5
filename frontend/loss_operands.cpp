// What losses of the library ask of their operands.
#include "frontend/loss_operands.h"

#include <fmt/format.h>

#include <algorithm>

namespace smelt::frontend {

/// For losses of the library: a, b, when they have the same axes or one is a number. What holds or not is 1 or 0, as in
/// a mean.
Value same_axes(Call& c) {
  const std::string what = fmt::format("`{}`", c.use.scopes.running_function());
  if (!c.use.graph.same_axes(c.value(0), c.value(1), c.span, what, false)) return {};
  std::vector<Value> operands;
  for (const size_t k : {0, 1}) {
    const auto* t = c.value(k).as<Tensor>();
    const bool holds = t != nullptr && t->dtype == DType::Bool;
    operands.push_back(holds ? Value(*c.use.graph.cast_to(*t, c.use.graph.real(), c.span)) : c.value(k));
  }
  return Value(TupleValue{std::move(operands)});
}

/// Floats where labels are asked for: scores, or labels that were declared as numbers.
static void refuse_floats(const Call& c, const Tensor& y, const Axes& over) {
  const bool scores = over.size() == 1 && std::ranges::find(y.axes, over.front()) != y.axes.end();
  const Axis along = over.empty() ? Axis{} : over.front();
  const std::string dim = along.dim == kAnonymous ? "Class" : c.use.shapes.axis_text(along);
  c.use.diagnostics
      .report(Diag::E0501, c.use.graph.call_site(c.span),
              fmt::format("`{}` takes labels, which are whole numbers, and is given `{}`",
                          c.use.scopes.running_function(), c.use.shapes.type_text(y)))
      .with_help(scores ? fmt::format("`argmax(x, over={})` is the label of the largest", dim)
                        : fmt::format("declare them as labels, `y: ix<{}>`; computed ones are kept inside: "
                                      "`clamp(cast(.., i32), 0, {})`",
                                      dim, along.extent.bound - 1));
}

/// For losses of the library: y, when its whole numbers are labels along the axis, as far as they come from outside.
Value labels_of(Call& c) {
  const auto* y = c.value(0).as<Tensor>();
  const auto over = y != nullptr ? c.use.shapes.expect_axes(c.value(1), c.span_of(1)) : std::nullopt;
  if (y != nullptr && over && is_float(y->dtype) && !y->weak) {
    refuse_floats(c, *y, *over);
    return {};
  }
  const bool one = over && over->size() == 1 && !is_float(y->dtype);
  if (one && over->front().dim == kAnonymous && !y->axes.empty()) {  // positions along it would stand beside y's axes
    c.use.diagnostics
        .report(Diag::E0110, c.use.graph.call_site(c.span),
                fmt::format("`{}` is over an axis without a name, and labels are positions along a dim",
                            c.use.scopes.running_function()))
        .with_help(fmt::format("name the axis: `dim Class = {0}`, then `over=Class`", over->front().extent.bound));
    return {};
  }
  const bool named = one && y->label != kAnonymous && over->front().dim != kAnonymous;
  // Row n of a table of all pairs has its partner at place n of the second axis: `index(B)` along `dim Other = B`.
  const bool pairs_up = named && y->grid && c.use.shapes.axis_of(y->label).extent == over->front().extent;
  if (named && !pairs_up && over->front().dim != y->label &&
      c.use.shapes.axis_of(y->label).extent.bound <= over->front().extent.bound) {
    const std::string of = c.use.shapes.dim_of(y->label).name, along = c.use.shapes.axis_text(over->front());
    c.use.diagnostics
        .report(Diag::E0110, c.use.graph.call_site(c.span),
                fmt::format("`{}` is over {}, and is given labels of {}", c.use.scopes.running_function(), along, of))
        .caret(fmt::format("a label of {} is no position along {}", of, along))
        .with_help(
            fmt::format("declare them as labels of {0}, `ix<{0}>`, or take `over={1}`; `cast(y, i32)` are numbers "
                        "of no dim",
                        along, of));
    return {};
  }
  return one && !c.use.graph.check_positions(*y, over->front(), c.span) ? Value() : c.value(0);
}

/// For arguments of the library that are one for all rows, or one of each.
Value is_number(Call& c) {
  const auto* t = c.value(0).as<Tensor>();
  return Value(t != nullptr ? t->axes.empty() : c.use.shapes.number_of(c.value(0)).has_value());
}

}  // namespace smelt::frontend
