#include "compiler/graph/step_rows.h"

#include <algorithm>
#include <map>
#include <optional>

#include "compiler/graph/cut_axis.h"
#include "compiler/graph/sequence_loop.h"
#include "ir/op.h"
#include "ir/scan.h"

namespace smelt {
namespace {

const RowPlace kMixedRows{.axis = -1, .also = -1, .mixed = true, .equal = {}};
RowPlace rows_along(int32_t axis) { return {.axis = axis, .also = -1, .mixed = false, .equal = {}}; }

/// The cut of a contraction along an index: what it reads outside along others is the same in every row.
std::optional<AxisCut> cut_of_formula(const IndexFormula& formula, int32_t index) {
  AxisCut cut{.result = formula.is_summed(index) ? -1 : index, .operands = {}};
  for (const IndexMap& map : formula.operands) {
    cut.operands.push_back(map.plain_axis_of(index));
    for (size_t axis = 0; axis < map.axes.size(); ++axis) {
      if (static_cast<int32_t>(axis) != cut.operands.back() && map.axes[axis].coefficient(index) != 0)
        return std::nullopt;
    }
  }
  return cut;
}

class RowFinder {
 public:
  RowFinder(const Graph& body, const std::vector<RowPlace>& given) : body_(body), places_(given) {
    places_.resize(body.size());
  }

  std::vector<RowPlace> run() {
    for (uint32_t i = 0; i < body_.size(); ++i) {
      if (body_.nodes[i].op != OpKind::Argument) places_[i] = of({i});
    }
    return std::move(places_);
  }

 private:
  const RowPlace& operand(const Node& node, size_t k) const { return places_[node.inputs[k].index]; }

  RowPlace of(NodeId id) {
    const Node& node = body_[id];
    if (node.op == OpKind::Scan) {
      results_[id.index] = results_of(node);
      return {};
    }
    if (node.op == OpKind::Part)
      return results_.at(node.inputs[0].index)[static_cast<size_t>(node.attrs.integer("result"))];
    for (size_t k = 0; k < node.inputs.size(); ++k) {
      if (operand(node, k).mixed) return kMixedRows;
    }
    for (size_t k = 0; k < node.inputs.size(); ++k) {
      if (operand(node, k).axis >= 0) return node.op == OpKind::Gather ? of_gather(node) : with_rows(node, k);
    }
    return without_rows(node);
  }

  /// A row of labels looks its values up; or every row has a table of its own: with the same labels for all it gives
  /// rows, with labels of their own the table of each row at the labels of each row, `x[n, near[n, t]]` before n is n.
  RowPlace of_gather(const Node& node) const {
    const RowPlace &table = operand(node, 0), &labels = operand(node, 1);
    if (table.axis == 0 || table.also >= 0 || labels.also >= 0) return kMixedRows;
    const auto rank = static_cast<int32_t>(body_.type(node.inputs[1]).rank());
    RowPlace place = rows_along(table.axis < 0 ? labels.axis : table.axis - 1 + rank);
    if (table.axis >= 0 && labels.axis >= 0) place.also = labels.axis;
    if (table.axis >= 0 || table.equal.empty()) return place;
    place.equal.assign(static_cast<size_t>(rank), false);
    place.equal.insert(place.equal.end(), table.equal.begin() + 1, table.equal.end());
    return place;
  }

  /// `x[n, n]`: the result has its rows along n where everything else that is read at n has them too, or is equal.
  std::optional<RowPlace> of_diagonal(const Node& node, const RowPlace& rows) const {
    if (node.op != OpKind::Read) return std::nullopt;
    const IndexMap& map = node.attrs.formula("formula").operands[0];
    const Affine& read = map.axes[static_cast<size_t>(rows.axis)];
    if (!read.is_index()) return std::nullopt;
    const int32_t index = read.terms[0].first;
    int32_t others = 0;
    for (int32_t axis = 0; axis < static_cast<int32_t>(map.axes.size()); ++axis) {
      const Affine& at = map.axes[static_cast<size_t>(axis)];
      if (axis == rows.axis || at.coefficient(index) == 0) continue;
      const bool is_row = axis == rows.also && at.is_index();
      if (!is_row && !rows.is_equal(axis)) return std::nullopt;
      ++others;
    }
    const bool all = rows.also < 0 || map.axes[static_cast<size_t>(rows.also)] == read;
    return all && others > 0 ? std::optional(rows_along(index)) : std::nullopt;
  }

  RowPlace with_rows(const Node& node, size_t k) const {
    const int32_t axis = operand(node, k).axis;
    if (const std::optional<RowPlace> diagonal = of_diagonal(node, operand(node, k))) return *diagonal;
    if (std::ranges::any_of(node.inputs, [&](NodeId input) { return places_[input.index].also >= 0; }))
      return kMixedRows;
    std::optional<AxisCut> cut;
    if (op_def(node).kind == Kind::Contract) {
      if (node.inputs.size() != 2) return kMixedRows;  // a sum of products has more than the formula
      const IndexFormula& formula = node.attrs.formula("formula");
      const Affine& read = formula.operands[k].axes[static_cast<size_t>(axis)];
      if (read.is_index()) cut = cut_of_formula(formula, read.terms[0].first);
    } else {
      cut = cut_of_operand(body_, node, k, axis);
    }
    if (!cut || cut->result < 0) return kMixedRows;
    const bool all = node.type.shape[static_cast<size_t>(cut->result)] ==
                     body_.type(node.inputs[k]).shape[static_cast<size_t>(axis)];
    if (!all) return kMixedRows;
    for (size_t other = 0; other < node.inputs.size(); ++other) {
      const RowPlace& place = operand(node, other);
      const int32_t along = cut->operands[other];
      const bool own = place.axis >= 0 ? place.axis == along : along < 0 || place.is_equal(along);
      if (!own) return kMixedRows;
    }
    return rows_along(cut->result);
  }

