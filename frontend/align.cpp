// Tensors that meet: element types, alignment of axes by name, broadcast, contraction, reduction.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "frontend/elaborator.h"

namespace smelt::frontend {

namespace {

bool is_small_int(DType dtype) { return dtype == DType::U8 || dtype == DType::I8 || dtype == DType::I16; }

Shape shape_of(const Axes& axes) {
  Shape shape;
  for (const Axis& axis : axes) shape.push_back(axis.extent);
  return shape;
}

constexpr size_t kMaxNodes = 100000;

}  // namespace

Tensor Elaborator::tensor(NodeId node, Axes axes) {
  Tensor t;
  t.node = node;
  t.graph = context_->id;
  t.dtype = graph().type(node).dtype;
  t.axes = std::move(axes);
  if (graph().graph().size() > kMaxNodes && !std::exchange(too_large_, true)) {
    const Span here = frame_ != nullptr && frame_->instance != nullptr ? frame_->instance->span : context_->function.span;
    error(Diag::E0204, here, fmt::format("`{}` has more than {} operations", context_->function.name, kMaxNodes)).with_help("shorten the repeats, or apply fewer layers");
  }
  return t;
}

Tensor Elaborator::constant(double value, DType dtype, const Axes& axes) {
  return tensor(graph().constant(value, {dtype, shape_of(axes)}), axes);
}

/// x with result axis places[i] reading its axis i; the others repeat.
Tensor Elaborator::expand(const Tensor& x, const Axes& axes, const std::vector<int64_t>& places) {
  bool same = axes.size() == x.axes.size();
  for (size_t i = 0; same && i < places.size(); ++i) same = places[i] == static_cast<int64_t>(i);
  Tensor result = x;
  result.axes = axes;
  if (!same) result.node = graph().broadcast(x.node, shape_of(axes), places);
  return result;
}

std::optional<Tensor> Elaborator::cast_to(const Tensor& x, DType dtype, Span span) {
  if (x.dtype == dtype) {
    Tensor strong = x;
    strong.weak = false;
    return strong;
  }
  if (x.weak && class_of(dtype) != DTypeClass::Float) {
    error(Diag::E0501, span, fmt::format("a run-time number does not become {}", to_string(dtype))).with_help("convert the tensor: `cast(x, f32)`");
    return std::nullopt;
  }
  Tensor result = tensor(graph().cast(x.node, dtype), x.axes);
  result.range = x.range;
  return result;
}

namespace {

/// How two lists of axes line up: the result's axes and for each operand axis its place in the result.
struct Alignment {
  Axes axes;
  std::vector<int64_t> lhs, rhs;
  std::string problem;
  bool ambiguous = false;
};

class Aligner {
 public:
  Aligner(const Elaborator& e, const Axes& a, const Axes& b) : e_(e), a_(a), b_(b) {}

  Alignment run() {
    if (a_.size() == b_.size() && positional()) return std::move(result_);
    partner_.assign(b_.size(), -1);
    if (!match_names() || !match_rest()) return std::move(result_);
    merge();
    return std::move(result_);
  }

 private:
  bool positional() {
    Axes axes;
    for (size_t i = 0; i < a_.size(); ++i) {
      if (!e_.unify(a_[i], b_[i])) return false;
      axes.push_back(a_[i].dim == kAnonymous ? b_[i] : a_[i]);
      result_.lhs.push_back(static_cast<int64_t>(i));
    }
    result_.rhs = result_.lhs;
    result_.axes = std::move(axes);
    return true;
  }

  bool match_names() {
    for (size_t j = 0; j < b_.size(); ++j) {
      if (b_[j].dim == kAnonymous) continue;
      const auto same = [&](const Axis& axis) { return axis.dim == b_[j].dim; };
      const auto in_a = std::ranges::count_if(a_, same), in_b = std::ranges::count_if(b_, same);
      if (in_a == 0) continue;
      if (in_a > 1 || in_b > 1) return ambiguous(fmt::format("{} occurs more than once", e_.axis_text(b_[j])));
      partner_[j] = std::ranges::find_if(a_, same) - a_.begin();
    }
    return true;
  }

  bool taken(size_t i) const { return std::ranges::find(partner_, static_cast<int64_t>(i)) != partner_.end(); }

