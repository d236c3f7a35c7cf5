#include "compiler/graph/pad_outside_reads.h"

#include <algorithm>

#include "ir/op.h"
#include "ir/rewrite.h"
#include "ir/support/check.h"

namespace smelt {
namespace {

/// Zeros before and after each axis.
struct Margins {
  std::vector<int64_t> low, high;
};

Margins margins_of(const IndexMap& map, const Shape& shape, std::span<const Extent> extents) {
  const std::vector<int64_t> sizes = bounds_of(extents);
  Margins margins;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    const IndexRange range = range_of(map.axes[axis], sizes);
    margins.low.push_back(std::max<int64_t>(0, -range.low));
    margins.high.push_back(std::max<int64_t>(0, range.high - shape[axis].bound + 1));
  }
  return margins;
}

bool is_zero(const std::vector<int64_t>& sizes) {
  return std::ranges::all_of(sizes, [](int64_t size) { return size == 0; });
}

/// The contraction with padded operands; extents are stated where a padded axis no longer says them.
NodeId padded(Builder& build, const Node& node, std::vector<NodeId> inputs) {
  IndexFormula formula = node.attrs.formula("formula");
  const Shape shapes[] = {build.type(inputs[0]).shape, build.type(inputs[1]).shape};
  const Result<Shape> extents = extents_of(formula, shapes);
  SMELT_CHECK(extents.has_value(), "{}", extents.error().message);
  for (size_t side = 0; side < 2; ++side) {
    IndexMap& map = formula.operands[side];
    if (!map.bounded) continue;
    map.bounded = false;
    const Margins margins = margins_of(map, shapes[side], *extents);
    if (is_zero(margins.low) && is_zero(margins.high)) continue;
    for (size_t axis = 0; axis < map.axes.size(); ++axis) map.axes[axis].constant += margins.low[axis];
    for (size_t k = side; k < inputs.size(); k += 2)
      inputs[k] = build.make(OpKind::Pad, {inputs[k]}, {{"low", margins.low}, {"high", margins.high}});
  }
  formula.extents = *extents;
  return build.make(OpKind::Contract, std::move(inputs), {{"formula", std::move(formula)}});
}

}  // namespace

NodeId without_outside_reads(Builder& build, const Node& node) {
  return padded(build, node, {node.inputs.begin(), node.inputs.end()});
}

Graph pad_outside_reads(Graph graph) {
  GraphRebuilder rebuilder(graph);
  for (uint32_t i = 0; i < graph.size(); ++i) {
    const Node& node = graph.nodes[i];
    const bool leaves =
        node.op == OpKind::Contract && std::ranges::any_of(node.attrs.formula("formula").operands, &IndexMap::bounded);
    if (!leaves) {
      rebuilder.copy({i});
      continue;
    }
    rebuilder.build().set_place(node);
    rebuilder.replace({i}, padded(rebuilder.build(), node, rebuilder.map(node.inputs)));
  }
  return rebuilder.finish();
}

}  // namespace smelt
