#include "ir/ops/place_axis.h"

#include <algorithm>
#include <utility>

namespace smelt {
namespace {

/// Axes `axis` and the next one as one.
NodeId joined(Builder& build, NodeId x, size_t axis) {
  Shape shape = build.type(x).shape;
  shape[axis] = Extent(shape[axis].bound * shape[axis + 1].bound);
  shape.erase(shape.begin() + static_cast<std::ptrdiff_t>(axis) + 1);
  return build.reshape(x, shape);
}

NodeId sliced(Builder& build, NodeId x, size_t axis, int64_t from, int64_t to) {
  const Shape& shape = build.type(x).shape;
  if (from == 0 && to == shape[axis].bound) return x;
  std::vector<int64_t> starts(shape.size(), 0), limits = bounds_of(shape);
  starts[axis] = from;
  limits[axis] = to;
  return build.make(OpKind::Slice, {x}, {{"starts", std::move(starts)}, {"limits", std::move(limits)}});
}

NodeId at_phase(Builder& build, NodeId x, size_t axis, int64_t phase) {
  Shape shape = build.type(x).shape;
  const NodeId one = sliced(build, x, axis, phase, phase + 1);
  shape.erase(shape.begin() + static_cast<std::ptrdiff_t>(axis));
  return build.reshape(one, shape);
}

/// Element q goes to start + q; what falls outside of 0 .. extent - 1 is dropped.
NodeId shifted(Builder& build, NodeId x, size_t axis, int64_t start, int64_t extent) {
  const int64_t count = build.type(x).shape[axis].bound;
  const int64_t from = std::clamp<int64_t>(-start, 0, count), to = std::clamp<int64_t>(extent - start, from, count);
  if (from == to) {
    Shape shape = build.type(x).shape;
    shape[axis] = Extent(extent);
    return build.constant(0, {build.type(x).dtype, shape});
  }
  return padded(build, sliced(build, x, axis, from, to), axis, start + from, extent - start - to);
}

/// Position q goes to start + step * q.
NodeId spread(Builder& build, NodeId x, size_t axis, int64_t start, int64_t step, int64_t extent) {
  Shape shape = build.type(x).shape;
  const int64_t count = shape[axis].bound;
  if (step < 0) {
    IndexFormula reversed{static_cast<int32_t>(shape.size()), {IndexMap{}}, shape};
    for (int32_t i = 0; i < reversed.rank; ++i) reversed.operands[0].axes.push_back(Affine::of(i));
    reversed.operands[0].axes[axis] = Affine{count - 1, {{static_cast<int32_t>(axis), -1}}};
    return spread(build, build.read(x, std::move(reversed)), axis, start + step * (count - 1), -step, extent);
  }
  if (step == 1) return shifted(build, x, axis, start, extent);
  shape.insert(shape.begin() + static_cast<std::ptrdiff_t>(axis) + 1, Extent(1));
  return shifted(build, joined(build, padded(build, build.reshape(x, shape), axis + 1, 0, step - 1), axis), axis, start,
                 extent);
}

}  // namespace

NodeId padded(Builder& build, NodeId x, size_t axis, int64_t before, int64_t after) {
  if (before == 0 && after == 0) return x;
  std::vector<int64_t> low(build.type(x).rank(), 0), high = low;
  low[axis] = before;
  high[axis] = after;
  return build.make(OpKind::Pad, {x}, {{"low", std::move(low)}, {"high", std::move(high)}});
}

NodeId placed(Builder& build, NodeId x, const Placement& placement, int64_t extent) {
  const auto axis = static_cast<size_t>(placement.axis);
  if (!placement.has_position) {
    Shape shape = build.type(x).shape;
    shape.insert(shape.begin() + placement.axis, Extent(1));
    return shifted(build, build.reshape(x, shape), axis, placement.start, extent);
  }
  const bool side_by_side = placement.phase_factors.size() == 1 && placement.phase_factors[0] == 1 &&
                            build.type(x).shape[axis + 1].bound == placement.step;
  if (placement.phase_factors.empty()) return spread(build, x, axis, placement.start, placement.step, extent);
  if (side_by_side) return shifted(build, joined(build, x, axis), axis, placement.start, extent);
  const int64_t factor = placement.phase_factors.back();
  const size_t phase_axis = axis + placement.phase_factors.size();
  NodeId sum;
  for (int64_t phase = 0; phase < build.type(x).shape[phase_axis].bound; ++phase) {
    Placement rest = placement;
    rest.phase_factors.pop_back();
    rest.start += factor * phase;
    const NodeId part = placed(build, at_phase(build, x, phase_axis, phase), rest, extent);
    sum = sum.valid() ? build.add(sum, part) : part;
  }
  return sum;
}

}  // namespace smelt