  /// Axes without a name are matched from the right, and only if there is no second candidate.
  bool match_rest() {
    std::vector<size_t> left, right;
    for (size_t i = 0; i < a_.size(); ++i) if (!taken(i)) left.push_back(i);
    for (size_t j = 0; j < b_.size(); ++j) if (partner_[j] < 0) right.push_back(j);
    const bool nameless = std::ranges::any_of(left, [&](size_t i) { return a_[i].dim == kAnonymous; }) ||
                          std::ranges::any_of(right, [&](size_t j) { return b_[j].dim == kAnonymous; });
    if (!nameless || left.empty() || right.empty()) return true;
    const size_t shorter = std::min(left.size(), right.size());
    for (size_t k = 1; k <= shorter; ++k) {
      const size_t i = left[left.size() - k], j = right[right.size() - k];
      if (!e_.unify(a_[i], b_[j])) {
        result_.problem = fmt::format("{} does not line up with {}", e_.sized_text(a_[i]), e_.sized_text(b_[j]));
        return false;
      }
      partner_[j] = static_cast<int64_t>(i);
    }
    if (left.size() == right.size()) return true;
    return unique(left, a_, right, b_, shorter) && unique(right, b_, left, a_, shorter);
  }

  /// No axis of `more` outside its last `shorter` could also have been the partner of one in `fewer`.
  bool unique(const std::vector<size_t>& more, const Axes& of_more, const std::vector<size_t>& fewer, const Axes& of_fewer, size_t shorter) {
    for (size_t k = 0; k + shorter < more.size(); ++k) {
      for (const size_t j : fewer) {
        if (!e_.unify(of_more[more[k]], of_fewer[j])) continue;
        return ambiguous(fmt::format("{} could stand for more than one axis", e_.sized_text(of_fewer[j])));
      }
    }
    return true;
  }

  bool ambiguous(std::string problem) {
    result_.problem = std::move(problem);
    result_.ambiguous = true;
    return false;
  }

  /// The order of the operand that has all axes, else first appearance.
  void merge() {
    const bool rhs_has_all = a_.size() + static_cast<size_t>(std::ranges::count(partner_, -1)) == b_.size();
    result_.lhs.assign(a_.size(), 0);
    result_.rhs.assign(b_.size(), 0);
    const auto put = [&](const Axis& axis) {
      result_.axes.push_back(axis);
      return static_cast<int64_t>(result_.axes.size() - 1);
    };
    const auto named = [&](size_t i, size_t j) { return a_[i].dim == kAnonymous ? b_[j] : a_[i]; };
    if (!rhs_has_all) {
      for (size_t i = 0; i < a_.size(); ++i) {
        const auto j = std::ranges::find(partner_, static_cast<int64_t>(i)) - partner_.begin();
        result_.lhs[i] = put(j == std::ssize(partner_) ? a_[i] : named(i, static_cast<size_t>(j)));
      }
    }
    for (size_t j = 0; j < b_.size(); ++j) {
      const auto i = partner_[j];
      if (i < 0) result_.rhs[j] = put(b_[j]);
      else if (rhs_has_all) result_.lhs[static_cast<size_t>(i)] = result_.rhs[j] = put(named(static_cast<size_t>(i), j));
      else result_.rhs[j] = result_.lhs[static_cast<size_t>(i)];
    }
  }

