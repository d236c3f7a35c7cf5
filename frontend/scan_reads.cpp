// What the body of a scan reads: slices at its steps, and how far the numbers of open scans reach.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "frontend/graph_writer.h"
#include "frontend/scan.h"
#include "frontend/shapes.h"
#include "ir/op.h"
#include "ir/rewrite.h"

namespace smelt::frontend {

OpenScan* Scans::scan_of(const Tensor& index) {
  for (OpenScan* scan : open_)
    if (scan->index == index.node && index.graph == graph_.context().id) return scan;
  return nullptr;
}

std::optional<IndexRange> Scans::range_of(NodeId scalar, int depth) const {
  constexpr int kDeepest = 32;
  const Node& node = graph_.builder().graph()[scalar];
  for (const OpenScan* scan : open_)
    if (scan->index == scalar) return IndexRange{0, scan->steps.extent.bound - 1};
  if (node.op == OpKind::Constant) {
    const double value = node.attrs.number("value");
    if (value != std::floor(value) || std::abs(value) > 1e9) return std::nullopt;
    return IndexRange{static_cast<int64_t>(value), static_cast<int64_t>(value)};
  }
  if (node.inputs.empty() || depth > kDeepest) return std::nullopt;
  const std::optional<IndexRange> a = range_of(node.inputs[0], depth + 1),
                                  b = node.inputs.size() == 2 ? range_of(node.inputs[1], depth + 1) : a;
  if (!a || !b) return std::nullopt;
  switch (node.op) {
    case OpKind::Cast: return a;
    case OpKind::Neg: return IndexRange{-a->high, -a->low};
    case OpKind::Add: return IndexRange{a->low + b->low, a->high + b->high};
    case OpKind::Sub: return IndexRange{a->low - b->high, a->high - b->low};
    case OpKind::Max: return IndexRange{std::max(a->low, b->low), std::max(a->high, b->high)};
    case OpKind::Min: return IndexRange{std::min(a->low, b->low), std::min(a->high, b->high)};
    case OpKind::Mul: {
      const std::array ends = {a->low * b->low, a->low * b->high, a->high * b->low, a->high * b->high};
      return IndexRange{*std::ranges::min_element(ends), *std::ranges::max_element(ends)};
    }
    default: return std::nullopt;
  }
}

/// Whether the value differs from step to step, or is drawn in the body.
bool Scans::varies(const OpenScan& scan, NodeId node) const {
  const Graph& graph = graph_.builder().graph();
  std::vector<bool> varying(graph.size(), false);
  for (uint32_t i = scan.begin; i < graph.size(); ++i) {
    const Node& n = graph.nodes[i];
    const auto inside = [&](const auto& operand) { return operand.inside.index == i; };
    varying[i] = i == scan.index.index || std::ranges::any_of(scan.carries, inside) ||
                 std::ranges::any_of(scan.slices, inside) || op_def(n).kind == Kind::Random ||
                 std::ranges::any_of(n.inputs, [&](NodeId input) { return varying[input.index]; });
  }
  return varying[node.index];
}

/// The axis of x that is the scan's dim; when x does not name it, the only axis without a name of that size.
std::optional<size_t> Scans::axis_of_steps(const Tensor& x, const OpenScan& scan, Span span) {
  std::vector<size_t> named, unnamed;
  for (size_t i = 0; i < x.axes.size(); ++i) {
    if (scan.steps.dim != kAnonymous && x.axes[i].dim == scan.steps.dim) named.push_back(i);
    if ((scan.steps.dim == kAnonymous || x.axes[i].dim == kAnonymous) && x.axes[i].extent == scan.steps.extent)
      unnamed.push_back(i);
  }
  const std::vector<size_t>& found = named.empty() ? unnamed : named;
  if (found.size() == 1) return found[0];
  diagnostics_
      .report(Diag::E0403, span,
              fmt::format("`{}` has {} axis `{}`, along which the scan runs", shapes_.type_text(x),
                          found.empty() ? "no" : "more than one", shapes_.sized_text(scan.steps)))
      .with_help(found.empty() ? "read what has no such axis without an index: every step sees the same"
                               : "give one of them another name with `as`");
  return std::nullopt;
}

Value Scans::sliced(const Tensor& x, OpenScan& scan, Span span) {
  const std::optional<size_t> at = axis_of_steps(x, scan, span);
  if (!at) return {};
  if (varies(scan, x.node)) {
    diagnostics_.report(Diag::E0403, span, "a step reads slices of what was computed before the scan")
        .with_help("this value is made in the body, in each step: carry what later steps need");
    return {};
  }
  return Value(slice_along(x, *at, scan, span));
}

std::optional<std::pair<OpenScan*, int64_t>> Scans::step_of(const Tensor& position) {
  if (!position.axes.empty()) return std::nullopt;
  if (OpenScan* const scan = scan_of(position)) return std::pair(scan, int64_t{0});
  const Graph& graph = graph_.builder().graph();
  const Node& node = graph[position.node];
  if (node.op != OpKind::Add && node.op != OpKind::Sub) return std::nullopt;
  const auto step_and = [&](NodeId step, NodeId number, int64_t sign) -> std::optional<std::pair<OpenScan*, int64_t>> {
    Tensor index = position;
    index.node = step;
    OpenScan* const scan = scan_of(index);
    const std::optional<double> distance = splat_value(graph, number);
    if (scan == nullptr || !distance) return std::nullopt;
    return std::pair(scan, sign * static_cast<int64_t>(*distance));
  };
  if (const auto first = step_and(node.inputs[0], node.inputs[1], node.op == OpKind::Sub ? -1 : 1)) return first;
  return node.op == OpKind::Add ? step_and(node.inputs[1], node.inputs[0], 1) : std::nullopt;
}

std::optional<Tensor> Scans::slice_at_step(const Tensor& x, size_t axis, const Tensor& position, Span span) {
  const auto step = step_of(position);
  if (!step || varies(*step->first, x.node)) return std::nullopt;
  const auto& [scan, distance] = *step;
  const Extent steps = scan->steps.extent;
  if (distance == 0 && x.axes[axis].extent == steps) return slice_along(x, axis, *scan, span);
  const Size behind = shapes_.size_of_extent(x.axes[axis].extent) - shapes_.size_of_extent(steps) - Size{{}, distance};
  if (distance < 0 || !(least_of(behind) >= 0)) return std::nullopt;
  IndexFormula part{static_cast<int32_t>(x.axes.size()), {IndexMap{}}, {}};
  Tensor read = x;
  for (size_t i = 0; i < x.axes.size(); ++i) {
    part.operands[0].axes.push_back(Affine::of(static_cast<int32_t>(i)) + (i == axis ? distance : 0));
    part.extents.push_back(i == axis ? steps : unstated());
  }
  read.axes[axis] = scan->steps;
  graph_.builder().set_span(span);
  read.node = graph_.builder().read(x.node, std::move(part));
  return slice_along(read, axis, *scan, span);
}

Tensor Scans::slice_along(const Tensor& x, size_t axis, OpenScan& scan, Span span) {
  std::vector<int64_t> permutation{static_cast<int64_t>(axis)};
  Axes rest;
  for (size_t i = 0; i < x.axes.size(); ++i) {
    if (i == axis) continue;
    permutation.push_back(static_cast<int64_t>(i));
    rest.push_back(x.axes[i]);
  }
  graph_.builder().set_span(span);
  const NodeId front = axis == 0 ? x.node : graph_.builder().transpose(x.node, permutation);
  const NodeId inside = placeholder({x.dtype, shape_of(rest)});
  scan.slices.push_back({front, inside});
  graph_.context().slices.emplace(inside, front);
  Tensor slice = graph_.tensor(inside, std::move(rest));
  slice.label = x.label;
  slice.range = x.range;
  return slice;
}

}  // namespace smelt::frontend
