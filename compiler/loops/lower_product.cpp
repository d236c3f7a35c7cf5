#include "compiler/loops/lower_product.h"

#include <algorithm>
#include <cstdlib>

#include "ir/ops/contract_formula.h"
#include "ir/support/check.h"

namespace smelt {
namespace {

struct Side {
  std::vector<std::string> axes, indices;
  std::vector<int64_t> strides;
  int64_t start = 0;

  int64_t stride(const std::string& index) const { return stride_of(axes, strides, index); }
  bool has(const std::string& index) const { return position_of(indices, index) >= 0; }
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
  const auto formula = parse_formula(node.attrs.text("formula"));
  SMELT_CHECK(formula.has_value(), "contraction with a bad formula");
  const auto extent_of = [&](const std::string& index) {
    const int at = position_of(formula->rhs, index);
    return at >= 0 ? graph.type(node.inputs[1]).shape[static_cast<size_t>(at)]
                   : node.type.shape[static_cast<size_t>(position_of(formula->out, index))];
  };
  const auto side = [&](const std::vector<std::string>& axes, NodeId operand) {
    Side result{axes, indices_of(axes), row_major_strides(graph.type(operand).shape)};
    result.start = window_start(axes, result.strides, [&](const std::string& tap) { return extent_of(tap).bound; });
    return result;
  };
  Side a = side(formula->lhs, node.inputs[0]), b = side(formula->rhs, node.inputs[1]);
  LoweredProduct lowered;
  for (size_t k = 0; k < node.inputs.size(); k += 2) lowered.pairs.push_back({node.inputs[k], node.inputs[k + 1]});
  lowered.product.more.resize(lowered.pairs.size() - 1);
  const auto only_in = [](const Side& one, const Side& other, const std::string& index) {
    return one.has(index) && !other.has(index);
  };
  const std::vector<std::string>& out = formula->out;
  if (!out.empty() && only_in(a, b, out.back())) {
    std::swap(a, b);
    for (LoweredProduct::Operands& pair : lowered.pairs) std::swap(pair.a, pair.b);
  }
  Product& product = lowered.product;
  product.dtype = node.type.dtype;
  product.a_start = a.start;
  product.b_start = b.start;
  int row_at = -1;
  const int column_at = !out.empty() && only_in(b, a, out.back()) ? static_cast<int>(out.size()) - 1 : -1;
  // The longest axis of a's own is the one that register tiles run over.
  for (size_t axis = 0; axis < out.size(); ++axis) {
    if (!only_in(a, b, out[axis])) continue;
    if (row_at < 0 || node.type.shape[axis].bound >= node.type.shape[static_cast<size_t>(row_at)].bound) {
      row_at = static_cast<int>(axis);
    }
  }
  for (size_t axis = 0; axis < out.size(); ++axis) {
    const ProductAxis lowered_axis{node.type.shape[axis], a.stride(out[axis]), b.stride(out[axis]),
                                   static_cast<int32_t>(axis)};
    if (static_cast<int>(axis) == row_at) {
      product.row = lowered_axis;
    } else if (static_cast<int>(axis) == column_at) {
      product.column = lowered_axis;
    } else {
      product.outer.push_back(lowered_axis);
    }
  }
  for (const std::string& index : formula->summed()) {
    product.inner.push_back({extent_of(index), a.stride(index), b.stride(index), -1});
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
