#include "compiler/graph/choose_sum_forms.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <numeric>

#include "ir/half_bits.h"
#include "ir/index_formula.h"
#include "ir/rewrite.h"

namespace smelt {
namespace {

using Indices = std::vector<int32_t>;
using Axes = std::vector<int64_t>;

// Of z[n, i, j, m] = sum[k] x[n, i, k, m] * y[n, j, k, m] a product takes, and a sum of vectors: 8 x 64 x 64 x 64 with
// 64 places m 9.4 and 4.5 ms, with 16 0.92 and 0.93; 256 x 256 x 256 with 64 35 and 79, with 16 4.6 and 10.3. 8 rows,
// 64 columns and 4,096 places: 130 and 42 (`smelt bench --disable-pass choose_sum_forms`, one busy Zen 5, November
// 2026).
constexpr double kManyPlaces = 32, kFewUses = 64;

int position_of(const Indices& indices, int32_t index) {
  const auto found = std::ranges::find(indices, index);
  return found == indices.end() ? -1 : static_cast<int>(found - indices.begin());
}

bool covers(const Indices& all, const Indices& wanted) {
  return std::ranges::all_of(wanted, [&](int32_t index) { return position_of(all, index) >= 0; });
}

/// The indices of axes that are longer than 1, of a plain map over whole axes: the axes are as long as the indices.
Indices long_indices(const IndexMap& map, const Shape& shape) {
  Indices kept;
  for (size_t axis = 0; axis < map.axes.size(); ++axis) {
    if (shape[axis] != Extent(1)) kept.push_back(map.axes[axis].terms[0].first);
  }
  return kept;
}

/// One operand of a contraction without its axes of size 1.
struct Side {
  Indices indices;
  Shape shape;
  NodeId node;

