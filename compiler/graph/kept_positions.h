// Positions of a value that a loop over a sequence keeps for later steps: all of them, or as many of the last ones as a
// window reads, in a ring.
#pragma once

#include <cstdint>
#include <vector>

#include "compiler/graph/step_needs.h"
#include "ir/builder.h"

namespace smelt {

/// Of a value with `axis` as its positions.
struct KeptPositions {
  NodeId carry;  // argument of the new body
  NodeId place;  // of a ring: the argument that says where the step's position goes; else not valid
  int32_t axis = -1;
  int64_t rows = 0;
  bool is_ring() const { return place.valid(); }
};

/// Positions come before the last of the other axes: so a step writes stretches, and a head of attention reads its keys
/// as they lie.
std::vector<int64_t> kept_order(size_t rank, int32_t axis);
TensorType kept_type(const TensorType& type, int32_t axis, int64_t rows);

/// What is kept after a step, whose position of the value is `row`, of 1 along the axis.
NodeId with_row(Builder& build, const KeptPositions& kept, NodeId row, NodeId now);
/// Where the next step's position goes in a ring.
NodeId next_place(Builder& build, const KeptPositions& kept);
/// What is kept, with the axes in the value's order.
NodeId in_own_order(Builder& build, const KeptPositions& kept, NodeId value);

/// The positions that a window reads, in the place of the whole axis; those before the first one are `outside`. `x` has
/// the axes in its own order, and its position `now` at `place`, in a ring of `ring` rows when that is not 0.
NodeId read_window(Builder& build, NodeId x, int32_t axis, const PositionWindow& window, double outside, NodeId now,
                   NodeId place, int64_t ring);

/// `axis` of x as the first, and the first as `axis`.
NodeId in_front(Builder& build, NodeId x, int32_t axis);
NodeId back_at(Builder& build, NodeId x, int32_t axis);

}  // namespace smelt
