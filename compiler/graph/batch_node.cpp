#include "compiler/graph/batch_node.h"

#include <numeric>

#include "ir/op.h"
#include "ir/support/check.h"

namespace smelt {
namespace {

using Axes = std::vector<int64_t>;

/// Each axis one further back, behind the new one.
Axes shifted(Axes axes) {
  for (int64_t& axis : axes) ++axis;
  return axes;
}
Axes in_front(int64_t first, const Axes& rest) {
  Axes axes{first};
  axes.insert(axes.end(), rest.begin(), rest.end());
  return axes;
}
TensorType with_axis(const TensorType& type, const Extent& steps) {
  TensorType batched = type;
  batched.shape.insert(batched.shape.begin(), steps);
  return batched;
}

/// The formula with index `at` for the steps, which the operands in `batched` have as their first axis.
IndexFormula with_index(const IndexFormula& formula, int32_t at, const std::vector<bool>& batched) {
  std::vector<Affine> places;
  for (int32_t index = 0; index < formula.num_indices(); ++index)
    places.push_back(Affine::of(index + (index >= at ? 1 : 0)));
  IndexFormula result{formula.rank + (at == 0 ? 1 : 0), {}, formula.extents};
  result.extents.insert(result.extents.begin() + at, unstated());
  for (size_t k = 0; k < formula.operands.size(); ++k) {
    IndexMap& map = result.operands.emplace_back(IndexMap{{}, formula.operands[k].bounded});
    if (batched[k]) map.axes.push_back(Affine::of(at));
    for (const Affine& axis : formula.operands[k].axes) map.axes.push_back(substitute(axis, places));
  }
  return result;
}

Attributes batched_move(const Node& node, const Extent& steps) {
  Attributes attrs = node.attrs;
  switch (node.op) {
    case OpKind::Broadcast:
      attrs.set("axes", in_front(0, shifted(node.attrs.integers("axes"))));
      attrs.set("type", with_axis(node.type, steps));
      break;
    case OpKind::Transpose: attrs.set("permutation", in_front(0, shifted(node.attrs.integers("permutation")))); break;
    case OpKind::Reshape: attrs.set("type", with_axis(node.type, steps)); break;
    case OpKind::Slice:
      attrs.set("starts", in_front(0, node.attrs.integers("starts")));
      attrs.set("limits", in_front(steps.bound, node.attrs.integers("limits")));
      break;
    case OpKind::Pad:
      attrs.set("low", in_front(0, node.attrs.integers("low")));
      attrs.set("high", in_front(0, node.attrs.integers("high")));
      break;
    case OpKind::Read: attrs.set("formula", with_index(node.attrs.formula("formula"), 0, {true})); break;
    default: SMELT_CHECK(false, "`{}` has no form for all steps", op_def(node).name);
  }
  return attrs;
}

}  // namespace

bool can_batch(const Node& node, const std::vector<bool>& batched) {
  switch (op_def(node).kind) {
    case Kind::Elementwise:
    case Kind::Reduce:
    case Kind::Move: return true;
    case Kind::Contract: return node.inputs.size() == 2;
    case Kind::Gather: return !batched[0] && row_axis(node) == 0;
    default: return false;
  }
}

NodeId batch_node(Builder& build, const Node& node, Operands operands, const std::vector<bool>& batched,
                  const Extent& steps) {
  const OpDef& op = op_def(node);
  build.set_place(node);
  if (op.kind == Kind::Elementwise) {
    for (size_t k = 0; k < operands.size(); ++k) {
      if (batched[k]) continue;
      const TensorType type = with_axis(build.type(operands[k]), steps);
      Axes axes(type.rank() - 1);
      std::iota(axes.begin(), axes.end(), int64_t{1});
      operands[k] = build.broadcast(operands[k], type.shape, std::move(axes));
    }
    return build.make(node.op, std::move(operands), node.attrs);
  }
  Attributes attrs = node.attrs;
  if (op.kind == Kind::Reduce) attrs.set("axes", shifted(node.attrs.integers("axes")));
  if (op.kind == Kind::Move) attrs = batched_move(node, steps);
  if (op.kind == Kind::Contract) attrs.set("formula", with_index(node.attrs.formula("formula"), 0, batched));
  return build.make(node.op, std::move(operands), std::move(attrs));
}

NodeId sum_over_steps(Builder& build, const Node& node, const std::vector<NodeId>& operands) {
  build.set_place(node);
  if (op_def(node).kind == Kind::Reduce)
    return build.reduce_sum(operands[0], in_front(0, shifted(node.attrs.integers("axes"))));
  const IndexFormula& formula = node.attrs.formula("formula");
  return build.make(OpKind::Contract, operands,
                    {{"formula", with_index(formula, formula.num_indices(), {true, true})}});
}

}  // namespace smelt