  RowPlace without_rows(const Node& node) const {
    RowPlace place;
    for (int32_t axis = 0; axis < static_cast<int32_t>(node.type.rank()); ++axis)
      place.equal.push_back(is_equal_along(node, axis));
    return place;
  }

  bool is_equal_along(const Node& node, int32_t axis) const {
    if (node.op == OpKind::Index) return node.attrs.integer("axis") != axis;
    const std::optional<AxisCut> cut = op_def(node).kind == Kind::Contract
                                           ? cut_of_formula(node.attrs.formula("formula"), axis)
                                           : cut_of_result(body_, node, axis);
    if (!cut || op_def(node).kind == Kind::Random) return false;
    for (size_t k = 0; k < cut->operands.size(); ++k) {
      if (cut->operands[k] >= 0 && !operand(node, k).is_equal(cut->operands[k])) return false;
    }
    return true;
  }

  /// By result of the body, as the graph around sees it.
  std::vector<RowPlace> results_of(const Node& scan) const {
    const Graph& inner = *scan.body;
    const std::vector<RowPlace> carries = rows_of_carries(body_, scan, places_);
    const std::vector<RowPlace> inside = find_rows(inner, arguments_of(scan, carries));
    std::vector<RowPlace> results;
    for (const Output& result : inner.results) {
      RowPlace place = inside[result.node.index];
      if (result.role == ResultRole::Carry) {
        place = carries[static_cast<size_t>(result.ref)];
      } else if (place.also >= 0) {
        place = kMixedRows;
      } else if (place.axis >= 0) {
        place = rows_along(place.axis + 1);  // the steps are in front
      } else {
        place.equal.clear();
      }
      results.push_back(place);
    }
    return results;
  }

 public:
  std::vector<RowPlace> arguments_of(const Node& scan, const std::vector<RowPlace>& carries) const {
    const Graph& inner = *scan.body;
    std::vector<RowPlace> given(inner.size());
    for (size_t k = 0; k < scan.inputs.size(); ++k) {
      RowPlace place = operand(scan, k);
      const Argument& argument = inner.arguments[k];
      if (argument.role == ArgRole::Carry) place = carries[static_cast<size_t>(argument.ref)];
      if (argument.role == ArgRole::Slice) {
        if (place.axis == 0 || place.also >= 0) place = kMixedRows;  // a row a step
        if (place.axis > 0) --place.axis;
        if (!place.equal.empty()) place.equal.erase(place.equal.begin());
      }
      given[argument.node.index] = place;
    }
    return given;
  }

 private:
  const Graph& body_;
  std::vector<RowPlace> places_;
  std::map<uint32_t, std::vector<RowPlace>> results_;  // of each loop
};

/// What a carry is in all steps, when a step finds `before` and leaves `after`.
RowPlace in_all_steps(const RowPlace& before, const RowPlace& after) {
  if (before.mixed || after.mixed || before.also >= 0 || after.also >= 0) return kMixedRows;
  if (before.axis >= 0 && after.axis >= 0) return before.axis == after.axis ? rows_along(before.axis) : kMixedRows;
  if (before.axis >= 0) return after.is_equal(before.axis) ? before : kMixedRows;
  if (after.axis >= 0) return before.is_equal(after.axis) ? after : kMixedRows;
  RowPlace both = before;
  for (size_t axis = 0; axis < both.equal.size(); ++axis)
    both.equal[axis] = both.equal[axis] && after.is_equal(static_cast<int32_t>(axis));
  return both;
}

}  // namespace

std::vector<RowPlace> find_rows(const Graph& body, const std::vector<RowPlace>& given) {
  return RowFinder(body, given).run();
}

std::vector<RowPlace> rows_of_carries(const Graph& body, const Node& scan, const std::vector<RowPlace>& places) {
  const Graph& inner = *scan.body;
  std::vector<RowPlace> carries(static_cast<size_t>(num_carries(inner)));
  for (int32_t ref = 0; ref < num_carries(inner); ++ref)
    carries[static_cast<size_t>(ref)] = places[scan.inputs[carry_argument(inner, ref)].index];
  // Each turn makes at least one carry mixed, one have rows, or one have fewer equal axes.
  for (std::vector<RowPlace> before; before != carries;) {
    before = carries;
    const std::vector<RowPlace> inside = find_rows(inner, RowFinder(body, places).arguments_of(scan, carries));
    for (int32_t ref = 0; ref < num_carries(inner); ++ref) {
      const RowPlace& after = inside[inner.results[carry_result(inner, ref)].node.index];
      carries[static_cast<size_t>(ref)] = in_all_steps(before[static_cast<size_t>(ref)], after);
    }
  }
  return carries;
}

}  // namespace smelt
