#include "compiler/graph/kept_positions.h"

#include <algorithm>

namespace smelt {
namespace {

NodeId numbers_like(Builder& build, NodeId scalar, int64_t count) {
  return build.broadcast(scalar, {Extent(count)}, {});
}

}  // namespace

std::vector<int64_t> kept_order(size_t rank, int32_t axis) {
  std::vector<int64_t> order;
  for (int64_t other = 0; other < static_cast<int64_t>(rank); ++other) {
    if (other != axis) order.push_back(other);
  }
  order.insert(order.empty() ? order.end() : order.end() - 1, axis);
  return order;
}

TensorType kept_type(const TensorType& type, int32_t axis, int64_t rows) {
  TensorType kept = type;
  const std::vector<int64_t> order = kept_order(type.rank(), axis);
  for (size_t k = 0; k < order.size(); ++k)
    kept.shape[k] = order[k] == axis ? Extent(rows) : type.shape[static_cast<size_t>(order[k])];
  return kept;
}

NodeId with_row(Builder& build, const KeptPositions& kept, NodeId row, NodeId now) {
  const TensorType type = build.type(kept.carry);
  const std::vector<int64_t> order = kept_order(type.rank(), kept.axis);
  const int64_t place = std::ranges::find(order, kept.axis) - order.begin();
  Shape row_shape;
  std::vector<int64_t> others;
  for (int64_t k = 0; k < static_cast<int64_t>(order.size()); ++k) {
    if (k == place) continue;
    others.push_back(k);
    row_shape.push_back(type.shape[static_cast<size_t>(k)]);
  }
  const NodeId turned = build.reshape(build.transpose(row, order), row_shape);
  const Shape length{Extent(kept.rows)};
  const NodeId here = numbers_like(build, kept.is_ring() ? kept.place : now, kept.rows);
  const NodeId is_here = build.make(OpKind::Eq, {build.index({DType::I32, length}, 0), here});
  const NodeId rows = build.broadcast(turned, type.shape, others),
               at_row = build.broadcast(is_here, type.shape, {place});
  return build.select(at_row, rows, kept.carry);
}

NodeId next_place(Builder& build, const KeptPositions& kept) {
  const NodeId next = build.add(kept.place, build.like(kept.place, 1));
  const NodeId is_end = build.make(OpKind::Eq, {next, build.like(next, static_cast<double>(kept.rows))});
  return build.select(is_end, build.like(next, 0), next);
}

NodeId in_own_order(Builder& build, const KeptPositions& kept, NodeId value) {
  const std::vector<int64_t> order = kept_order(build.type(value).rank(), kept.axis);
  std::vector<int64_t> back(order.size());
  for (size_t k = 0; k < order.size(); ++k) back[static_cast<size_t>(order[k])] = static_cast<int64_t>(k);
  return build.transpose(value, std::move(back));
}

NodeId read_window(Builder& build, NodeId x, int32_t axis, const PositionWindow& window, double outside, NodeId now,
                   NodeId place, int64_t ring) {
  const auto positions = [&](NodeId own) {
    NodeId at = numbers_like(build, own, window.size);
    if (window.size > 1) {
      const NodeId number = build.index({DType::I32, {Extent(window.size)}}, 0);
      at = build.add(at, build.mul(number, build.like(number, static_cast<double>(window.stride))));
    }
    return build.add(at, build.like(at, static_cast<double>(window.first)));
  };
  const NodeId at = positions(now), zero = build.like(at, 0);
  const NodeId is_there = build.make(OpKind::Ge, {at, zero});
  NodeId row = at;
  if (ring != 0) {
    row = positions(place);
    const NodeId around = build.add(row, build.like(row, static_cast<double>(ring)));
    row = build.select(build.make(OpKind::Lt, {row, zero}), around, row);
  } else if (window.first < 0) {
    row = build.make(OpKind::Max, {at, zero});
  }
  NodeId rows = build.make(OpKind::Gather, {in_front(build, x, axis), row});
  if (window.first < 0) {
    const Shape shape = build.type(rows).shape;
    const NodeId beyond = build.like(rows, outside), there = build.broadcast(is_there, shape, {0});
    rows = build.select(there, rows, beyond);
  }
  return back_at(build, rows, axis);
}

NodeId in_front(Builder& build, NodeId x, int32_t axis) {
  std::vector<int64_t> order{axis};
  for (int64_t k = 0; k < static_cast<int64_t>(build.type(x).rank()); ++k) {
    if (k != axis) order.push_back(k);
  }
  return axis == 0 ? x : build.transpose(x, std::move(order));
}

NodeId back_at(Builder& build, NodeId x, int32_t axis) {
  std::vector<int64_t> order;
  for (int64_t k = 1; k < static_cast<int64_t>(build.type(x).rank()); ++k) order.push_back(k);
  order.insert(order.begin() + axis, 0);
  return axis == 0 ? x : build.transpose(x, std::move(order));
}

}  // namespace smelt
