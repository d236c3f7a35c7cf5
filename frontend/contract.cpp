// Operations that remove or replace axes: contraction, reduction, gather.
#include <fmt/format.h>

#include <algorithm>

#include "frontend/graph_writer.h"

namespace smelt::frontend {

namespace {

/// A contraction while its axes are paired: the index of each operand's axes, those that both have shared.
class Pairing {
 public:
  Pairing(size_t a_rank, size_t b_rank) : a_(a_rank, -1), b_(b_rank, -1) {}

  void sum(size_t i, size_t j) { pairs_.push_back({i, j, true}); }
  void keep(size_t i, size_t j) { pairs_.push_back({i, j, false}); }
  bool takes_a(size_t i) const { return std::ranges::find(pairs_, i, &Pair::a) != pairs_.end(); }
  bool takes_b(size_t j) const { return std::ranges::find(pairs_, j, &Pair::b) != pairs_.end(); }
  bool sums_a(size_t i) const {
    return std::ranges::any_of(pairs_, [&](const Pair& pair) { return pair.a == i && pair.summed; });
  }

  /// The result has a's remaining axes, then those that b alone has.
  IndexFormula formula() {
    int32_t next = 0;
    for (size_t i = 0; i < a_.size(); ++i) {
      if (!sums_a(i)) a_[i] = next++;
    }
    for (size_t j = 0; j < b_.size(); ++j) {
      if (!takes_b(j)) b_[j] = next++;
    }
    IndexFormula formula{next, {}, {}};
    for (const Pair& pair : pairs_) {
      if (pair.summed) a_[pair.a] = next++;
      b_[pair.b] = a_[pair.a];
    }
    for (const auto* indices : {&a_, &b_}) {
      IndexMap& map = formula.operands.emplace_back();
      for (const int32_t index : *indices) map.axes.push_back(Affine::of(index));
    }
    formula.extents.assign(static_cast<size_t>(next), unstated());
    return formula;
  }