  const Elaborator& e_;
  const Axes& a_;
  const Axes& b_;
  std::vector<int64_t> partner_;  // for each axis of b the axis of a, or -1
  Alignment result_;
};

}  // namespace

/// The dtype that operands of one operation share: that of the tensors, numbers follow.
static std::optional<DType> common_dtype(Elaborator& e, const std::vector<Value>& values, Span span) {
  std::optional<DType> common;
  for (const Value& value : values) {
    const auto* t = value.as<Tensor>();
    if (t == nullptr || t->weak) continue;
    const DType dtype = is_small_int(t->dtype) || (t->column >= 0 && t->label == kAnonymous) ? e.real() : t->dtype;
    if (common && *common != dtype) {
      e.error(Diag::E0501, span, fmt::format("operands are {} and {}", to_string(*common), to_string(dtype))).with_help(fmt::format("convert one of them: `cast(x, {})`", to_string(*common)));
      return std::nullopt;
    }
    common = dtype;
  }
  if (common) return common;
  const bool weak = std::ranges::any_of(values, [](const Value& v) { return v.as<Tensor>() != nullptr || v.as<DimValue>() != nullptr; });
  return weak ? DType::F64 : e.real();
}

std::optional<std::vector<Tensor>> Elaborator::align(std::vector<Value> values, Span span, std::string_view what) {
  for (const Value& value : values) if (value.bad()) return std::nullopt;
  const std::optional<DType> dtype = common_dtype(*this, values, span);
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
  Axes axes = tensors[0].axes;
  for (const Tensor& t : tensors) {
    Alignment pair = Aligner(*this, axes, t.axes).run();
    if (!pair.problem.empty()) {
      error(pair.ambiguous ? Diag::E0102 : Diag::E0101, span, fmt::format("{} cannot align `{}` with `{}`", what, type_text(tensors[0].dtype, axes), type_text(t))).caret(pair.problem)
          .with_help(pair.ambiguous ? "give the axis a name with `as [..]`, or declare a dim for the second use: `dim S = T`" : "axes line up by name; `reshape` or `as [..]` changes the names");
      return std::nullopt;
    }
    axes = std::move(pair.axes);
  }
  if (!check_size(*dtype, axes, span)) return std::nullopt;
  for (Tensor& t : tensors) {
    const Alignment pair = Aligner(*this, axes, t.axes).run();
    if (!pair.problem.empty() || pair.axes.size() != axes.size()) {
      error(Diag::E0102, span, fmt::format("{} cannot align `{}` with `{}`", what, type_text(*dtype, axes), type_text(t)));
      return std::nullopt;
    }
    const std::optional<Range> range = t.range;
    t = expand(t, axes, pair.rhs);
    t.range = range;
    t.weak = weak && *dtype == DType::F64;
  }
  return tensors;
}

std::optional<Tensor> Elaborator::broadcast_to(const Tensor& x, const Axes& axes, Span span) {
  const Alignment pair = Aligner(*this, axes, x.axes).run();
  if (!pair.problem.empty() || pair.axes.size() != axes.size()) {
    error(Diag::E0101, span, fmt::format("`{}` does not fit `{}`", type_text(x), axes_text(axes))).caret(pair.problem);
    return std::nullopt;
  }
  return expand(x, axes, pair.rhs);
}

Value Elaborator::elementwise(OpKind op, std::vector<Value> operands, Span span, std::string_view what) {
  const bool picks = op == OpKind::Select;
  Value condition;
  if (picks) {
    condition = operands.front();
    if (condition.bad()) return {};
    const auto* t = condition.as<Tensor>();
    if (condition.as<bool>() == nullptr && (t == nullptr || t->dtype != DType::Bool)) {
      error(Diag::E0501, span, fmt::format("the condition is {} instead of bool", describe(condition)));
      return {};
    }
    operands.erase(operands.begin());
  }
  std::optional<std::vector<Tensor>> tensors = align(operands, span, what);
  if (!tensors) return {};
  std::vector<NodeId> inputs;
  if (picks) {
    const std::optional<Tensor> c = expect_tensor(condition, span, DType::Bool);
    if (!c) return {};
    // Align shapes alone: the condition has another element type.
    const Alignment pair = Aligner(*this, c->axes, tensors->front().axes).run();
    if (!pair.problem.empty()) {
      error(pair.ambiguous ? Diag::E0102 : Diag::E0101, span, fmt::format("{} cannot align `{}` with `{}`", what, type_text(*c), type_text(tensors->front()))).caret(pair.problem);
      return {};
    }
    if (!check_size(tensors->front().dtype, pair.axes, span)) return {};
    inputs.push_back(expand(*c, pair.axes, pair.lhs).node);
    for (Tensor& t : *tensors) t = expand(t, pair.axes, pair.rhs);
  }
  for (const Tensor& t : *tensors) inputs.push_back(t.node);
  graph().set_span(span);
  const Result<NodeId> node = graph().push(op, inputs);
  if (!node) {
    error(Diag::E0501, span, node.error().message).with_help(node.error().help);
    return {};
  }
  Tensor result = tensor(*node, tensors->front().axes);
  result.weak = tensors->front().weak && result.dtype == DType::F64 && result.axes.empty();
  return Value(result);
}

/// a @ b and contract(a, b, over): sums over `over`; other shared dims stay, once.
Value Elaborator::contract(const Tensor& a, const Tensor& b, const Axes& over, Span span) {
  const auto in_a = find_axes(a, over, span), in_b = find_axes(b, over, span);
  if (!in_a || !in_b) return {};
  std::vector<std::string> lhs, rhs, out;
  Axes axes;
  for (size_t i = 0; i < a.axes.size(); ++i) lhs.push_back(fmt::format("a{}", i));
  for (size_t j = 0; j < b.axes.size(); ++j) rhs.push_back(fmt::format("b{}", j));
  for (size_t k = 0; k < over.size(); ++k) {
    const auto i = static_cast<size_t>((*in_a)[k]), j = static_cast<size_t>((*in_b)[k]);
    if (!unify(a.axes[i], b.axes[j])) {
      error(Diag::E0103, span, fmt::format("inner sizes differ: `{}` and `{}`", type_text(a), type_text(b))).caret(fmt::format("{} and {}", axis_text(a.axes[i]), axis_text(b.axes[j])));
      return {};
    }
    rhs[j] = lhs[i] = fmt::format("k{}", k);
  }
  for (size_t i = 0; i < a.axes.size(); ++i) {
    if (lhs[i][0] == 'k') continue;
    for (size_t j = 0; j < b.axes.size(); ++j) {
      if (a.axes[i].dim != kAnonymous && a.axes[i].dim == b.axes[j].dim && rhs[j][0] == 'b') rhs[j] = lhs[i];
    }
    out.push_back(lhs[i]);
    axes.push_back(a.axes[i]);
  }
  for (size_t j = 0; j < b.axes.size(); ++j) {
    if (rhs[j][0] != 'b') continue;
    out.push_back(rhs[j]);
    axes.push_back(b.axes[j]);
  }
  if (!check_size(a.dtype, axes, span)) return {};
  graph().set_span(span);
  const std::string formula = fmt::format("[{}] [{}] -> [{}]", fmt::join(lhs, ","), fmt::join(rhs, ","), fmt::join(out, ","));
  const Result<NodeId> node = graph().push(OpKind::Contract, {a.node, b.node}, {{"formula", formula}});
  if (!node) {
    error(Diag::E0103, span, node.error().message);
    return {};
  }
  return Value(tensor(*node, std::move(axes)));
}

Value Elaborator::matmul(const Value& lhs, const Value& rhs, Span span) {
  const auto a = expect_float(lhs, span), b = expect_float(rhs, span);
  if (!a || !b) return {};
  if (a->dtype != b->dtype) {
    error(Diag::E0501, span, fmt::format("operands are {} and {}", to_string(a->dtype), to_string(b->dtype))).with_help("convert one of them with `cast`");
    return {};
  }
  if (a->axes.empty() || b->axes.empty()) {
    error(Diag::E0103, span, fmt::format("`@` needs an axis on both sides: `{}` and `{}`", type_text(*a), type_text(*b))).with_help("multiply by a number with `*`");
    return {};
  }
  const Axis inner_a = a->axes.back(), inner_b = b->axes.front();
  if (!unify(inner_a, inner_b)) {
    error(Diag::E0103, span, fmt::format("inner sizes differ: `{}` @ `{}`", type_text(*a), type_text(*b)))
        .caret(fmt::format("{} and {}", sized_text(inner_a), sized_text(inner_b)));
    return {};
  }
  for (size_t i = 0; i + 1 < a->axes.size(); ++i) {
    for (size_t j = 1; j < b->axes.size(); ++j) {
      if (a->axes[i].dim == kAnonymous || a->axes[i].dim != b->axes[j].dim) continue;
      error(Diag::E0103, span, fmt::format("both operands of `@` have axis {}: `{}` @ `{}`", axis_text(a->axes[i]), type_text(*a), type_text(*b)))
          .with_help(fmt::format("write `contract(a, b, over={})`", axis_text(inner_a)));
      return {};
    }
  }
  // Contract by position: a name may also stand elsewhere in one of the shapes.
  std::vector<std::string> left, right, out;
  Axes axes(a->axes.begin(), a->axes.end() - 1);
  axes.insert(axes.end(), b->axes.begin() + 1, b->axes.end());
  for (size_t i = 0; i < a->axes.size(); ++i) left.push_back(i + 1 == a->axes.size() ? "k" : fmt::format("a{}", i));
  for (size_t j = 0; j < b->axes.size(); ++j) right.push_back(j == 0 ? "k" : fmt::format("b{}", j));
  out.insert(out.end(), left.begin(), left.end() - 1);
  out.insert(out.end(), right.begin() + 1, right.end());
  if (!check_size(a->dtype, axes, span)) return {};
  graph().set_span(span);
  const std::string formula = fmt::format("[{}] [{}] -> [{}]", fmt::join(left, ","), fmt::join(right, ","), fmt::join(out, ","));
  const Result<NodeId> node = graph().push(OpKind::Contract, {a->node, b->node}, {{"formula", formula}});
  if (!node) {
    error(Diag::E0103, span, node.error().message);
    return {};
  }
  return Value(tensor(*node, std::move(axes)));
}

/// Where the axes named by `over=` are in x.
std::optional<std::vector<int64_t>> Elaborator::find_axes(const Tensor& x, const Axes& over, Span span) {
  std::vector<int64_t> places;
  for (const Axis& wanted : over) {
    std::vector<int64_t> found;
    for (size_t i = 0; i < x.axes.size(); ++i) {
      if (wanted.dim != kAnonymous && x.axes[i].dim == wanted.dim) found.push_back(static_cast<int64_t>(i));
    }
    if (found.empty()) {
      for (size_t i = 0; i < x.axes.size(); ++i) {
        if ((x.axes[i].dim == kAnonymous || wanted.dim == kAnonymous) && unify(x.axes[i], wanted)) found.push_back(static_cast<int64_t>(i));
      }
    }
    if (found.size() == 1 && std::ranges::find(places, found[0]) == places.end()) {
      places.push_back(found[0]);
      continue;
    }
    if (found.size() > 1) error(Diag::E0102, span, fmt::format("`{}` has more than one axis {}", type_text(x), axis_text(wanted)));
    else error(Diag::E0105, span, fmt::format("`{}` has no axis {}", type_text(x), axis_text(wanted)));
    return std::nullopt;
  }
  return places;
}

/// Sum, max, min over the axes of `over`; without it over all, except the rows of the data.
Value Elaborator::reduce(OpKind op, const Value& value, const Value* over, Span span) {
  const std::optional<Tensor> given = expect_tensor(value, span);
  if (!given) return {};
  Tensor x = *given;
  if (x.dtype == DType::Bool || is_small_int(x.dtype)) x = *cast_to(x, real(), span);
  std::vector<int64_t> places;
  if (over != nullptr) {
    const std::optional<Axes> axes = expect_axes(*over, span);
    if (!axes) return {};
    const auto found = find_axes(x, *axes, span);
    if (!found) return {};
    places = *found;
  } else {
    for (size_t i = in_field_ ? 1 : 0; i < x.axes.size(); ++i) places.push_back(static_cast<int64_t>(i));
  }
  std::ranges::sort(places);
  if (places.empty()) return Value(x);
  Axes axes;
  for (size_t i = 0; i < x.axes.size(); ++i) {
    if (!std::ranges::binary_search(places, static_cast<int64_t>(i))) axes.push_back(x.axes[i]);
  }
  graph().set_span(span);
  const Result<NodeId> node = graph().push(op, {x.node}, {{"axes", places}});
  if (!node) {
    error(Diag::E0501, span, node.error().message);
    return {};
  }
  return Value(tensor(*node, std::move(axes)));
}

/// x[i..] reads row i of the axis that i's label names. Without a label, or when the first axis has no name and is large
/// enough for every label, of the first axis.
Value Elaborator::gather(const Tensor& table, const Tensor& index, Span span) {
  size_t at = 0;
  const bool names_axis = std::ranges::any_of(table.axes, [&](const Axis& axis) { return axis.dim == index.label; });
  const bool by_position = !names_axis && index.label != kAnonymous && !table.axes.empty() && table.axes[0].dim == kAnonymous &&
                           table.axes[0].extent.bound >= axis_of(index.label).extent.bound;
  if (index.label != kAnonymous && !by_position) {
    const auto found = find_axes(table, {axis_of(index.label)}, span);
    if (!found) return {};
    at = static_cast<size_t>((*found)[0]);
  }
  if (table.axes.empty()) {
    error(Diag::E0109, span, fmt::format("`{}` has no axis to index", type_text(table)));
    return {};
  }
  std::vector<int64_t> permutation{static_cast<int64_t>(at)};
  Axes rest;
  for (size_t i = 0; i < table.axes.size(); ++i) {
    if (i == at) continue;
    permutation.push_back(static_cast<int64_t>(i));
    rest.push_back(table.axes[i]);
  }
  graph().set_span(span);
  const NodeId front = at == 0 ? table.node : graph().transpose(table.node, permutation);
  Axes axes = index.axes;
  axes.insert(axes.end(), rest.begin(), rest.end());
  if (!check_size(table.dtype, axes, span)) return {};
  const Result<NodeId> node = graph().push(OpKind::Gather, {front, index.node});
  if (!node) {
    error(Diag::E0501, span, node.error().message);
    return {};
  }
  return Value(tensor(*node, std::move(axes)));
}

}  // namespace smelt::frontend
