// Tensors that meet: what may be aligned (align_axes.h), broadcast, and what is said where it may not.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <span>
#include <utility>

#include "frontend/align_axes.h"
#include "frontend/graph_writer.h"

namespace smelt::frontend {

namespace {

/// Whether an operand is read row by row against the other: its first axis alone is its own. Rows meet a table with
/// which they share axes (distances of [B, X] to each of [K, X]), and a number a row meets a vector ([B] and [Class]).
bool rows_against(const Axes& rows, const std::vector<size_t>& own, const Axes& table) {
  if (own.size() != 1 || own[0] != 0) return false;
  return rows.size() > 1 || table.size() == 1 || !rows[0].extent.is_static();
}

/// `K`, or `(K, S)`, of axes that all have names; else nothing.
std::string names_in_over(const Shapes& shapes, const Axes& axes) {
  std::vector<std::string> names;
  for (const Axis& axis : axes) {
    if (axis.dim == kAnonymous) return {};
    names.push_back(shapes.axis_text(axis));
  }
  const std::string list = fmt::format("{}", fmt::join(names, ", "));
  return names.size() > 1 ? "(" + list + ")" : list;
}

bool has_one_element(const Axis& axis) { return axis.extent == Extent(1); }

/// Each operand has an axis that the other lacks, and nothing says that all pairs are meant: decisions/0011.
bool stretches_both(const Axes& a, const Axes& b, const Alignment& pair) {
  const auto only_a = Alignment::lacking(pair.lhs, pair.rhs), only_b = Alignment::lacking(pair.rhs, pair.lhs);
  if (only_a.empty() || only_b.empty()) return false;
  for (size_t i = 0; i < a.size(); ++i) {  // examples of one batch are not paired with each other
    if (!a[i].extent.is_static() && std::ranges::find(only_a, i) == only_a.end()) return true;
  }
  return !rows_against(a, only_a, b) && !rows_against(b, only_b, a);
}

/// A condition and the values that it chooses from: these give the order where they have all axes, although the
/// condition comes first in the text.
Alignment align_choice(const Shapes& shapes, const Axes& condition, const Axes& values) {
  Alignment pair = align_axes(shapes, values, condition);
  if (!pair.problem.empty() || !pair.has_all(pair.lhs)) return align_axes(shapes, condition, values);
  std::swap(pair.lhs, pair.rhs);
  return pair;
}

}  // namespace

/// Tells of two operands that would form all pairs; true when they would.
bool GraphWriter::refuse_all_pairs(const Tensor& a, const Tensor& b, Span span, std::string_view what) {
  if (a.grid || b.grid) return false;
  const Alignment pair = align_axes(shapes_, a.axes, b.axes);
  if (!pair.problem.empty() || !stretches_both(a.axes, b.axes, pair)) return false;
  const auto only_a = Alignment::lacking(pair.lhs, pair.rhs), only_b = Alignment::lacking(pair.rhs, pair.lhs);
  Axes renamed = b.axes, missing;
  bool same_sizes = only_a.size() == only_b.size();
  for (size_t k = 0; k < only_b.size(); ++k) {
    missing.push_back(b.axes[only_b[k]]);
    same_sizes = same_sizes && a.axes[only_a[k]].extent == b.axes[only_b[k]].extent;
    if (same_sizes) renamed[only_b[k]] = a.axes[only_a[k]];
  }
  Axes lacked;
  for (const size_t i : only_a) lacked.push_back(a.axes[i]);
  const std::string over = names_in_over(shapes_, missing);
  const std::string pairs =
      over.empty() ? fmt::format(
                         "for all pairs on purpose, name the axes of the second operand with `as [..]`, and "
                         "stretch the first along them")
                   : fmt::format("for all pairs on purpose, stretch the first operand: `stretch(.., over={})`", over);
  diagnostics_
      .report(Diag::E0110, call_site(span),
              fmt::format("{} of `{}` and `{}` would form all pairs", what, shapes_.type_text(a), shapes_.type_text(b)))
      .caret(fmt::format("only the first has {}, only the second has {}", shapes_.axes_text(lacked),
                         shapes_.axes_text(missing)))
      .with_help(same_sizes
                     ? fmt::format("if they are the same axes, rename those of the second operand: `.. as {}`; {}",
                                   shapes_.axes_text(renamed), pairs)
                     : pairs);
  return true;
}

bool GraphWriter::same_axes(const Value& a, const Value& b, Span span, std::string_view what, bool draws) {
  if (a.bad() || b.bad()) return false;
  const auto *x = a.as<Tensor>(), *y = b.as<Tensor>();
  if (x == nullptr || y == nullptr || x->weak || y->weak) return true;  // a number is every element's
  const Axes &longer = x->axes.size() < y->axes.size() ? y->axes : x->axes,
             &shorter = &longer == &x->axes ? y->axes : x->axes;
  const auto same = [&](const Axis& p, const Axis& q) { return shapes_.unify(p, q); };
  if (draws && std::ranges::equal(shorter, std::span(longer).last(shorter.size()), same)) return true;
  const Alignment pair = align_axes(shapes_, x->axes, y->axes);
  // Coordinates, such as a one-hot target made of `index`, stretch.
  if (pair.problem.empty() && (x->grid || pair.has_all(pair.lhs)) && (y->grid || pair.has_all(pair.rhs))) return true;
  const auto only_x = Alignment::lacking(pair.lhs, pair.rhs), only_y = Alignment::lacking(pair.rhs, pair.lhs);
  const auto in_front = [](const std::vector<size_t>& own) { return own.empty() || own.back() + 1 == own.size(); };
  if (draws && pair.problem.empty() && (only_x.empty() ? in_front(only_y) : only_y.empty() && in_front(only_x)))
    return true;
  const bool as_many = x->axes.size() == y->axes.size();
  const bool renames = as_many && std::ranges::equal(x->axes, y->axes, {}, &Axis::extent, &Axis::extent);
  Diagnostic& report = diagnostics_.report(Diag::E0110, call_site(span),
                                           fmt::format("{} is given `{}` and `{}`, which do not have the same axes",
                                                       what, shapes_.type_text(*x), shapes_.type_text(*y)));
  if (!pair.problem.empty()) {
    report.caret(pair.problem).with_help("`reshape`, `squeeze` or `as [..]` give one operand the axes of the other");
    return false;
  }
  const auto axes_at = [](const Tensor& t, const std::vector<size_t>& places) {
    Axes axes;
    for (const size_t place : places) axes.push_back(t.axes[place]);
    return axes;
  };
  const Axes of_x = axes_at(*x, only_x), of_y = axes_at(*y, only_y);
  std::vector<std::string> only;
  if (!of_x.empty()) only.push_back(fmt::format("only the first has {}", shapes_.axes_text(of_x)));
  if (!of_y.empty()) only.push_back(fmt::format("only the second has {}", shapes_.axes_text(of_y)));
  report.caret(fmt::format("{}", fmt::join(only, ", ")));
  std::vector<std::string> help;
  if (renames)
    help.push_back(
        fmt::format("if they are the same axes, rename those of the second: `.. as {}`", shapes_.axes_text(x->axes)));
  if (std::ranges::any_of(of_x, has_one_element) || std::ranges::any_of(of_y, has_one_element))
    help.emplace_back("`squeeze` drops axes of one element");
  // Where both lack an axis, the density of a stretched second operand repeats along what is left in front.
  const bool one_is_enough = draws && in_front(only_y);
  const std::string over_x = names_in_over(shapes_, of_x), over_y = names_in_over(shapes_, of_y);
  if (!over_x.empty() && !over_y.empty())
    help.push_back(fmt::format("for all pairs, repeat the second, `stretch(.., over={})`{}", over_x,
                               one_is_enough ? "" : fmt::format(", and the first, `stretch(.., over={})`", over_y)));
  else if (!over_x.empty() || !over_y.empty())
    help.push_back(fmt::format("repeat the {} one: `stretch(.., over={})`", over_x.empty() ? "first" : "second",
                               over_x.empty() ? over_y : over_x));
  report.with_help(help.empty() ? "`reshape` or `as [..]` gives one operand the axes of the other"
                                : fmt::format("{}", fmt::join(help, "; ")));
  return false;
}

/// Why two shapes do not line up, and what to write instead.
std::string GraphWriter::alignment_help(const Tensor& a, const Tensor& b) {
  const auto has_ones = [](const Tensor& t) {
    return t.axes.size() > 1 && std::ranges::any_of(t.axes, [](const Axis& axis) {
             return axis.dim == kAnonymous && axis.extent == Extent(1);
           });
  };
  if (has_ones(a) || has_ones(b))
    return "an axis of one element is not stretched: without it, or after `squeeze(..)`, the others line up by name";
  return "axes line up by name, those that have none from the right: a dim, `dim C = 3`, or `as [..]` gives them one";
}

Span GraphWriter::call_site(Span span) {
  return scopes_.frame().scope->library && !builder().call().empty() ? builder().call() : span;
}

/// The dtype that operands of one operation share: that of the tensors, numbers follow.
std::optional<DType> GraphWriter::common_dtype(const std::vector<Value>& values, Span span, Meeting meeting) {
  std::optional<DType> common;
  const Tensor* first = nullptr;
  for (const Value& value : values) {
    const auto* t = value.as<Tensor>();
    if (t == nullptr || t->weak) continue;
    const DType dtype = is_small_int(t->dtype) || (t->column >= 0 && t->label == kAnonymous) ? real() : t->dtype;
    if (common && *common != dtype) {
      const bool holds = *common == DType::Bool || dtype == DType::Bool;
      std::string help =
          holds ? "what holds or not becomes 1 or 0 by `cast(.., f32)`" : shapes_.label_help(*first, *t, meeting);
      const DType wanted = is_float(dtype) && !is_float(*common) ? dtype : *common;
      if (help.empty()) help = fmt::format("convert one of them: `cast(.., {})`", to_string(wanted));
      diagnostics_
          .report(Diag::E0501, span, fmt::format("operands are {} and {}", to_string(*common), to_string(dtype)))
          .with_help(std::move(help));
      return std::nullopt;
    }
    common = dtype;
    first = t;
  }
  if (common) return common;
  const bool weak = std::ranges::any_of(
      values, [](const Value& v) { return v.as<Tensor>() != nullptr || v.as<DimValue>() != nullptr; });
  return weak ? DType::F64 : real();
}

std::optional<std::vector<Tensor>> GraphWriter::align(std::vector<Value> values, Span span, std::string_view what,
                                                      Meeting meeting) {
  for (const Value& value : values)
    if (value.bad()) return std::nullopt;
  const std::optional<DType> dtype = common_dtype(values, span, meeting);
  if (!dtype) return std::nullopt;
  std::vector<Tensor> tensors;
  bool weak = true;
  for (const Value& value : values) {
    std::optional<Tensor> t = expect_tensor(value, span, *dtype);
    if (!t) return std::nullopt;
    weak = weak && (t->weak || value.as<Tensor>() == nullptr);
    t = cast_to(*t, *dtype, span);
    if (!t) return std::nullopt;
    tensors.push_back(std::move(*t));
  }
  Tensor so_far = tensors[0];
  so_far.grid = so_far.grid || so_far.axes.empty();
  Axes& axes = so_far.axes;
  for (const Tensor& t : tensors) {
    if (refuse_all_pairs(so_far, t, span, what)) return std::nullopt;
    Alignment pair = align_axes(shapes_, axes, t.axes);
    if (!pair.problem.empty()) {
      diagnostics_
          .report(pair.ambiguous ? Diag::E0102 : Diag::E0101, span,
                  fmt::format("{} cannot align `{}` with `{}`", what, shapes_.type_text(tensors[0].dtype, axes),
                              shapes_.type_text(t)))
          .caret(pair.problem)
          .with_help(pair.ambiguous ? pair.help : alignment_help(so_far, t));
      return std::nullopt;
    }
    axes = std::move(pair.axes);
    so_far.grid = so_far.grid && (t.grid || t.axes.empty());
  }
  if (!shapes_.check_size(*dtype, axes, span)) return std::nullopt;
  for (Tensor& t : tensors) {
    const Alignment pair = align_axes(shapes_, axes, t.axes);
    if (!pair.problem.empty() || pair.axes.size() != axes.size()) {
      diagnostics_.report(
          Diag::E0102, span,
          fmt::format("{} cannot align `{}` with `{}`", what, shapes_.type_text(*dtype, axes), shapes_.type_text(t)));
      return std::nullopt;
    }
    t = expand(t, axes, pair.rhs);
    t.grid = so_far.grid;
    t.weak = weak && *dtype == DType::F64;
  }
  return tensors;
}

std::optional<Tensor> GraphWriter::broadcast_to(const Tensor& x, const Axes& axes, Span span) {
  const Alignment pair = align_axes(shapes_, axes, x.axes);
  if (!pair.problem.empty() || pair.axes.size() != axes.size()) {
    diagnostics_
        .report(Diag::E0101, span, fmt::format("`{}` does not fit `{}`", shapes_.type_text(x), shapes_.axes_text(axes)))
        .caret(pair.problem);
    return std::nullopt;
  }
  return expand(x, axes, pair.rhs);
}

Value GraphWriter::elementwise(OpKind op, std::vector<Value> operands, Span span, std::string_view what) {
  const bool picks = op == OpKind::Select;
  Value condition;
  if (picks) {
    condition = operands.front();
    if (condition.bad()) return {};
    const auto* t = condition.as<Tensor>();
    if (condition.as<bool>() == nullptr && (t == nullptr || t->dtype != DType::Bool)) {
      diagnostics_.report(Diag::E0501, span,
                          fmt::format("the condition is {} instead of bool", shapes_.describe(condition)));
      return {};
    }
    operands.erase(operands.begin());
  }
  std::optional<std::vector<Tensor>> tensors =
      align(operands, span, what, op_def(op).traits.comparison ? Meeting::Compared : Meeting::Plain);
  if (!tensors) return {};
  std::vector<NodeId> inputs;
  bool grid = tensors->front().grid;
  if (picks) {
    const std::optional<Tensor> c = expect_tensor(condition, span, DType::Bool);
    if (!c) return {};
    // Align shapes alone: the condition has another element type.
    if (refuse_all_pairs(*c, tensors->front(), span, what)) return {};
    grid = grid && c->grid;
    const Alignment pair = align_choice(shapes_, c->axes, tensors->front().axes);
    if (!pair.problem.empty()) {
      diagnostics_
          .report(pair.ambiguous ? Diag::E0102 : Diag::E0101, span,
                  fmt::format("{} cannot align `{}` with `{}`", what, shapes_.type_text(*c),
                              shapes_.type_text(tensors->front())))
          .caret(pair.problem)
          .with_help(pair.ambiguous ? pair.help : alignment_help(*c, tensors->front()));
      return {};
    }
    if (!shapes_.check_size(tensors->front().dtype, pair.axes, span)) return {};
    inputs.push_back(expand(*c, pair.axes, pair.lhs).node);
    for (Tensor& t : *tensors) t = expand(t, pair.axes, pair.rhs);
  }
  for (const Tensor& t : *tensors) inputs.push_back(t.node);
  builder().set_span(span);
  const Result<NodeId> node = builder().push(op, inputs);
  if (!node) {
    diagnostics_.report(Diag::E0501, span, node.error().message).with_help(node.error().help);
    return {};
  }
  Tensor result = tensor(*node, tensors->front().axes);
  result.weak = tensors->front().weak && result.dtype == DType::F64 && result.axes.empty();
  result.grid = grid;
  return Value(result);
}

}  // namespace smelt::frontend
