#include "compiler/graph/choose_sum_forms.h"

#include <algorithm>
#include <array>

#include "ir/ops/contract_formula.h"
#include "ir/support/check.h"

namespace smelt {
namespace {

using Names = std::vector<std::string>;

/// One operand of a contraction without its axes of size 1.
struct Side {
  Names names;
  Shape shape;
  NodeId node;

  Side(Builder& build, NodeId operand, const Names& all) : node(operand) {
    const Shape& full = build.type(operand).shape;
    for (size_t axis = 0; axis < all.size(); ++axis) {
      if (full[axis] == Extent(1)) continue;
      names.push_back(all[axis]);
      shape.push_back(full[axis]);
    }
    if (names.size() != all.size()) node = build.reshape(operand, shape);
  }
  bool has(const std::string& name) const { return position_of(names, name) >= 0; }
  bool covers(const Names& wanted) const {
    return std::ranges::all_of(wanted, [&](const std::string& name) { return has(name); });
  }
};

NodeId spread(Builder& build, const Side& side, const Names& names, const Shape& shape) {
  std::vector<int64_t> axes;
  for (const std::string& name : side.names) axes.push_back(position_of(names, name));
  return build.broadcast(side.node, shape, std::move(axes));
}

Names without_ones(const Names& names, const Shape& shape) {
  Names kept;
  for (size_t axis = 0; axis < names.size(); ++axis) {
    if (shape[axis] != Extent(1)) kept.push_back(names[axis]);
  }
  return kept;
}

NodeId narrow_contraction(Match& m) {
  if (m.node().inputs.size() != 2) return kNoMatch;
  const Result<ContractFormula> formula = parse_formula(m.attrs().text("formula"));
  SMELT_CHECK(formula.has_value(), "{}", m.attrs().text("formula"));
  if (formula->has_windows()) return kNoMatch;
  Builder& build = m.build();
  const Names out = without_ones(formula->out, m.type().shape);
  const Names left = without_ones(formula->lhs, build.type(m.in(0)).shape);
  const Names right = without_ones(formula->rhs, build.type(m.in(1)).shape);
  const auto covers = [](const Names& all, const Names& wanted) {
    return std::ranges::all_of(wanted, [&](const std::string& name) { return position_of(all, name) >= 0; });
  };
  const bool sums = std::ranges::any_of(left, [&](const std::string& name) { return position_of(out, name) < 0; });
  if (!covers(left, right) && !covers(right, left) && sums) return kNoMatch;

  const Side a(build, m.in(0), formula->lhs), b(build, m.in(1), formula->rhs);
  // The order of the operand that has all axes, so that its elements are read as they lie.
  const Side& whole = a.covers(b.names) ? a : b;
  Names names = sums ? whole.names : out;
  Shape shape;
  for (const std::string& name : names) {
    const Side& side = a.has(name) ? a : b;
    shape.push_back(side.shape[static_cast<size_t>(position_of(side.names, name))]);
  }
  NodeId result = build.mul(spread(build, a, names, shape), spread(build, b, names, shape));
  if (sums) {
    std::vector<int64_t> axes;
    Names kept;
    for (size_t axis = 0; axis < names.size(); ++axis) {
      if (position_of(out, names[axis]) < 0) {
        axes.push_back(static_cast<int64_t>(axis));
      } else {
        kept.push_back(names[axis]);
      }
    }
    result = build.reduce_sum(result, axes);
    std::vector<int64_t> permutation;
    for (const std::string& name : out) permutation.push_back(position_of(kept, name));
    result = build.transpose(result, std::move(permutation));
  }
  return build.reshape(result, m.type().shape);
}

NodeId staged(Match& m) {
  const size_t rank = m.operand(0).type.rank();
  if (rank < 2 || m.attrs().integers("axes").size() != rank) return kNoMatch;
  std::vector<int64_t> rest;
  for (size_t axis = 0; axis + 1 < rank; ++axis) rest.push_back(static_cast<int64_t>(axis));
  const NodeId rows =
      m.build().make(m.node().op, {m.in(0)}, {{"axes", std::vector<int64_t>{static_cast<int64_t>(rank) - 1}}});
  return m.build().make(m.node().op, {rows}, {{"axes", rest}});
}

constexpr std::array kRules = {
    Rule{"narrow_contraction",
         "contract(a, b) -> reduce_sum(a * b) when one operand has all axes longer than 1, or none is summed",
         OpKind::Contract, narrow_contraction},
    Rule{"staged_sum", "reduce_sum(x, all axes) -> reduce_sum(reduce_sum(x, last axis), the others)", OpKind::ReduceSum,
         staged},
    Rule{"staged_max", "reduce_max(x, all axes) -> reduce_max(reduce_max(x, last axis), the others)", OpKind::ReduceMax,
         staged},
    Rule{"staged_min", "reduce_min(x, all axes) -> reduce_min(reduce_min(x, last axis), the others)", OpKind::ReduceMin,
         staged},
};

}  // namespace

std::span<const Rule> sum_form_rules() { return kRules; }

Graph choose_sum_forms(Graph graph) { return rewrite(std::move(graph), kRules); }

}  // namespace smelt
