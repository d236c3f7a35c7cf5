// Where memory goes in one plan: which kernels touch a buffer, and what is alive at each of them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "compiler/loops/walk.h"
#include "compiler/unit.h"
#include "ir/graph.h"

namespace smelt {

class Occupancy {
 public:
  explicit Occupancy(const FunctionUnit& plan);

  /// Of the arena.
  static int64_t bytes(const LoopFunction& loops, size_t buffer);

  /// -1: the value has none of its own.
  int32_t buffer_of(NodeId id) const { return buffer_of_[id.index]; }
  const std::vector<int32_t>& touched(int32_t buffer) const { return touched_[static_cast<size_t>(buffer)]; }
  const Lifetime& lifetime(int32_t buffer) const { return lifetimes_[static_cast<size_t>(buffer)]; }
  /// The plan's kernel that kernel k of the loops is, packs for, or is a step of.
  int32_t planned_kernel(int32_t k) const { return planned_[static_cast<size_t>(k)]; }

  int64_t over(int32_t k, int64_t target) const { return std::max<int64_t>(live_[static_cast<size_t>(k)] - target, 0); }
  /// Bytes over the target, added up over the kernels.
  double excess(int64_t target) const;

 private:
  void touch(const LoopFunction& loops, size_t k, int32_t buffer);

  std::vector<Lifetime> lifetimes_;
  std::vector<int64_t> live_;
  std::vector<std::vector<int32_t>> touched_;
  std::vector<int32_t> planned_, buffer_of_;
};

}  // namespace smelt
