#include "compiler/loops/lower_product.h"

#include <algorithm>

#include "ir/ops/contract_formula.h"
#include "ir/support/check.h"
#include "ir/support/fault.h"

namespace smelt {
namespace {

struct Side {
  std::vector<std::string> indices;
  std::vector<int64_t> strides;
  Shape shape;

  int64_t stride_of(const std::string& index) const {
    const int at = position_of(indices, index);
    return at < 0 ? 0 : strides[static_cast<size_t>(at)];
  }
  bool has(const std::string& index) const { return position_of(indices, index) >= 0; }
};

}  // namespace

LoweredProduct lower_product(const Graph& graph, NodeId id) {
  const Node& node = graph[id];
  const auto formula = parse_formula(node.attrs.text("formula"));
  SMELT_CHECK(formula.has_value(), "contraction with a bad formula");
  Side a{formula->lhs, row_major_strides(graph.type(node.inputs[0]).shape), graph.type(node.inputs[0]).shape};
  Side b{formula->rhs, row_major_strides(graph.type(node.inputs[1]).shape), graph.type(node.inputs[1]).shape};
  LoweredProduct lowered{.product = {}, .a = node.inputs[0], .b = node.inputs[1]};
  const auto only_in = [](const Side& one, const Side& other, const std::string& index) {
    return one.has(index) && !other.has(index);
  };
  const std::vector<std::string>& out = formula->out;
  if (!out.empty() && only_in(a, b, out.back())) {
    if (SMELT_FAULT(54, true, false)) std::swap(a, b);
    std::swap(lowered.a, lowered.b);
  }
  Product& product = lowered.product;
  product.dtype = node.type.dtype;
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
    const ProductAxis lowered_axis{node.type.shape[axis], a.stride_of(out[axis]), b.stride_of(out[axis]),
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
    const Extent extent = a.shape[static_cast<size_t>(position_of(a.indices, index))];
    product.inner.push_back({extent, a.stride_of(index), b.stride_of(index), -1});
  }
  if (product.inner.empty()) product.inner.push_back({});  // an outer product sums one term
  std::ranges::sort(product.inner, std::greater{}, [](const ProductAxis& axis) { return axis.a_stride; });
  return lowered;
}

PanelLayout panel_layout(const Product& product, int64_t width) {
  PanelLayout layout;
  layout.width = width;
  layout.panels = (product.column.extent.bound + width - 1) / width;
  const int64_t depth = product.inner.back().extent.bound;
  layout.panel_elements = (depth + kPanelDepthStep - 1) / kPanelDepthStep * kPanelDepthStep * width;
  int64_t stride = layout.panels * layout.panel_elements;
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
