#include "compiler/loops/lower_product.h"

#include <algorithm>
#include <cstdlib>

#include "ir/index_formula.h"
#include "ir/support/check.h"

namespace smelt {
namespace {

/// One operand: elements between neighbours along each index.
struct Side {
  std::vector<int64_t> strides;
  std::vector<bool> has;
  int64_t start = 0;  // the element at which all indices are 0

  Side(const IndexMap& map, const Shape& shape, int32_t num_indices) {
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

/// Neighbours that are one longer axis for both operands become one, so that the depth is long.
std::vector<ProductAxis> merged(std::vector<ProductAxis> axes) {
  std::vector<ProductAxis> result;
  for (const ProductAxis& axis : axes) {
    ProductAxis* outer = result.empty() ? nullptr : &result.back();
    const int64_t size = axis.extent.bound;
    if (outer != nullptr && outer->extent.is_static() && axis.extent.is_static() &&
        outer->a_stride == size * axis.a_stride && outer->b_stride == size * axis.b_stride) {
      *outer = {Extent(outer->extent.bound * size), axis.a_stride, axis.b_stride, -1};
    } else {
      result.push_back(axis);
    }
  }
  return result;
}

}  // namespace

LoweredProduct lower_product(const Graph& graph, NodeId id) {
  const Node& node = graph[id];
  const IndexFormula& formula = node.attrs.formula("formula");
  const Shape shapes[] = {graph.type(node.inputs[0]).shape, graph.type(node.inputs[1]).shape};
  const Result<std::vector<Extent>> extents = extents_of(formula, shapes);
  SMELT_CHECK(extents.has_value() && !formula.operands[0].bounded && !formula.operands[1].bounded,
              "contraction with a bad formula, or one that reads outside of its operands");
  Side a(formula.operands[0], shapes[0], formula.num_indices()),
      b(formula.operands[1], shapes[1], formula.num_indices());
  LoweredProduct lowered;
  for (size_t k = 0; k < node.inputs.size(); k += 2) lowered.pairs.push_back({node.inputs[k], node.inputs[k + 1]});
  lowered.product.more.resize(lowered.pairs.size() - 1);
  const auto only_in = [](const Side& one, const Side& other, int32_t index) {
    return one.has[static_cast<size_t>(index)] && !other.has[static_cast<size_t>(index)];
  };
  const int32_t last = formula.rank - 1;
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
  int32_t row = -1;
  const int32_t column = last >= 0 && only_in(b, a, last) ? last : -1;
  // The longest axis of a's own is the one that register tiles run over.
  for (int32_t index = 0; index < formula.rank; ++index) {
    if (!only_in(a, b, index)) continue;
    if (row < 0 || axis_of(index).extent.bound >= axis_of(row).extent.bound) row = index;
  }
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
  std::ranges::stable_sort(product.inner, std::greater{},
                           [](const ProductAxis& axis) { return std::abs(axis.a_stride); });
  product.inner = merged(std::move(product.inner));
  return lowered;
}

static int64_t left_width(const Product& product) {
  return (product.row.extent.bound + kPanelDepthStep - 1) / kPanelDepthStep * kPanelDepthStep;
}

Product left_panel(const Product& product) {
  Product packing{.dtype = product.dtype, .tile = {0, left_width(product)}, .bf16_pairs = true};
  packing.b_start = product.a_start;
  packing.column = {product.row.extent, 0, product.row.a_stride};
  packing.inner = {{product.inner.back().extent, 0, product.inner.back().a_stride}};
  return packing;
}

void read_left_panel(Product& product) {
  product.inner.back().a_stride = left_width(product);
  product.row.a_stride = 2;
  product.a_start = 0;
}

bool is_left_panel(const Product& packing) { return packing.bf16_pairs && packing.tile.rows == 0; }
// Without one, pairs lie along the depth.
bool reads_left_panel(const Product& product) { return product.bf16_pairs && product.inner.back().a_stride != 1; }

PanelLayout panel_layout(const Product& product) {
  PanelLayout layout;
  const int64_t width = product.form == ProductForm::Dot ? product.column.extent.bound : product.tile.columns;
  const int64_t depth = product.inner.back().extent.bound;
  const int64_t step = product.bf16_pairs ? 2 * kPanelDepthStep : kPanelDepthStep;
  layout.depth = (depth + step - 1) / step * step;
  layout.panel_elements = layout.depth * width;
  int64_t stride = (product.column.extent.bound + width - 1) / width * layout.panel_elements;
  layout.inner_strides.assign(product.inner.size() - 1, 0);
  for (size_t axis = product.inner.size() - 1; axis-- > 0;) {
    layout.inner_strides[axis] = stride;
    stride *= product.inner[axis].extent.bound;
  }
  layout.outer_strides.assign(product.outer.size(), 0);
  for (size_t axis = product.outer.size(); axis-- > 0;) {
    if (product.outer[axis].b_stride == 0) continue;
    layout.outer_strides[axis] = stride;
    stride *= product.outer[axis].extent.bound;
  }
  layout.total_elements = stride;
  return layout;
}

}  // namespace smelt
