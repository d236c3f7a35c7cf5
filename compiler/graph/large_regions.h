// Regions of large values that can be computed a part of one axis at a time, and the loops that do it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "compiler/graph/cut_axis.h"
#include "compiler/graph/split_large_values.h"

namespace smelt {

/// Large nodes that hang together, and the small ones that are made of them, all with the axis that is cut.
struct Region {
  std::map<uint32_t, AxisCut> cuts;  // by node, in order
  std::set<uint32_t> large;
  std::set<uint32_t> positions;         // nodes that each loop computes for itself, of indices and constants: masks
  std::vector<bool> computed_anywhere;  // by node: made of indices and constants by cheap operations
  Extent extent;                        // of the axis
  int64_t size = 0;                     // of a part; 1 where the number of positions is known at run time

  /// Whether a loop computes parts of `id` along this axis for itself, when it does not get them from outside.
  bool is_part(NodeId id, int32_t axis) const {
    if (!large.contains(id.index) && !positions.contains(id.index)) return false;
    return cuts.at(id.index).result == axis;
  }
};

/// The region around the first product that is much larger than its operands and has an axis that can be cut, if
/// `accepts` it.
std::optional<Region> find_large_region(const Graph& graph, const LargeValues& limits,
                                        const std::function<bool(const Region&)>& accepts);

/// Nodes of a region that one loop computes; those that another loop computes as well come before `own` in it.
struct Group {
  std::vector<uint32_t> own, nodes;
};

/// As few loops as there can be: a node whose operands need what a loop gives, by way of nodes that are not in the
/// region, is in a later one.
std::vector<Group> groups_of(const Graph& graph, const Region& region);

}  // namespace smelt
