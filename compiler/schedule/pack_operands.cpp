#include "compiler/schedule/pack_operands.h"

#include <fmt/format.h>

#include <utility>

#include "compiler/loops/walk.h"
#include "compiler/schedule/panels.h"
#include "compiler/schedule/read_in_place.h"

namespace smelt {
namespace {

class Packer {
 public:
  Packer(LoopFunction& function, const Blocking& blocking) : function_(function), blocking_(blocking) {}

  void run() {
    for (size_t k = 0; k < function_.kernels.size(); ++k) {
      if (function_.kernels[k].kind() == KernelKind::Product) k += pack_for(k);
    }
  }

 private:
  /// Returns how many kernels it has put before kernel `k`.
  size_t pack_for(size_t k) {
    Product product = function_.kernels[k].product();
    const bool pairs = product.schedule->multiply == Multiply::Bf16Pairs;
    const PackPlace place = pack_place(function_, product, k);
    if (!pairs && reads_in_place(function_, product, blocking_, place.times)) return 0;
    size_t at = k;
    const PanelLayout layout = panel_layout(product);
    for (size_t p = 0; p < product.pairs.size(); ++p) {
      Pack pack = right_pack(product, layout);
      pack.from = product.pairs[p].b;
      product.pairs[p].b = pack.to =
          add_panels(at, "panels", p, {pairs ? DType::BF16 : product.dtype, {layout.total_elements}}, place.repeat);
      insert(at++, std::move(pack), {.at = place.at + p, .repeat = place.repeat});
    }
    if (product.schedule->left == LeftOperand::PairPanel) {
      const PanelLayout left = left_layout(product);
      const int32_t here = repeat_of(function_, at);
      for (size_t p = 0; p < product.pairs.size(); ++p) {
        Pack pack = left_pack(product, left);
        pack.from = product.pairs[p].a;
        product.pairs[p].a = pack.to = add_panels(at, "left", p, {DType::BF16, {left.total_elements}}, here);
        insert(at, std::move(pack), {.at = at, .repeat = here});
        ++at;
      }
      read_left_panel(product, left);
    }
    read_panels(product, layout);
    function_.kernels[at].work = std::move(product);
    return at - k;
  }

  int32_t add_panels(size_t at, const char* what, size_t pair, TensorType type, int32_t repeat) {
    const std::string name = pair == 0 ? fmt::format("{}{}", what, at) : fmt::format("{}{}_{}", what, pair, at);
    LoopBuffer buffer{.name = name, .type = std::move(type)};
    buffer.repeat = repeat;
    buffer.span = function_.kernels[at].span;
    return add_buffer(function_, std::move(buffer));
  }

  /// `product_at`: the product that reads the panels.
  void insert(size_t product_at, Pack pack, const PackPlace& place) {
    const Kernel& product = function_.kernels[product_at];
    Kernel kernel{.label = "pack", .group = product.group, .span = product.span};
    const TensorType& panels = function_.buffers[static_cast<size_t>(pack.to)].type;
    kernel.bytes = 2.0 * static_cast<double>(byte_size(panels).value_or(0));
    kernel.work = std::move(pack);
    insert_kernel(function_, place.at, std::move(kernel), place.repeat);
    function_.kernels[place.at].bytes *= usual_times(function_, place.at);
  }

  static Pack right_pack(const Product& product, const PanelLayout& layout) {
    Pack pack{.start = product.b_start, .form = layout.form, .width = layout.width};
    for (size_t axis = 0; axis < product.outer.size(); ++axis) {
      if (product.outer[axis].b_stride != 0)
        pack.outer.push_back({product.outer[axis].extent, product.outer[axis].b_stride, layout.outer_strides[axis]});
    }
    for (size_t axis = 0; axis + 1 < product.inner.size(); ++axis)
      pack.outer.push_back({product.inner[axis].extent, product.inner[axis].b_stride, layout.inner_strides[axis]});
    const bool along_depth = layout.form == PanelForm::Depth;
    pack.column = {product.column.extent, product.column.b_stride,
                   along_depth ? layout.column_stride : layout.panel_elements};
    pack.depth = {product.inner.back().extent, product.inner.back().b_stride, along_depth ? 1 : layout.width};
    return pack;
  }

  static void read_panels(Product& product, const PanelLayout& layout) {
    product.schedule->right = PackedColumns{layout.panel_elements};
    product.b_start = 0;
    for (size_t axis = 0; axis < product.outer.size(); ++axis)
      product.outer[axis].b_stride = layout.outer_strides[axis];
    for (size_t axis = 0; axis + 1 < product.inner.size(); ++axis)
      product.inner[axis].b_stride = layout.inner_strides[axis];
    const bool along_depth = layout.form == PanelForm::Depth;
    product.inner.back().b_stride = along_depth ? 1 : layout.width;
    product.column.b_stride = along_depth ? layout.column_stride : 1;
    merge_depth(product);
  }

  /// The left operand of a gradient of a weight has its rows side by side, so that pairs along the depth, the batch,
  /// have to be packed: as one panel.
  static PanelLayout left_layout(const Product& product) {
    Product sides{.dtype = product.dtype, .schedule = ProductSchedule{.multiply = Multiply::Bf16Pairs}};
    sides.column = {product.row.extent, 0, product.row.a_stride};
    for (const ProductAxis& axis : product.inner) sides.inner.push_back({axis.extent, 0, axis.a_stride});
    sides.schedule->tile.columns = left_panel_width(product);
    return panel_layout(sides);
  }

  static Pack left_pack(const Product& product, const PanelLayout& layout) {
    Pack pack{.start = product.a_start, .form = PanelForm::Pairs, .units = PackUnits::Steps, .width = layout.width};
    pack.column = {product.row.extent, product.row.a_stride, layout.panel_elements};
    for (size_t axis = 0; axis + 1 < product.inner.size(); ++axis)
      pack.outer.push_back({product.inner[axis].extent, product.inner[axis].a_stride, layout.inner_strides[axis]});
    pack.depth = {product.inner.back().extent, product.inner.back().a_stride, layout.width};
    return pack;
  }

  static void read_left_panel(Product& product, const PanelLayout& layout) {
    for (size_t axis = 0; axis + 1 < product.inner.size(); ++axis)
      product.inner[axis].a_stride = layout.inner_strides[axis];
    product.inner.back().a_stride = layout.width;
    product.row.a_stride = 2;
    product.a_start = 0;
  }

  LoopFunction& function_;
  const Blocking& blocking_;
};

}  // namespace

LoopFunction pack_operands(LoopFunction function, const Target& target) {
  Packer(function, target.blocking).run();
  return function;
}

}  // namespace smelt