 private:
  struct Pair {
    size_t a, b;
    bool summed;
  };
  std::vector<int32_t> a_, b_;
  std::vector<Pair> pairs_;
};

}  // namespace

/// Pushes the contraction whose result has `axes`.
Value GraphWriter::push_contraction(const Tensor& a, const Tensor& b, IndexFormula formula, Axes axes, Span span) {
  if (!shapes_.check_size(a.dtype, axes, span)) return {};
  builder().set_span(span);
  const Result<NodeId> node = builder().push(OpKind::Contract, {a.node, b.node}, {{"formula", std::move(formula)}});
  if (!node) {
    diagnostics_.report(Diag::E0103, span, node.error().message);
    return {};
  }
  return Value(tensor(*node, std::move(axes)));
}

/// contract(a, b, over): sums over `over`; other shared dims stay, once.
Value GraphWriter::contract(const Tensor& a, const Tensor& b, const Axes& over, Span span) {
  const auto in_a = shapes_.find_axes(a, over, span, NamedAxes::InPairs);
  const auto in_b = shapes_.find_axes(b, over, span, NamedAxes::InPairs);
  if (!in_a || !in_b) return {};
  Pairing pairing(a.axes.size(), b.axes.size());
  for (size_t k = 0; k < over.size(); ++k) {
    const auto i = static_cast<size_t>((*in_a)[k]), j = static_cast<size_t>((*in_b)[k]);
    if (!shapes_.unify(a.axes[i], b.axes[j])) {
      diagnostics_
          .report(Diag::E0103, span,
                  fmt::format("inner sizes differ: `{}` and `{}`", shapes_.type_text(a), shapes_.type_text(b)))
          .caret(fmt::format("{} and {}", shapes_.axis_text(a.axes[i]), shapes_.axis_text(b.axes[j])));
      return {};
    }
    pairing.sum(i, j);
  }
  Axes axes;
  for (size_t i = 0; i < a.axes.size(); ++i) {
    if (pairing.sums_a(i)) continue;
    axes.push_back(a.axes[i]);
    for (size_t j = 0; j < b.axes.size() && !pairing.takes_a(i); ++j) {
      const bool shared = a.axes[i].dim != kAnonymous && a.axes[i].dim == b.axes[j].dim;
      if (shared && !pairing.takes_b(j)) pairing.keep(i, j);
    }
  }
  for (size_t j = 0; j < b.axes.size(); ++j) {
    if (!pairing.takes_b(j)) axes.push_back(b.axes[j]);
  }
  return push_contraction(a, b, pairing.formula(), std::move(axes), span);
}

/// a @ b: the last axis of a with the first of b.
Value GraphWriter::matmul(const Value& lhs, const Value& rhs, Span span) {
  const auto a = expect_float(lhs, span), b = expect_float(rhs, span);
  if (!a || !b) return {};
  if (a->dtype != b->dtype) {
    diagnostics_
        .report(Diag::E0501, span, fmt::format("operands are {} and {}", to_string(a->dtype), to_string(b->dtype)))
        .with_help("convert one of them with `cast`");
    return {};
  }
  if (a->axes.empty() || b->axes.empty()) {
    diagnostics_
        .report(
            Diag::E0103, span,
            fmt::format("`@` needs an axis on both sides: `{}` and `{}`", shapes_.type_text(*a), shapes_.type_text(*b)))
        .with_help("multiply by a number with `*`");
    return {};
  }
  const Axis inner_a = a->axes.back(), inner_b = b->axes.front();
  if (!shapes_.unify(inner_a, inner_b)) {
    diagnostics_
        .report(Diag::E0103, span,
                fmt::format("inner sizes differ: `{}` @ `{}`", shapes_.type_text(*a), shapes_.type_text(*b)))
        .caret(fmt::format("{} and {}", shapes_.sized_text(inner_a), shapes_.sized_text(inner_b)))
        .with_help(inner_a.dim != kAnonymous && std::ranges::count(b->axes, inner_a.dim, &Axis::dim) == 1
                       ? fmt::format("`contract(a, b, over={0})` sums over {0}, wherever it stands in b",
                                     shapes_.axis_text(inner_a))
                       : "`a @ b` sums over the last axis of a and the first one of b");
    return {};
  }
  for (size_t i = 0; i + 1 < a->axes.size(); ++i) {
    for (size_t j = 1; j < b->axes.size(); ++j) {
      if (a->axes[i].dim == kAnonymous || a->axes[i].dim != b->axes[j].dim) continue;
      diagnostics_
          .report(Diag::E0103, span,
                  fmt::format("both operands of `@` have axis {}: `{}` @ `{}`", shapes_.axis_text(a->axes[i]),
                              shapes_.type_text(*a), shapes_.type_text(*b)))
          .with_help(fmt::format("write `contract(a, b, over={})`", shapes_.axis_text(inner_a)));
      return {};
    }
  }
  // Contract by position: a name may also stand elsewhere in one of the shapes.
  Axes axes(a->axes.begin(), a->axes.end() - 1);
  axes.insert(axes.end(), b->axes.begin() + 1, b->axes.end());
  Pairing pairing(a->axes.size(), b->axes.size());
  pairing.sum(a->axes.size() - 1, 0);
  return push_contraction(*a, *b, pairing.formula(), std::move(axes), span);
}

/// Sum, max, min over the axes of `over`; without it over all, except the rows of the data.
Value GraphWriter::reduce(OpKind op, const Value& value, const Value* over, Span span) {
  const std::optional<Tensor> given = expect_tensor(value, span);
  if (!given) return {};
  Tensor x = *given;
  if (x.dtype == DType::Bool || is_small_int(x.dtype)) x = *cast_to(x, real(), span);
  std::vector<int64_t> places;
  if (over != nullptr) {
    const std::optional<Axes> axes = shapes_.expect_axes(*over, span);
    if (!axes) return {};
    const auto found = shapes_.find_axes(x, *axes, span);
    if (!found) return {};
    places = *found;
  } else {
    for (size_t i = 0; i < x.axes.size(); ++i) {
      if (!scopes_.counts_rows(x.axes[i])) places.push_back(static_cast<int64_t>(i));
    }
  }
  std::ranges::sort(places);
  if (places.empty()) return Value(x);
  Axes axes;
  for (size_t i = 0; i < x.axes.size(); ++i) {
    if (!std::ranges::binary_search(places, static_cast<int64_t>(i))) axes.push_back(x.axes[i]);
  }
  builder().set_span(span);
  const Result<NodeId> node = builder().push(op, {x.node}, {{"axes", places}});
  if (!node) {
    diagnostics_.report(Diag::E0501, span, node.error().message);
    return {};
  }
  return Value(tensor(*node, std::move(axes)));
}

/// Labels of a dim that the table does not have.
void GraphWriter::refuse_labels(const Tensor& table, const Tensor& index, Span span) {
  const Axis labels = shapes_.axis_of(index.label);
  const bool fits = !table.axes.empty() && table.axes[0].extent.bound >= labels.extent.bound;
  const std::string dim = shapes_.axis_text(labels);
  diagnostics_
      .report(Diag::E0105, span,
              fmt::format("`{}` has no axis {}, whose labels are its positions", shapes_.type_text(table), dim))
      .with_help(fits ? fmt::format("`cast(.., i32)` makes numbers of labels, which are positions along the first axis")
                      : fmt::format("declare the table with the dim of the labels: `f32[{}, ..]`", dim));
}

/// x[i..] reads row i of the axis that i's label names, of several the first one if it is the first of all: rows of a
/// square table. Without a label, or when the first axis has no name and is large enough for every label, of the first
/// axis.
Value GraphWriter::gather(const Tensor& table, const Tensor& index, Span span) {
  size_t at = 0;
  const bool names_axis = std::ranges::any_of(table.axes, [&](const Axis& axis) { return axis.dim == index.label; });
  const bool by_position = !names_axis && index.label != kAnonymous && !table.axes.empty() &&
                           table.axes[0].dim == kAnonymous &&
                           table.axes[0].extent.bound >= shapes_.axis_of(index.label).extent.bound;
  const bool of_rows = index.label != kAnonymous && !table.axes.empty() && table.axes[0].dim == index.label;
  if (index.label != kAnonymous && !by_position && !of_rows) {
    if (!names_axis) {
      refuse_labels(table, index, span);
      return {};
    }
    const auto found = shapes_.find_axes(table, {shapes_.axis_of(index.label)}, span);
    if (!found) return {};
    at = static_cast<size_t>((*found)[0]);
  }
  if (table.axes.empty()) {
    diagnostics_.report(Diag::E0109, span, fmt::format("`{}` has no axis to index", shapes_.type_text(table)));
    return {};
  }
  if (index.dtype == DType::Bool) {
    diagnostics_
        .report(Diag::E0501, span,
                fmt::format("`{}` says which elements, not where they are", shapes_.type_text(index)))
        .with_help(
            "shapes do not depend on values: `where(mask, x, 0)` keeps some elements, and sums leave out the others");
    return {};
  }
  if (is_float(index.dtype)) {
    diagnostics_
        .report(Diag::E0501, span, fmt::format("positions are whole numbers, not `{}`", shapes_.type_text(index)))
        .with_help(
            "round them: `cast(floor(..), i32)`; whole numbers that are chosen among are cast as well: "
            "`cast(where(.., 1, 2), i32)`");
    return {};
  }
  if (!check_positions(index, table.axes[at], span)) return {};
  std::vector<int64_t> permutation{static_cast<int64_t>(at)};
  Axes rest;
  for (size_t i = 0; i < table.axes.size(); ++i) {
    if (i == at) continue;
    permutation.push_back(static_cast<int64_t>(i));
    rest.push_back(table.axes[i]);
  }
  builder().set_span(span);
  const NodeId front = at == 0 ? table.node : builder().transpose(table.node, permutation);
  Axes axes = index.axes;
  axes.insert(axes.end(), rest.begin(), rest.end());
  if (!shapes_.check_size(table.dtype, axes, span)) return {};
  const Result<NodeId> node = builder().push(OpKind::Gather, {front, index.node});
  if (!node) {
    diagnostics_.report(Diag::E0501, span, node.error().message);
    return {};
  }
  return Value(tensor(*node, std::move(axes)));
}

}  // namespace smelt::frontend
