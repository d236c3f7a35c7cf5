// The formula of a contraction: `[b,k] [k,o] -> [b,o]`, index names of the two operands and of the result.
//
// An axis of the left operand may be a window: `[n,i+u,c] [u,c,o] -> [n,i,o]` is a convolution, `[n,i-u,o] [u,c,o] ->
// [n,i,c]` one with the taps reversed. Convolutions, their two adjoints and the adjoints of those have this form: a
// strided one after its input's axis is split into [extent / stride, stride].
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ir/support/result.h"

namespace smelt {

/// An axis of extent I + U - 1 that two indices of extents I (base) and U (tap) run over: `i+u` is position i + u, and
/// `i-u`, reversed, position i - u + U - 1.
struct Window {
  std::string base, tap;
  bool reversed = false;
};
std::optional<Window> window_of(std::string_view axis);

/// The indices of axes: a window's two stand in its place.
std::vector<std::string> indices_of(const std::vector<std::string>& axes);

/// Elements of an operand between neighbours along index `name`; 0: it has no such index. `strides` are those of its
/// axes.
int64_t stride_of(const std::vector<std::string>& axes, const std::vector<int64_t>& strides, std::string_view name);
/// The element at which all indices are 0: reversed windows begin at their last tap.
int64_t window_start(const std::vector<std::string>& axes, const std::vector<int64_t>& strides,
                     const std::function<int64_t(const std::string&)>& extent_of_tap);

/// result[out] = sum over the indices in both operands and not in `out` of a[lhs] * b[rhs].
struct ContractFormula {
  std::vector<std::string> lhs;
  std::vector<std::string> rhs;
  std::vector<std::string> out;

  /// Indices of both operands that the result lacks, in the order of the left operand.
  std::vector<std::string> summed() const;
  bool has_windows() const;
  friend bool operator==(const ContractFormula&, const ContractFormula&) = default;
};

/// Errors: bad syntax; an index twice in one list; an index of the result that no operand has; an index of
/// one operand alone that the result lacks (reduce_sum it first); a window that is not the left operand's, or whose two
/// indices are not one the right operand's and one the result's.
Result<ContractFormula> parse_formula(std::string_view text);
std::string to_string(const ContractFormula& formula);

/// The position of `name` in `indices`, or -1.
int position_of(const std::vector<std::string>& indices, std::string_view name);

}  // namespace smelt
