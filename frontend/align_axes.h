// Axes of two operands line up by name, and those without one from the right: docs/decisions/0011-alignment.md.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "frontend/shapes.h"

namespace smelt::frontend {

/// How two lists of axes line up: the result's axes and for each operand axis its place in the result.
struct Alignment {
  Axes axes;
  std::vector<int64_t> lhs, rhs;
  std::string problem, help;
  bool ambiguous = false;

  bool has_all(const std::vector<int64_t>& places) const { return places.size() == axes.size(); }
  /// Axes of the operand at `own` that the one at `other` lacks, as positions in the operand.
  static std::vector<size_t> lacking(const std::vector<int64_t>& own, const std::vector<int64_t>& other) {
    std::vector<size_t> list;
    for (size_t i = 0; i < own.size(); ++i)
      if (std::ranges::find(other, own[i]) == other.end()) list.push_back(i);
    return list;
  }
};

/// Where both have all axes the order is that of `a`.
Alignment align_axes(const Shapes& shapes, const Axes& a, const Axes& b);

}  // namespace smelt::frontend
