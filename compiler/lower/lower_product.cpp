#include "compiler/lower/lower_product.h"

#include <algorithm>
#include <cstdlib>
#include <functional>

#include "ir/index_formula.h"
#include "ir/support/check.h"

namespace smelt {
namespace {

/// One operand: elements between neighbours along each index.
struct ProductSide {
  std::vector<int64_t> strides;
  std::vector<bool> has;
  int64_t start = 0;  // the element at which all indices are 0

  ProductSide(const IndexMap& map, const Shape& shape, int32_t num_indices) {
    const std::vector<int64_t> axis_strides = row_major_strides(shape);
    Affine element;
    for (size_t axis = 0; axis < shape.size(); ++axis) element = element + map.axes[axis] * axis_strides[axis];
    start = element.constant;
    for (int32_t index = 0; index < num_indices; ++index) {
      strides.push_back(element.coefficient(index));
      has.push_back(map.has(index));
    }
  }
};

/// The result's axis along which its elements lie side by side: the last one, or before axes of size 1, of which
/// kernels of 1x1 convolutions have two. Its tiles would have one column, and so would those of an axis along which
/// both operands lie side by side as well, as products of many matrices may: the axis before it is that of one matrix.
int32_t innermost(const IndexFormula& formula, const Shape& extents) {
  const auto in_both = [&](int32_t index) {
    return std::ranges::all_of(formula.operands, [&](const IndexMap& map) {
      return !map.axes.empty() && map.axes.back() == Affine::of(index);
    });
  };
  for (int32_t index = formula.rank - 1; index >= 0; --index) {
    if (extents[static_cast<size_t>(index)] != Extent(1) && !in_both(index)) return index;
  }
  return formula.rank - 1;
}

/// Turns an axis of the depth that passes a from its end to its start, as taps of an input's gradient do: a line of
/// pixels and their channels lie along one axis then. Taps are added in the other order.
void turn_forward(Product& product) {
  for (ProductAxis& axis : product.inner) {
    if (axis.a_stride >= 0 || !axis.extent.is_static()) continue;
    product.a_start += (axis.extent.bound - 1) * axis.a_stride;
    product.b_start += (axis.extent.bound - 1) * axis.b_stride;
    axis.a_stride = -axis.a_stride;
    axis.b_stride = -axis.b_stride;
  }
}

/// The axis of a's own that register tiles run over: of those that fill a tile the one whose rows lie closest, so that
/// neighbours share lines and pages, as pixels of a picture do and pictures of a batch do not; else the longest.
int32_t choose_row(const std::vector<int32_t>& own, const std::function<ProductAxis(int32_t)>& axis_of,
                   int64_t columns) {
  constexpr int64_t kRows = 6, kLanes = 16;
  constexpr int64_t kVectors = 12;  // of sums: half more than a multiply-add's latency
  const int64_t vectors_of_row = (columns + kLanes - 1) / kLanes;
  int32_t row = -1, close = -1;
  for (const int32_t index : own) {
    const ProductAxis axis = axis_of(index);
    if (row < 0 || axis.extent.bound >= axis_of(row).extent.bound) row = index;
    const bool fills = axis.extent.bound >= kRows &&
                       (columns == 1 || axis.extent.bound * vectors_of_row >= kVectors);  // one: of dot products
    if (fills && (close < 0 || std::abs(axis.a_stride) <= std::abs(axis_of(close).a_stride))) close = index;
  }
  return close >= 0 ? close : row;
}

/// The axis of b's own that vectors run over: `last`, the result's innermost, or none where b does not have it. Of a
/// single row it is the one whose elements lie side by side, where that is longer: channels, not taps, in the gradient
/// of a filter that makes one channel. For the last layer of a U-Net of width 16, 64 pictures of 28x28, taps took 34 ms
/// and the panels of all windows, channels less than 2 (`smelt profile`, a busy AMD Zen 5).
int32_t choose_column(const std::vector<int32_t>& own, const std::vector<int32_t>& others, int32_t last,
                      const std::function<ProductAxis(int32_t)>& axis_of) {
  if (std::ranges::find(others, last) == others.end()) return -1;
  if (std::ranges::any_of(own, [&](int32_t index) { return axis_of(index).extent != Extent(1); })) return last;
  int32_t column = last;
  for (const int32_t index : others) {
    if (axis_of(index).b_stride == 1 && axis_of(index).extent.bound > axis_of(column).extent.bound) column = index;
  }
  return column;
}

/// In the gradient of a filter the channels of a line of taps lie one behind the other: they are rows as well.
void join_rows(Product& product) {
  constexpr int64_t kColumns = 16;  // fewer may exchange the sides
  ProductAxis& row = product.row;
  if (row.a_stride != 1 || !row.extent.is_static() || row.extent == Extent(1) || product.column.b_stride != 1 ||
      product.column.extent.bound < kColumns)
    return;
  const auto taps = std::ranges::find_if(product.outer, [&](const ProductAxis& axis) {
    return axis.b_stride == 0 && axis.extent.is_static() && axis.a_stride == row.extent.bound;
  });
  if (taps == product.outer.end()) return;
  row.outer_loop = taps->loop;
  row.inner = row.extent.bound;
  row.extent = Extent(row.extent.bound * taps->extent.bound);
  product.outer.erase(taps);
}

}  // namespace

LoweredProduct lower_product(const Graph& graph, NodeId id) {
  const Node& node = graph[id];
  const IndexFormula& formula = node.attrs.formula("formula");
  const Shape shapes[] = {graph.type(node.inputs[0]).shape, graph.type(node.inputs[1]).shape};
  const Result<Shape> extents = extents_of(formula, shapes);
  SMELT_CHECK(extents.has_value() && !formula.operands[0].bounded && !formula.operands[1].bounded,
              "contraction with a bad formula, or one that reads outside of its operands");
  ProductSide a(formula.operands[0], shapes[0], formula.num_indices()),
      b(formula.operands[1], shapes[1], formula.num_indices());
  LoweredProduct lowered;
  for (size_t k = 0; k < node.inputs.size(); k += 2) lowered.pairs.push_back({node.inputs[k], node.inputs[k + 1]});
  lowered.product.pairs.resize(lowered.pairs.size());
  const auto only_in = [](const ProductSide& one, const ProductSide& other, int32_t index) {
    return one.has[static_cast<size_t>(index)] && !other.has[static_cast<size_t>(index)];
  };
  const int32_t last = innermost(formula, *extents);
  if (last >= 0 && only_in(a, b, last)) {
    std::swap(a, b);
    for (LoweredProduct::Operands& pair : lowered.pairs) std::swap(pair.a, pair.b);
  }
  Product& product = lowered.product;
  product.dtype = node.type.dtype;
  product.a_start = a.start;
  product.b_start = b.start;
  const auto axis_of = [&](int32_t index) {
    const auto at = static_cast<size_t>(index);
    return ProductAxis{(*extents)[at], a.strides[at], b.strides[at], formula.is_summed(index) ? -1 : index};
  };
  std::vector<int32_t> own, others;  // a's, b's
  for (int32_t index = 0; index < formula.rank; ++index) {
    if (only_in(a, b, index)) own.push_back(index);
    if (only_in(b, a, index)) others.push_back(index);
  }
  const int32_t column = choose_column(own, others, last, axis_of);
  const int32_t row = choose_row(own, axis_of, column < 0 ? 1 : axis_of(column).extent.bound);
  for (int32_t index = 0; index < formula.num_indices(); ++index) {
    const ProductAxis axis = axis_of(index);
    if (index == row) {
      product.row = axis;
    } else if (index == column) {
      product.column = axis;
    } else {
      (formula.is_summed(index) ? product.inner : product.outer).push_back(axis);
    }
  }
  if (product.inner.empty()) product.inner.push_back({});  // an outer product sums one term
  turn_forward(product);
  std::ranges::stable_sort(product.inner, std::greater{},
                           [](const ProductAxis& axis) { return std::abs(axis.a_stride); });
  if (std::ranges::any_of(product.inner, [](const ProductAxis& axis) { return axis.extent != Extent(1); }))
    std::erase_if(product.inner, [](const ProductAxis& axis) { return axis.extent == Extent(1); });
  merge_depth(product);
  join_rows(product);
  return lowered;
}

}  // namespace smelt
