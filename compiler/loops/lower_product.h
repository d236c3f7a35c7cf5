// A contraction's index formula -> the axes of a register-tiled product.
#pragma once

#include <optional>

#include "compiler/loops/loop_ir.h"
#include "compiler/loops/plan_kernels.h"
#include "ir/graph.h"

namespace smelt {

/// The product of contraction `id`, pairs of operands named by node: `a` has the row axis, `b` the column axis, which
/// is the innermost axis of the result when one operand alone has it.
struct LoweredProduct {
  struct Operands {
    NodeId a, b;
  };
  Product product;  // buffers unset
  std::vector<Operands> pairs;
};
LoweredProduct lower_product(const Graph& graph, NodeId id);

/// Panels of b: for each outer and inner combination that b depends on, ceil(columns / tile.columns) panels of
/// [inner.back(), tile.columns] elements, the depth rounded up to kPanelDepthStep, so that packing may write whole
/// squares. Pairs are [inner.back() / 2, tile.columns, 2], the depth rounded up to twice as many, 0 behind an odd one.
/// In the dot form one panel [columns, inner.back()], rounded up likewise.
inline constexpr int64_t kPanelDepthStep = 16;
struct PanelLayout {
  int64_t depth = 0;           // rounded up
  int64_t panel_elements = 0;  // of one panel
  int64_t total_elements = 0;
  std::vector<int64_t> outer_strides;  // by outer axis, 0 where b does not depend on it
  std::vector<int64_t> inner_strides;  // by inner axis but the last
};
PanelLayout panel_layout(const Product& product);

/// The left operand of a gradient of a weight has its rows side by side, so that pairs along the depth, the batch, have
/// to be packed: as one panel [depth / 2, rows, 2], the rows rounded up. What packs it, before `product` is made to
/// read it.
Product left_panel(const Product& product);  // buffers unset
void read_left_panel(Product& product);
/// Of the Product of a pack kernel; of one that multiplies.
bool is_left_panel(const Product& packing);
bool reads_left_panel(const Product& product);

}  // namespace smelt
