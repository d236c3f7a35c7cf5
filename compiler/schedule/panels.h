// The layout of panels: what a product reads when its operands are packed.
#pragma once

#include <cstdint>
#include <vector>

#include "compiler/loops/loop_ir.h"

namespace smelt {

// Depths of panels are rounded up to it, so that packing may write whole squares; those of pairs to twice as much.
inline constexpr int64_t kPanelDepthStep = 16;

/// Panels of b: for each outer combination that b depends on, ceil(columns / width) panels of `width` columns
/// (PanelForm). A panel holds the whole depth, the taps of a filter one behind the other, so that a tile reads on and
/// on.
struct PanelLayout {
  PanelForm form = PanelForm::Columns;
  int64_t width = 0;
  int64_t depth = 0;           // of the innermost axis, rounded up where packing writes whole squares
  int64_t column_stride = 0;   // of PanelForm::Depth: elements from column to column
  int64_t panel_elements = 0;  // of one panel, all of the depth
  int64_t total_elements = 0;
  std::vector<int64_t> outer_strides;  // by outer axis, 0 where b does not depend on it
  std::vector<int64_t> inner_strides;  // by inner axis but the last
};
PanelLayout panel_layout(const Product& product);

/// Rows of a left operand in its one panel, rounded up.
int64_t left_panel_width(const Product& product);

}  // namespace smelt
