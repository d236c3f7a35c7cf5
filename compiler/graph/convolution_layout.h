// The layouts of a convolution: in which order its operands' and its result's axes lie in memory.
#pragma once

#include <optional>
#include <set>
#include <vector>

#include "compiler/graph/axis_order.h"
#include "ir/index_formula.h"

namespace smelt {

/// What a convolution's indices stand for, seen from the operand that is read in windows.
class ConvolutionLayout {
 public:
  /// Nothing when no operand is read in windows. The formula has to outlive the result.
  static std::optional<ConvolutionLayout> of(const IndexFormula& formula);

  /// Of a value that is read at these, or is the result. Examples first, and channels, which the model has in front of
  /// the picture, last. Weights have no examples: results last, and in front of them channels and window as the model
  /// has them, so that an optimiser's update of a gradient exchanges two axes and no more.
  AxisOrder order_of(const std::vector<Affine>& axes) const;

 private:
  ConvolutionLayout(const IndexFormula& formula, const IndexMap& picture);
  bool is_shared(int32_t index) const;

  const IndexFormula& formula_;
  const IndexMap& picture_;  // that is read in windows
  int32_t examples_;
  std::set<int32_t> spatial_;
};

}  // namespace smelt
