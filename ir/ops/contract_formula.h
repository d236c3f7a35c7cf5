// The formula of a contraction: `[b,k] [k,o] -> [b,o]`, index names of the two operands and of the result.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ir/support/result.h"

namespace smelt {

/// result[out] = sum over the indices in both operands and not in `out` of a[lhs] * b[rhs].
struct ContractFormula {
  std::vector<std::string> lhs;
  std::vector<std::string> rhs;
  std::vector<std::string> out;

  /// Indices of both operands that the result lacks, in the order of the left operand.
  std::vector<std::string> summed() const;
  friend bool operator==(const ContractFormula&, const ContractFormula&) = default;
};

/// Errors: bad syntax; an index twice in one list; an index of the result that no operand has; an index of
/// one operand alone that the result lacks (reduce_sum it first).
Result<ContractFormula> parse_formula(std::string_view text);
std::string to_string(const ContractFormula& formula);

/// The position of `name` in `indices`, or -1.
int position_of(const std::vector<std::string>& indices, std::string_view name);

}  // namespace smelt
