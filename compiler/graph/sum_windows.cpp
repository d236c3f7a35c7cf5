#include "compiler/graph/sum_windows.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <optional>
#include <vector>

#include "compiler/graph/pad_outside_reads.h"
#include "ir/index_formula.h"
#include "ir/op.h"
#include "ir/rewrite.h"

namespace smelt {
namespace {

/// How many indices that are longer than 1 the map has.
size_t count_long(const IndexMap& map, const Shape& extents) {
  std::vector<bool> found(extents.size());
  for (const Affine& axis : map.axes) {
    for (const auto& [index, factor] : axis.terms)
      found[static_cast<size_t>(index)] = extents[static_cast<size_t>(index)] != Extent(1);
  }
  return static_cast<size_t>(std::ranges::count(found, true));
}

/// Each axis at an index of its own, `[c, u, v]`: no windows, and no diagonal.
bool reads_indices(const IndexMap& map) {
  for (size_t axis = 0; axis < map.axes.size(); ++axis) {
    if (!map.axes[axis].is_index() || std::ranges::count(map.axes, map.axes[axis]) > 1) return false;
  }
  return true;
}

/// Of a map of bare indices: whether each of them runs over all of its axis.
bool reads_whole(const IndexMap& map, const Shape& shape, const Shape& extents) {
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    if (extents[static_cast<size_t>(map.axes[axis].terms[0].first)] != shape[axis]) return false;
  }
  return true;
}

/// Whether an index of the result that is longer than 1 is one of the map's.
bool has_kept(const IndexFormula& formula, const IndexMap& map, const Shape& extents) {
  return std::ranges::any_of(map.axes, [&](const Affine& axis) {
    const int32_t index = axis.terms[0].first;
    return !formula.is_summed(index) && extents[static_cast<size_t>(index)] != Extent(1);
  });
}

/// The operand that is read at all indices, in windows, where the other one is read at some: `x[n, c, i + u, j + v] *
/// w[c, u, v]` and what its gradients are. No index is the other's alone, and some are both's and the result's: there
/// is no matrix to multiply with.
std::optional<size_t> side_of_all(const IndexFormula& formula, const Shape& extents) {
  const auto all = static_cast<size_t>(std::ranges::count_if(extents, [](const Extent& e) { return e != Extent(1); }));
  for (const size_t side : {0, 1}) {
    const IndexMap &whole = formula.operands[side], &other = formula.operands[1 - side];
    if (reads_indices(whole) || !reads_indices(other) || count_long(whole, extents) != all) continue;
    if (has_kept(formula, other, extents)) return side;
  }
  return std::nullopt;
}

// Fewer neighbours than these fill no vector: 16 channels in the place of 512 terms take 0.7 ms where those took 4.3,
// in the kernel of a state space model of 4 x 512 x 16 (`smelt bench` on AVX-512, November 2026).
constexpr int64_t kSideBySide = 8;

/// The index of the result with which the last axis of the windows goes on, else the result's last index.
int32_t index_of_neighbours(const IndexFormula& formula, const IndexMap& windows, const Shape& extents) {
  for (const auto& [index, factor] : windows.axes.back().terms) {
    if (factor == 1 && !formula.is_summed(index) && extents[static_cast<size_t>(index)].bound >= kSideBySide)
      return index;
  }
  return formula.rank - 1;
}

/// The numbers of all indices where `last` is the last one of the result.
std::vector<int32_t> numbers_with_last(const IndexFormula& formula, int32_t last) {
  std::vector<int32_t> numbers(static_cast<size_t>(formula.num_indices()));
  std::iota(numbers.begin(), numbers.end(), 0);
  for (int32_t index = last + 1; index < formula.rank; ++index) --numbers[static_cast<size_t>(index)];
  numbers[static_cast<size_t>(last)] = formula.rank - 1;
  return numbers;
}

NodeId windowed_sum(Match& m) {
  const IndexFormula& formula = m.attrs().formula("formula");
  if (m.node().inputs.size() != 2 || is_half(m.type().dtype) || formula.rank == formula.num_indices()) return kNoMatch;
  Builder& build = m.build();
  const Result<Shape> extents = extents_of(formula, std::array{build.type(m.in(0)).shape, build.type(m.in(1)).shape});
  if (!extents) return kNoMatch;
  const std::optional<size_t> side = side_of_all(formula, *extents);
  if (!side || !reads_whole(formula.operands[1 - *side], build.type(m.in(1 - *side)).shape, *extents)) return kNoMatch;
  const NodeId inside = without_outside_reads(build, m.node());
  const Node product = build.graph()[inside];
  std::vector<IndexMap> maps = product.attrs.formula("formula").operands;
  // Neighbours in the windows become neighbours in the result, and in what they are multiplied with: they are summed
  // side by side.
  const int32_t last = index_of_neighbours(formula, maps[*side], *extents);
  const std::vector<int32_t> numbers = numbers_with_last(formula, last);
  std::vector<Affine> renumbered;
  for (const int32_t number : numbers) renumbered.push_back(Affine::of(number));
  for (IndexMap& map : maps)
    for (Affine& axis : map.axes) axis = substitute(axis, renumbered);
  Shape turned_extents = *extents;
  for (size_t index = 0; index < numbers.size(); ++index)
    turned_extents[static_cast<size_t>(numbers[index])] = (*extents)[index];
  const NodeId x = product.inputs[*side], w = product.inputs[1 - *side];
  const NodeId windows = build.read(x, IndexFormula{formula.num_indices(), {maps[*side]}, turned_extents});
  std::vector<int64_t> along, summed;
  for (const Affine& axis : maps[1 - *side].axes) along.push_back(axis.terms[0].first);
  for (int32_t index = formula.rank; index < formula.num_indices(); ++index) summed.push_back(index);
  const NodeId factor = build.broadcast(w, build.type(windows).shape, std::move(along));
  const NodeId sum =
      build.reduce_sum(*side == 0 ? build.mul(windows, factor) : build.mul(factor, windows), std::move(summed));
  if (last == formula.rank - 1) return sum;
  return build.transpose(sum, {numbers.begin(), numbers.begin() + formula.rank});
}

constexpr std::array kWindowRules = {Rule{"windowed_sum",
                                          "contract(x in windows, w) -> reduce_sum(windows * w) when x has all indices",
                                          OpKind::Contract, windowed_sum}};

}  // namespace

Graph sum_windows(Graph graph) { return rewrite(std::move(graph), kWindowRules); }

}  // namespace smelt
