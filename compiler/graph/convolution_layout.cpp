#include "compiler/graph/convolution_layout.h"

#include <algorithm>
#include <cstdlib>

namespace smelt {
namespace {

/// Read at sums of indices, or in steps. A tap that is read backwards alone makes no window.
bool is_windowed(const IndexMap& map) {
  return std::ranges::any_of(map.axes, [](const Affine& axis) {
    return axis.terms.size() > 1 || (axis.terms.size() == 1 && std::abs(axis.terms[0].second) > 1);
  });
}

}  // namespace

ConvolutionLayout::ConvolutionLayout(const IndexFormula& formula, const IndexMap& picture)
    : formula_(formula), picture_(picture), examples_(picture.axes[0].terms[0].first) {
  for (const Affine& axis : picture.axes) {
    if (axis.is_index()) continue;
    for (const auto& [index, factor] : axis.terms) spatial_.insert(index);
  }
}

std::optional<ConvolutionLayout> ConvolutionLayout::of(const IndexFormula& formula) {
  for (const IndexMap& map : formula.operands) {
    if (is_windowed(map) && map.axes[0].is_index()) return ConvolutionLayout(formula, map);
  }
  return std::nullopt;
}

bool ConvolutionLayout::is_shared(int32_t index) const {
  return std::ranges::all_of(formula_.operands, [&](const IndexMap& map) { return map.has(index); });
}

AxisOrder ConvolutionLayout::order_of(const std::vector<Affine>& axes) const {
  const bool has_examples =
      std::ranges::any_of(axes, [&](const Affine& axis) { return axis == Affine::of(examples_); });
  const auto is_spatial = [&](const Affine& axis) {
    return std::ranges::any_of(axis.terms, [&](const auto& term) { return spatial_.contains(term.first); });
  };
  const auto picture = std::ranges::find_if(axes, is_spatial) - axes.begin();
  const auto place = [&](int64_t i) {
    const Affine& axis = axes[static_cast<size_t>(i)];
    if (axis == Affine::of(examples_)) return 0;
    if (i >= picture) return has_examples ? 1 : 5;
    if (has_examples || !axis.is_index()) return 2;
    const int32_t index = axis.terms[0].first;
    if (formula_.is_summed(index)) return 3;
    return is_shared(index) ? 2 : picture_.has(index) ? 4 : 6;
  };
  AxisOrder order = in_order(axes.size());
  std::ranges::stable_sort(order, {}, place);
  return order;
}

}  // namespace smelt
