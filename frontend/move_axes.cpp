// `x?[n, t - 1]` along an axis whose size shows at run time. Where it ends is known at run time too, so positions are
// computed and rows gathered; index maps of the compiler compare with bounds.
#include <algorithm>
#include <numeric>

#include "frontend/formula.h"
#include "frontend/graph_writer.h"
#include "frontend/scopes.h"

namespace smelt::frontend {

/// Whether an axis of a run-time size is read at an index that runs over all of it, plus a number.
bool Formulas::is_moved(const FormulaRead& read, size_t axis) const {
  const Affine& position = read.axes[axis];
  const Extent& extent = read.base.axes[axis].extent;
  if (extent.is_static() || position.constant == 0 || position.terms.size() != 1 || position.terms[0].second != 1)
    return false;
  return scopes_.frame().indices[static_cast<size_t>(position.terms[0].first)].axis.extent == extent;
}

/// Those of a `max`, `min` or `prod` stay: what lies outside is not counted there.
void Formulas::move_run_time_axes(FormulaRead& read, Span span) {
  if (!read.bounded || scopes_.frame().inside != nullptr) return;
  for (size_t axis = 0; axis < read.axes.size(); ++axis) {
    if (!is_moved(read, axis)) continue;
    read.base = moved(read.base, axis, read.axes[axis].constant, span);
    read.axes[axis] = Affine::of(read.axes[axis].terms[0].first);
  }
}

/// x at positions that are `by` larger along an axis, and 0 outside.
Tensor Formulas::moved(const Tensor& x, size_t axis, int64_t by, Span span) {
  Builder& graph = graph_.builder();
  graph.set_span(span);
  const Extent& extent = x.axes[axis].extent;
  const TensorType places{DType::I32, {extent}};
  const NodeId size = graph.count(x.node, std::vector{static_cast<int64_t>(axis)}, DType::I32);
  const NodeId last = graph.sub(graph.broadcast(size, places.shape, {}), graph.constant(1, places));
  const NodeId at = graph.add(graph.index(places, 0), graph.constant(static_cast<double>(by), places));
  const NodeId first = graph.constant(0, places);
  const NodeId inside = by < 0 ? graph.make(OpKind::Ge, {at, first}) : graph.make(OpKind::Le, {at, last});
  const NodeId kept = by < 0 ? graph.make(OpKind::Max, {at, first}) : graph.make(OpKind::Min, {at, last});
  std::vector<int64_t> to_front{static_cast<int64_t>(axis)}, back(x.axes.size());
  for (size_t i = 0; i < x.axes.size(); ++i)
    if (i != axis) to_front.push_back(static_cast<int64_t>(i));
  for (size_t i = 0; i < to_front.size(); ++i) back[static_cast<size_t>(to_front[i])] = static_cast<int64_t>(i);
  const auto turned = [&](NodeId id, const std::vector<int64_t>& axes) {
    return axis == 0 ? id : graph.transpose(id, axes);
  };
  const NodeId rows = turned(graph.make(OpKind::Gather, {turned(x.node, to_front), kept}), back);
  const Shape shape = graph.type(x.node).shape;
  Tensor result = x;
  result.node = graph.select(graph.broadcast(inside, shape, {static_cast<int64_t>(axis)}), rows, graph.like(rows, 0));
  result.range.reset();
  result.column = -1;
  return result;
}

}  // namespace smelt::frontend
