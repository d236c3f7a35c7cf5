// Parts of a tensor by position: `x[i]`, `x[a .. b]`, `x[1 ..]`, `x[.. n]`, `x[labels]`; and sizes that follow from
// run-time dims. Along a run-time dim T a part may begin at a number and end at one, or at T less one; its size is a
// number or follows from T. The rows of one that begins at a run-time dim, T - 3, are gathered.
#include <fmt/format.h>

#include <algorithm>

#include "frontend/evaluator.h"
#include "frontend/graph_writer.h"
#include "frontend/names.h"
#include "frontend/scan.h"
#include "frontend/scopes.h"
#include "frontend/shapes.h"
#include "ir/support/printable.h"

namespace smelt::frontend {

/// What is taken of one axis.
struct Evaluator::AxisPart {
  Size start;
  Size end;               // behind the last one
  Extent extent;          // how many
  bool is_one = false;    // the axis goes
  bool is_whole = false;  // nothing is left out

  bool needs_run_time(const Axis& axis) const {
    return !is_whole && (!axis.extent.is_static() || !extent.is_static() || !start.is_static());
  }
};

bool Evaluator::has_run_time_dim(ast::ExprId expr) {
  const ast::Ast& ast = scopes_.ast();
  if (const auto* binary = ast.as<ast::BinaryExpr>(expr))
    return binary->op != ast::BinaryOp::Range && (has_run_time_dim(binary->lhs) || has_run_time_dim(binary->rhs));
  if (const auto* unary = ast.as<ast::UnaryExpr>(expr)) return has_run_time_dim(unary->operand);
  const auto* name = ast.as<ast::NameExpr>(expr);
  if (name == nullptr) return false;
  const bool known =
      scopes_.find_local(name->name) != nullptr ||
      std::holds_alternative<const ast::DimDecl*>(scopes_.find_decl(*scopes_.frame().scope, name->name).second);
  if (!known) return false;
  const Value value = eval(expr);
  const auto* dim = value.as<DimValue>();
  return dim != nullptr && !shapes_.dim_of(dim->id).extent.is_static();
}

/// Whether a name in it stands for a value that could not be made, which was reported there.
bool Evaluator::has_bad_name(ast::ExprId expr) {
  const ast::Ast& ast = scopes_.ast();
  if (const auto* binary = ast.as<ast::BinaryExpr>(expr)) return has_bad_name(binary->lhs) || has_bad_name(binary->rhs);
  return ast.as<ast::NameExpr>(expr) != nullptr && eval(expr).bad();
}

/// Numbers, run-time dims, and what `+`, `-` and `*` make of them; nullopt for anything else, which is not reported.
std::optional<Size> Evaluator::sum_of_dims(const ast::BinaryExpr& e, std::string_view what) {
  if (e.op != ast::BinaryOp::Add && e.op != ast::BinaryOp::Sub && e.op != ast::BinaryOp::Mul) return std::nullopt;
  const std::optional<Size> a = whole_number(e.lhs, what), b = a ? whole_number(e.rhs, what) : std::nullopt;
  if (!a || !b) return std::nullopt;  // reported
  // What a factor or a sum may be is far above what a size may be, so that nothing here leaves int64.
  const auto is_large = [](const Size& size) {
    const auto large = [](int64_t number) { return number > kMaxDim || number < -kMaxDim; };
    return large(size.number) || std::ranges::any_of(size.terms, large, &SizeTerm::factor);
  };
  if (is_large(*a) || is_large(*b)) return std::nullopt;
  if (e.op == ast::BinaryOp::Add) return *a + *b;
  if (e.op == ast::BinaryOp::Sub) return *a - *b;
  if (a->is_static()) return *b * a->number;
  return b->is_static() ? std::optional(*a * b->number) : std::nullopt;
}

std::optional<Size> Evaluator::whole_number(ast::ExprId expr, std::string_view what) {
  const auto* binary = scopes_.ast().as<ast::BinaryExpr>(expr);
  const bool at_run_time = has_run_time_dim(expr);
  if (at_run_time && has_bad_name(expr)) return std::nullopt;
  if (at_run_time && binary != nullptr) {
    const size_t errors = diagnostics_.reported_errors();
    const std::optional<Size> sum = sum_of_dims(*binary, what);
    if (diagnostics_.reported_errors() > errors) return std::nullopt;
    if (sum) return sum;
  }
  const Span span = scopes_.span_of(expr);
  const bool is_name = scopes_.ast().as<ast::NameExpr>(expr) != nullptr;
  if (at_run_time && !is_name) {
    diagnostics_
        .report(Diag::E0502, span,
                fmt::format("{} is made of run-time dims by `+`, `-` and `*` with numbers, not `{}`", what,
                            printable(sources_.text(span))))
        .with_help(
            "write `T - 1`, `T + U` or `2 * T` of run-time dims T and U, or declare a dim for it: `dim S <= 64`");
    return std::nullopt;
  }
  const Value value = eval(expr);
  if (const auto* dim = value.as<DimValue>()) return shapes_.size_of_extent(shapes_.dim_of(dim->id).extent);
  if (value.bad()) return std::nullopt;
  const std::optional<int64_t> number = shapes_.expect_integer(value, span, what);
  return number ? std::optional(Size{{}, *number}) : std::nullopt;
}

std::optional<Extent> Evaluator::run_time_extent(ast::ExprId expr) {
  const std::optional<Size> size = whole_number(expr, "a size");
  if (!size) return std::nullopt;
  const Span span = scopes_.span_of(expr);
  if (!size->grows()) {
    diagnostics_
        .report(Diag::E0502, span,
                fmt::format("the size {} shows at run time, and may be negative", shapes_.size_text(*size)))
        .with_help("declare a dim for what is left, `dim Rest <= 8`, and write the longer one as a sum: `U + Rest`");
    return std::nullopt;
  }
  if (const int64_t most = shapes_.largest(*size); most < 1 || most > kMaxDim) {
    diagnostics_.report(Diag::E0201, span,
                        fmt::format("a size is {} at most; sizes are from 1 to {}",
                                    most < 1 ? std::to_string(most) : "more than " + std::to_string(kMaxDim), kMaxDim));
    return std::nullopt;
  }
  return shapes_.extent_of(*size);
}

/// Whether the part lies inside of the axis, and how large it is.
std::optional<Evaluator::AxisPart> Evaluator::checked_part(AxisPart part, const Axis& axis, Span span) {
  const Size has = shapes_.size_of_extent(axis.extent), size = part.end - part.start, rest = has - part.end;
  const std::string text(printable(sources_.text(span)));
  const auto outside = [&](const std::string& why) {
    return &diagnostics_.report(Diag::E0109, span, fmt::format("`{}` {}", text, why));
  };
  const std::string of = shapes_.sized_text(axis);
  if (!part.start.is_static() && !size.grows()) {
    outside("goes from a run-time dim to a number or another dim: its size shows at run time, and may be negative")
        ->with_help("let it begin at a number, or end at the same dim: `x[T - 4 .. T]`");
    return std::nullopt;
  }
  const bool by_dims = !has.is_static() && !part.end.is_static() && !rest.is_static();
  if (by_dims && !(least_of(rest) >= 0)) {
    outside(fmt::format("is a part of {} by another run-time dim, and which of them is longer is not known", of))
        ->with_help(fmt::format("write it by {} alone, or give both tensors one dim", shapes_.axis_text(axis)));
    return std::nullopt;
  }
  if (shapes_.largest(size) < 1) {
    outside(fmt::format("takes nothing of {}, however long it is", of));
    return std::nullopt;
  }
  if (shapes_.largest(part.start) < 0) {
    outside(fmt::format("begins before the first element of {}{}", of,
                        part.start.is_static() ? "" : ", however long it is"))
        ->with_help("positions count from 0");
    return std::nullopt;
  }
  const bool behind =
      !by_dims && (rest.is_static() ? rest.number < 0 : shapes_.largest(part.end) > shapes_.largest(has));
  if (behind && has.is_static()) {
    outside(fmt::format("reaches up to {} elements of {}", shapes_.largest(part.end), has.number))
        ->with_help(fmt::format("give the run-time dim a bound that fits, or the axis {}", shapes_.largest(part.end)));
    return std::nullopt;
  }
  if (behind) {
    const std::string name = shapes_.axis_text(axis);
    outside(fmt::format("ends behind the last element of {}", of))
        ->with_help(fmt::format("the last one is `x[{0} - 1]`, and a part ends at {0}", name));
    return std::nullopt;
  }
  part.extent = shapes_.extent_of(size);
  part.is_whole = part.start.is_static() && part.start.number == 0 && part.extent == axis.extent;
  return part;
}

/// `index` of an axis that is there; labels and steps of loops are not looked at here.
std::optional<Evaluator::AxisPart> Evaluator::axis_part(ast::ExprId index, const Tensor& x, size_t at) {
  const auto* range = scopes_.ast().as<ast::BinaryExpr>(index);
  const bool is_range = range != nullptr && range->op == ast::BinaryOp::Range;
  const Axis& axis = x.axes[at];
  const Span span = scopes_.span_of(index);
  AxisPart part{.is_one = !is_range};
  const ast::ExprId first = is_range ? range->lhs : index;
  if (first.valid()) {
    const std::optional<Size> start = whole_number(first, "an index");
    if (!start) return std::nullopt;
    part.start = *start;
  }
  part.end = part.start + Size{{}, 1};
  if (is_range) {
    const std::optional<Size> end =
        range->rhs.valid() ? whole_number(range->rhs, "an index") : shapes_.size_of_extent(axis.extent);
    if (!end) return std::nullopt;
    part.end = *end;
  }
  const bool fixed = part.start.is_static() && part.end.is_static();
  if (!fixed) return checked_part(part, axis, span);
  const int64_t begin = part.start.number, limit = part.end.number;
  if (begin < 0 || limit > axis.extent.bound || begin >= limit) {
    diagnostics_
        .report(
            Diag::E0109, span,
            fmt::format("index {}..{} is outside 0..{} of `{}`", begin, limit, axis.extent.bound, shapes_.type_text(x)))
        .with_help(begin < 0 ? fmt::format("positions count from 0; the last one is `{} - 1`", shapes_.axis_text(axis))
                             : "");
    return std::nullopt;
  }
  part.extent = Extent(limit - begin);
  part.is_whole = begin == 0 && part.extent == axis.extent;
  return part;
}

/// x[i] reads one element of an axis, x[a .. b] a part of it, x[labels] a row for each label.
Value Evaluator::index_tensor(const Tensor& x, const ast::IndexExpr& e, Span span) {
  std::vector<AxisPart> parts;
  for (const Axis& axis : x.axes)
    parts.push_back({.end = shapes_.size_of_extent(axis.extent), .extent = axis.extent, .is_whole = true});
  size_t at = scopes_.implies_rows(x.axes) ? 1 : 0;
  for (const ast::ExprId index : e.indices) {
    const auto* range = scopes_.ast().as<ast::BinaryExpr>(index);
    const bool is_range = range != nullptr && range->op == ast::BinaryOp::Range;
    const bool by_size = is_range || has_run_time_dim(index);
    const Value first = by_size ? Value(int64_t{0}) : eval(index);
    if (first.bad()) return {};
    if (const auto* labels = first.as<Tensor>(); labels != nullptr && !labels->weak) {
      if (OpenScan* const scan = scans_.scan_of(*labels); scan != nullptr && e.indices.size() == 1)
        return scans_.sliced(x, *scan, span);
      if (scans_.is_open() && labels->axes.empty() && labels->label == kAnonymous) {
        diagnostics_.report(Diag::E0403, scopes_.span_of(index), "a step reads its own slice, `x[t]`")
            .with_help(
                "a formula reads another step, `last[n] = x[n, max(t - 1, 0)]`, or `x[n, t + 1]` over fewer steps; "
                "what a "
                "step makes for later ones is carried: `with before = zeros([B]) { .. before <- x[t] }`");
        return {};
      }
      if (e.indices.size() == 1) return graph_.gather(x, *labels, span);
      return unsupported(diagnostics_, span, "an index list with a tensor in it",
                         "a formula reads an element of an axis for each of others: `z[n] = x[n, y[n]]`");
    }
    if (at >= x.axes.size()) {
      diagnostics_
          .report(Diag::E0109, scopes_.span_of(index),
                  fmt::format("`{}` has {} axes, and {} positions are given", shapes_.type_text(x), x.axes.size(),
                              e.indices.size()))
          .with_help(first.as<NoneValue>() == nullptr ? ""
                                                      : "an axis of one element is added by `reshape`; operands need "
                                                        "none, because they are aligned by the names of their axes");
      return {};
    }
    const std::optional<AxisPart> part = axis_part(index, x, at);
    if (!part) return {};
    parts[at++] = *part;
  }
  return parts_of(x, parts, span);
}

/// The positions of a part that begins at a run-time dim, T - 3: a scalar for one, else one for each of its elements.
NodeId Evaluator::rows_from(const AxisPart& part) {
  Builder& graph = graph_.builder();
  // The extent that is 1 more than the start says that the part is there at all, as each size is 1 or more.
  const Size behind{part.start.terms, std::min<int64_t>(part.start.number + 1, 0)};
  const Extent extent = shapes_.extent_of(behind);
  const NodeId size = graph.extent(extent.symbol, extent.bound, DType::I32);
  const double rest = static_cast<double>(part.start.number - behind.number);
  const NodeId start = graph.add(size, graph.like(size, rest));
  if (part.is_one) return start;
  const TensorType places{DType::I32, {part.extent}};
  const NodeId first = graph.broadcast(start, places.shape, {});
  const NodeId steps = graph.index(places, 0);
  return graph.add(first, steps);
}

Value Evaluator::position_from_end(ast::ExprId index, const Tensor& x, size_t at) {
  const std::optional<AxisPart> part = axis_part(index, x, at);
  if (!part) return {};
  graph_.builder().set_span(scopes_.span_of(index));
  if (part->start.is_static()) return Value(graph_.constant(static_cast<double>(part->start.number), DType::I32, {}));
  return Value(graph_.tensor(rows_from(*part), {}));
}

Value Evaluator::parts_of(const Tensor& x, const std::vector<AxisPart>& parts, Span span) {
  Builder& graph = graph_.builder();
  graph.set_span(span);
  std::vector<int64_t> starts(parts.size(), 0), limits;
  for (size_t i = 0; i < parts.size(); ++i) {
    limits.push_back(x.axes[i].extent.bound);
    if (parts[i].needs_run_time(x.axes[i])) continue;
    starts[i] = parts[i].start.number;
    limits[i] = starts[i] + parts[i].extent.bound;
  }
  Tensor taken = x;
  taken.node = graph.make(OpKind::Slice, {x.node}, {{"starts", starts}, {"limits", limits}});
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].needs_run_time(x.axes[i]) && parts[i].start.is_static())
      taken = graph_.part(taken, i, {kAnonymous, parts[i].extent}, parts[i].start.number, std::nullopt, span);
  }
  for (size_t i = parts.size(); i-- > 0;) {
    if (parts[i].start.is_static()) continue;
    taken = graph_.rows_along(taken, i, rows_from(parts[i]), {kAnonymous, parts[i].extent}, span);
  }
  Axes axes;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (!parts[i].is_one) axes.push_back(parts[i].is_whole ? x.axes[i] : Axis{kAnonymous, parts[i].extent});
  }
  const NodeId node = graph.reshape(taken.node, shape_of(axes));
  Tensor result = graph_.tensor(node, std::move(axes));
  result.range = x.range;
  result.label = x.label;
  result.column = x.column;
  return Value(result);
}

}  // namespace smelt::frontend
