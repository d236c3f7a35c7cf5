// Which axes of operands and result belong together when a node is computed a part of one axis at a time.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <vector>

#include "ir/builder.h"

namespace smelt {

/// One axis of a node's iteration: where its result and its operands have it; -1: they do not. Without one in the
/// result the node is a sum over it, so that parts add up.
struct AxisCut {
  int32_t result = -1;
  std::vector<int32_t> operands;
};

/// The cut that has axis `axis` of the result, or of operand `k`; nullopt when a part of the node cannot be computed
/// from parts of its operands. `any_fold`: also where parts of the result do not add up, as those of a maximum.
std::optional<AxisCut> cut_of_result(const Graph& graph, const Node& node, int32_t axis);
std::optional<AxisCut> cut_of_operand(const Graph& graph, const Node& node, size_t k, int32_t axis,
                                      bool any_fold = false);

/// An axis, and the number of its positions in a part.
struct PartOf {
  const AxisCut& cut;
  int64_t size;
};
/// The node for a part, of operands that are such parts.
NodeId make_part_of(Builder& build, const Node& node, Operands operands, std::initializer_list<PartOf> parts);

}  // namespace smelt
