#include "compiler/schedule/pair_products.h"

#include <algorithm>

#include "compiler/schedule/read_in_place.h"

namespace smelt {
namespace {

class PairChooser {
 public:
  PairChooser(const LoopFunction& function, const Blocking& blocking) : function_(function), blocking_(blocking) {}

  void choose(Product& product, const PackPlace& place) const {
    ProductSchedule& schedule = *product.schedule;
    if (product.dtype != DType::F32 || schedule.form != ProductForm::Broadcast) return;
    if (has_pairs_along_depth(product, place)) {
      schedule.multiply = Multiply::Bf16Pairs;
    } else if (pays_for_two_packs(product)) {
      schedule.multiply = Multiply::Bf16Pairs;
      schedule.left = LeftOperand::PairPanel;
    }
  }

 private:
  bool is_bf16(int32_t buffer) const { return dtype_of(function_, buffer) == DType::BF16; }

  /// One left operand, of bf16 along the depth. b is packed for it when it is bf16, or packed anyway, or once for all
  /// steps of a loop, or when so many rows use the panels that half the multiplications pay for the packing. How many
  /// steps a loop has does not matter, so that its pieces and its steps choose as the loop does.
  bool has_pairs_along_depth(const Product& product, const PackPlace& place) const {
    const ProductAxis& depth = product.inner.back();
    return product.pairs.size() == 1 && is_bf16(product.pairs[0].a) && depth.a_stride == 1 && depth.extent.bound > 1 &&
           product.column.extent != Extent(1) &&
           (is_bf16(product.pairs[0].b) || place.once || !reads_in_place(function_, product, blocking_, place.times) ||
            usual_size(function_, product.row.extent) >= blocking_.pairs_pay);
  }

  /// A gradient of a weight, whose depth is the batch: both operands are packed.
  bool pays_for_two_packs(const Product& product) const {
    const ProductAxis& depth = product.inner.back();
    const bool is_plain =
        !product.schedule->blocks && product.inner.size() <= kMicroKernelAxes && product.row.a_stride == 1 &&
        product.row.extent.is_static() &&
        std::ranges::all_of(product.outer, [](const ProductAxis& axis) { return axis.a_stride == 0; });
    const int64_t least = std::min({product.row.extent.bound, product.column.extent.bound, depth.extent.bound});
    return is_plain && least >= blocking_.pairs_pay && depth.extent.bound > 1 && product.column.extent != Extent(1) &&
           std::ranges::all_of(product.pairs,
                               [&](const ProductOperands& pair) { return is_bf16(pair.a) && is_bf16(pair.b); });
  }

  const LoopFunction& function_;
  const Blocking& blocking_;
};

}  // namespace

LoopFunction pair_products(LoopFunction function, const Target& target) {
  if (!target.has_bf16_pairs || !function.bf16_products) return function;
  const PairChooser chooser(function, target.blocking);
  for (size_t k = 0; k < function.kernels.size(); ++k) {
    if (function.kernels[k].kind() != KernelKind::Product) continue;
    Product& product = function.kernels[k].product();
    chooser.choose(product, pack_place(function, product, k));
  }
  return function;
}

}  // namespace smelt