  Side(Builder& build, NodeId operand, const IndexMap& map)
      : indices(long_indices(map, build.type(operand).shape)), node(operand) {
    std::ranges::copy_if(build.type(operand).shape, std::back_inserter(shape),
                         [](const Extent& extent) { return extent != Extent(1); });
    if (shape.size() != map.axes.size()) node = build.reshape(operand, shape);
  }
};

NodeId spread(Builder& build, const Side& side, const Indices& indices, const Shape& shape) {
  std::vector<int64_t> axes;
  for (const int32_t index : side.indices) axes.push_back(position_of(indices, index));
  return build.broadcast(side.node, shape, std::move(axes));
}

/// Sums `product`, whose axes are `indices`, to the order of `out`.
NodeId summed(Builder& build, NodeId product, const Indices& indices, const Indices& out) {
  std::vector<int64_t> axes, permutation;
  Indices kept;
  for (size_t axis = 0; axis < indices.size(); ++axis) {
    if (position_of(out, indices[axis]) < 0) {
      axes.push_back(static_cast<int64_t>(axis));
    } else {
      kept.push_back(indices[axis]);
    }
  }
  for (const int32_t index : out) permutation.push_back(position_of(kept, index));
  return build.transpose(build.reduce_sum(product, axes), std::move(permutation));
}

NodeId narrow_contraction(Match& m) {
  if (m.node().inputs.size() != 2 || is_half(m.type().dtype)) return kNoMatch;
  const IndexFormula formula = m.attrs().formula("formula");
  Builder& build = m.build();
  const std::array shapes{build.type(m.in(0)).shape, build.type(m.in(1)).shape};
  if (!reads_whole_axes(formula, shapes)) return kNoMatch;
  Indices out;
  for (int32_t index = 0; index < formula.rank; ++index) {
    if (m.type().shape[static_cast<size_t>(index)] != Extent(1)) out.push_back(index);
  }
  const Indices left = long_indices(formula.operands[0], build.type(m.in(0)).shape);
  const Indices right = long_indices(formula.operands[1], build.type(m.in(1)).shape);
  const bool sums = !covers(out, left);
  if (!covers(left, right) && !covers(right, left) && sums) return kNoMatch;

  const Side a(build, m.in(0), formula.operands[0]), b(build, m.in(1), formula.operands[1]);
  // The order of the operand that has all axes, so that its elements are read as they lie.
  const Side& whole = covers(a.indices, b.indices) ? a : b;
  const Indices indices = sums ? whole.indices : out;
  Shape shape;
  for (const int32_t index : indices) {
    const int in_a = position_of(a.indices, index);
    shape.push_back(in_a >= 0 ? a.shape[static_cast<size_t>(in_a)]
                              : b.shape[static_cast<size_t>(position_of(b.indices, index))]);
  }
  NodeId result = build.mul(spread(build, a, indices, shape), spread(build, b, indices, shape));
  if (sums) result = summed(build, result, indices, out);
  return build.reshape(result, m.type().shape);
}

/// How many elements the indices of the result have that `map` has and `other` has not.
double own_elements(const IndexFormula& formula, const Shape& extents, const IndexMap& map, const IndexMap& other) {
  double elements = 1;
  for (int32_t index = 0; index < formula.rank; ++index) {
    if (map.has(index) && !other.has(index)) elements *= static_cast<double>(extents[static_cast<size_t>(index)].bound);
  }
  return elements;
}

/// Products of matrices side by side in memory, `z[i, j, m] = sum[k] x[i, k, m] * y[k, j, m]`: neither rows nor columns
/// nor terms of one lie together, as with the modes of a Fourier layer. Sums of whole vectors of m take every line of
/// memory as it lies, but each element once for each of its uses.
NodeId contraction_of_columns(Match& m) {
  const IndexFormula formula = m.attrs().formula("formula");
  Builder& build = m.build();
  if (m.node().inputs.size() != 2 || is_half(m.type().dtype) || formula.rank == 0) return kNoMatch;
  const std::array shapes{build.type(m.in(0)).shape, build.type(m.in(1)).shape};
  const IndexMap &left = formula.operands[0], &right = formula.operands[1];
  const Affine last = Affine::of(formula.rank - 1);
  if (left.axes.empty() || right.axes.empty() || left.axes.back() != last || right.axes.back() != last) return kNoMatch;
  if (formula.num_indices() == formula.rank || !reads_whole_axes(formula, shapes)) return kNoMatch;

  const Shape extents = extents_of(formula, shapes).value();
  const auto places = static_cast<double>(extents[static_cast<size_t>(formula.rank) - 1].bound);
  if (places < kManyPlaces) return kNoMatch;
  const double rows = own_elements(formula, extents, left, right), others = own_elements(formula, extents, right, left);
  if (rows * others / (rows + others) > kFewUses) return kNoMatch;
  Indices out(static_cast<size_t>(formula.rank));
  std::iota(out.begin(), out.end(), 0);
  Indices indices(out.begin(), out.end() - 1);
  for (int32_t index = formula.rank; index < formula.num_indices(); ++index) indices.push_back(index);
  indices.push_back(formula.rank - 1);  // behind the summed ones, so that sums run down columns
  Shape shape;
  for (const int32_t index : indices) shape.push_back(extents[static_cast<size_t>(index)]);
  const auto whole = [&](size_t k) {
    std::vector<int64_t> axes;
    for (const Affine& axis : formula.operands[k].axes) axes.push_back(position_of(indices, axis.terms[0].first));
    return build.broadcast(m.in(k), shape, std::move(axes));
  };
  return summed(build, build.mul(whole(0), whole(1)), indices, out);
}

NodeId staged(Match& m) {
  const size_t rank = m.operand(0).type.rank();
  if (rank < 2 || m.attrs().integers("axes").size() != rank || is_half(m.type().dtype)) return kNoMatch;
  std::vector<int64_t> rest;
  for (size_t axis = 0; axis + 1 < rank; ++axis) rest.push_back(static_cast<int64_t>(axis));
  const NodeId rows =
      m.build().make(m.node().op, {m.in(0)}, {{"axes", std::vector<int64_t>{static_cast<int64_t>(rank) - 1}}});
  return m.build().make(m.node().op, {rows}, {{"axes", rest}});
}

// Sums of so few columns are one or two threads' work, and statistics of BatchNorm over pictures have few. Of so many
// elements the second step is nothing beside the first. The sums of examples/conv.smelt took 2.77 ms on one thread and
// 2.58 on two; with this they take 2.77 and 1.58 (`smelt profile --threads 2`).
constexpr int64_t kFewColumns = 128, kManyElements = int64_t{1} << 20, kParts = 16;

/// The first axes are kept for a second step: threads share them.
NodeId staged_columns(Match& m) {
  const Shape& shape = m.operand(0).type.shape;
  const std::vector<int64_t>& axes = m.attrs().integers("axes");
  const std::optional<int64_t> elements = num_elements(shape), columns = num_elements(m.type().shape);
  if (axes.size() < 2 || axes.back() + 1 != static_cast<int64_t>(axes.size()) || axes.size() == shape.size())
    return kNoMatch;
  if (is_half(m.type().dtype) || !elements || *elements < kManyElements || *columns >= kFewColumns) return kNoMatch;
  size_t kept = 0;
  for (int64_t parts = 1; parts < kParts; ++kept) {
    if (kept + 1 == axes.size()) return kNoMatch;
    parts *= shape[kept].bound;
  }
  const auto at = axes.begin() + static_cast<std::ptrdiff_t>(kept);
  const NodeId parts = m.build().make(m.node().op, {m.in(0)}, {{"axes", std::vector<int64_t>(at, axes.end())}});
  return m.build().make(m.node().op, {parts}, {{"axes", std::vector<int64_t>(axes.begin(), at)}});
}

/// The last axis that is longer than 1, or -1.
int64_t last_long_axis(const Shape& shape, const Axes& without = {}) {
  auto axis = static_cast<int64_t>(shape.size()) - 1;
  const auto skips = [&] {
    return shape[static_cast<size_t>(axis)] == Extent(1) || std::ranges::find(without, axis) != without.end();
  };
  while (axis >= 0 && skips()) --axis;
  return axis;
}

/// broadcast(w) -> broadcast(transpose(w)), with the axis that becomes `last` at the end of w. Nothing where it lies
/// there, or where a copy would cost more than reading across lines.
NodeId along_lines(Builder& build, NodeId factor, int64_t last) {
  const Node node = build.graph()[factor];
  Axes axes = node.attrs.integers("axes"), permutation(axes.size());
  const auto at = std::ranges::find(axes, last);
  const auto place = at - axes.begin();
  const Shape& shape = build.type(node.inputs[0]).shape;
  if (at == axes.end() || last_long_axis(shape) == place || !is_read_often(shape, node.type.shape)) return kNoMatch;
  std::iota(permutation.begin(), permutation.end(), 0);
  std::rotate(permutation.begin() + place, permutation.begin() + place + 1, permutation.end());
  std::rotate(at, at + 1, axes.end());
  const NodeId turned = build.transpose(node.inputs[0], std::move(permutation));
  return build.broadcast(turned, node.type.shape, std::move(axes));
}

/// sum(windows * broadcast(w)): the last axis of the sum, along which the windows lie side by side, becomes that of w.
/// Read across its lines, each element would be gathered.
NodeId factor_along_windows(Match& m) {
  if (!m.is(0, OpKind::Mul)) return kNoMatch;
  Builder& build = m.build();
  const Axes summed = m.attrs().integers("axes");
  const int64_t last = last_long_axis(m.operand(0).type.shape, summed);
  for (const size_t side : {0, 1}) {
    const NodeId windows = m.in(0, side), factor = m.in(0, 1 - side);
    const Node& read = build.graph()[windows];
    if (last < 0 || read.op != OpKind::Read || build.graph()[factor].op != OpKind::Broadcast) continue;
    const int64_t line = last_long_axis(build.type(read.inputs[0]).shape);
    if (line < 0) continue;
    const Affine& position = read.attrs.formula("formula").operands[0].axes[static_cast<size_t>(line)];
    if (position.coefficient(static_cast<int32_t>(last)) != 1) continue;
    const NodeId lines = along_lines(build, factor, last);
    if (lines == kNoMatch) continue;
    return build.reduce_sum(side == 0 ? build.mul(windows, lines) : build.mul(lines, windows), summed);
  }
  return kNoMatch;
}

constexpr std::array kRules = {
    Rule{"narrow_contraction",
         "contract(a, b) -> reduce_sum(a * b) when one operand has all axes longer than 1, or none is summed",
         OpKind::Contract, narrow_contraction},
    Rule{"contraction_of_columns",
         "contract(a, b) -> reduce_sum(a * b) when both and the result have one index last, side by side in memory",
         OpKind::Contract, contraction_of_columns},
    Rule{"staged_sum", "reduce_sum(x, all axes) -> reduce_sum(reduce_sum(x, last axis), the others)", OpKind::ReduceSum,
         staged},
    Rule{"staged_max", "reduce_max(x, all axes) -> reduce_max(reduce_max(x, last axis), the others)", OpKind::ReduceMax,
         staged},
    Rule{"staged_min", "reduce_min(x, all axes) -> reduce_min(reduce_min(x, last axis), the others)", OpKind::ReduceMin,
         staged},
    Rule{"staged_column_sum", "reduce_sum(x, first axes) of few columns -> its first axes go last", OpKind::ReduceSum,
         staged_columns},
    Rule{"staged_column_max", "reduce_max(x, first axes) of few columns -> its first axes go last", OpKind::ReduceMax,
         staged_columns},
    Rule{"staged_column_min", "reduce_min(x, first axes) of few columns -> its first axes go last", OpKind::ReduceMin,
         staged_columns},
    Rule{"factor_along_windows", "reduce_sum(windows * broadcast(w)): w is turned to the axis along which windows lie",
         OpKind::ReduceSum, factor_along_windows},
};

}  // namespace

Graph choose_sum_forms(Graph graph) { return rewrite(std::move(graph), kRules); }

}  // namespace smelt
