#include "compiler/schedule/panels.h"

namespace smelt {
namespace {

int64_t round_up(int64_t size, int64_t step) { return (size + step - 1) / step * step; }

}  // namespace

PanelLayout panel_layout(const Product& product) {
  const ProductSchedule& schedule = *product.schedule;
  PanelLayout layout;
  layout.form = schedule.form == ProductForm::Dot          ? PanelForm::Depth
                : schedule.multiply == Multiply::Bf16Pairs ? PanelForm::Pairs
                                                           : PanelForm::Columns;
  layout.width = layout.form == PanelForm::Depth ? product.column.extent.bound : schedule.tile.columns;
  const ProductAxis& depth = product.inner.back();
  const bool in_squares = layout.form != PanelForm::Columns || depth.b_stride == 1;
  layout.depth =
      in_squares ? round_up(depth.extent.bound, layout.form == PanelForm::Pairs ? 2 * kPanelDepthStep : kPanelDepthStep)
                 : depth.extent.bound;
  const bool along_depth = layout.form == PanelForm::Depth;
  int64_t stride = layout.depth * (along_depth ? 1 : layout.width);
  layout.inner_strides.assign(product.inner.size() - 1, 0);
  for (size_t axis = product.inner.size() - 1; axis-- > 0;) {
    layout.inner_strides[axis] = stride;
    stride *= product.inner[axis].extent.bound;
  }
  if (along_depth) {
    layout.column_stride = stride;
    stride *= layout.width;
  }
  layout.panel_elements = stride;
  stride *= (product.column.extent.bound + layout.width - 1) / layout.width;
  layout.outer_strides.assign(product.outer.size(), 0);
  for (size_t axis = product.outer.size(); axis-- > 0;) {
    if (product.outer[axis].b_stride == 0) continue;
    layout.outer_strides[axis] = stride;
    stride *= product.outer[axis].extent.bound;
  }
  layout.total_elements = stride;
  return layout;
}

int64_t left_panel_width(const Product& product) { return round_up(product.row.extent.bound, kPanelDepthStep); }

}  // namespace smelt
