// Lays axes of a tensor out along one longer axis, with zeros where none of them is.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/builder.h"

namespace smelt {

/// How the result's axes become an axis of x: position = start + step * q + sum of factor * r.
struct Placement {
  int32_t axis = -1;  // of the result: q, or the first phase when there is no q
  bool direct = false;
  bool has_position = true;  // there is a q
  int64_t start = 0, step = 1;
  std::vector<int64_t> phase_factors;  // the axes after q
};

/// `x` with the axes of `placement` laid out along one axis of `extent`; elsewhere 0.
NodeId placed(Builder& build, NodeId x, const Placement& placement, int64_t extent);
/// `x` with so many zeros before and after axis `axis`.
NodeId padded(Builder& build, NodeId x, size_t axis, int64_t before, int64_t after);

}  // namespace smelt
