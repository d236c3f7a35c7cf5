#include "ir/ops/indexed_sum.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>

#include "ir/ops/place_axis.h"

namespace smelt {

// ---- indices and factors ----

int32_t IndexedSum::new_index(const Extent& extent) {
  extents_.push_back(extent);
  return static_cast<int32_t>(extents_.size()) - 1;
}

void IndexedSum::put(int32_t index, const Affine& value) {
  for (Factor& factor : factors_) {
    for (Affine& axis : factor.map.axes) axis = substitute(axis, index, value);
  }
  for (UnevenPhases& uneven : uneven_) uneven.value = substitute(uneven.value, index, value);
}

bool IndexedSum::in_result(int32_t index) const { return std::ranges::find(result_, index) != result_.end(); }

void IndexedSum::multiply(Factor factor) {
  if (factors_.size() == 1) {
    factors_.push_back(std::move(factor));
    return;
  }
  Factor& other = factors_.back();
  std::vector<int64_t> places;
  for (const Affine& at : factor.map.axes) {
    places.push_back(static_cast<int64_t>(build_.type(other.node).rank()));
    repeat(other, at.terms[0].first);
  }
  const Shape product = build_.type(other.node).shape;
  other.node = build_.mul(other.node, build_.broadcast(factor.node, product, std::move(places)));
}

/// Gives `factor` an axis for `index`, along which it is the same.
void IndexedSum::repeat(Factor& factor, int32_t index) {
  Shape shape = build_.type(factor.node).shape;
  std::vector<int64_t> axes(shape.size());
  std::iota(axes.begin(), axes.end(), int64_t{0});
  shape.push_back(extent(index));
  factor.node = build_.broadcast(factor.node, shape, std::move(axes));
  factor.map.axes.push_back(Affine::of(index));
}

IndexedSum::Factor& IndexedSum::guarding(int32_t index) {
  for (Factor& factor : factors_) {
    const Shape& shape = build_.type(factor.node).shape;
    for (size_t axis = 0; axis < shape.size(); ++axis) {
      const Affine& position = factor.map.axes[axis];
      if (position.terms.size() != 1 || position.terms[0].first != index || std::abs(position.terms[0].second) != 1)
        continue;
      const IndexRange range = range_of(position, bounds_of(extents_));
      if (range.low == 0 && range.high + 1 == shape[axis].bound) return factor;
    }
  }
  repeat(factors_.back(), index);
  return factors_.back();
}

void IndexedSum::split_apart(int32_t turn, int32_t phase, int64_t parts, int64_t of) {
  uneven_.push_back({turn, phase, parts, of, Affine::of(phase)});
}

int64_t IndexedSum::UnevenPhases::turns_at(int64_t at) const {
  return (size - substitute(value, phase, Affine{at, {}}).constant + parts - 1) / parts;
}

// ---- the nodes ----

namespace {

NodeId with_unit_axis(Builder& build, NodeId x, std::ptrdiff_t axis) {
  Shape shape = build.type(x).shape;
  shape.insert(shape.begin() + axis, Extent(1));
  return build.reshape(x, shape);
}

}  // namespace

/// The sum over the indices that are not the result's. Phases of unequal turns are computed one by one, because in
/// one sum those with a turn less would multiply by 0: 3x3 at a stride of 2 has 9 taps, not 16.
NodeId IndexedSum::value() {
  if (uneven_.empty()) return summed_over_the_rest();
  const UnevenPhases last = uneven_.back();
  uneven_.pop_back();
  const std::vector<Factor> factors = factors_;
  const auto axis = std::ranges::find(result_, last.phase) - result_.begin();
  result_.erase(result_.begin() + axis);
  NodeId all;
  for (int64_t phase = 0; phase < last.parts; ++phase) {
    extents_[static_cast<size_t>(last.turn)] = Extent(last.turns_at(phase));
    for (Factor& each : factors_) {
      for (Affine& position : each.map.axes) position = substitute(position, last.phase, Affine{phase, {}});
    }
    const NodeId part = padded(build_, with_unit_axis(build_, size(last.turn) == 0 ? zeros() : value(), axis),
                               static_cast<size_t>(axis), phase, last.parts - 1 - phase);
    all = all.valid() ? build_.add(all, part) : part;
    factors_ = factors;
  }
  result_.insert(result_.begin() + axis, last.phase);
  uneven_.push_back(last);
  return all;
}

/// The sum when it has no terms.
NodeId IndexedSum::zeros() {
  Shape shape;
  for (const int32_t index : result_) shape.push_back(extent(index));
  return build_.constant(0, {build_.type(factors_[0].node).dtype, shape});
}

/// A contraction has whole run-time axes only: of others the part that it takes is read first.
void IndexedSum::read_parts(Factor& factor) {
  const Shape shape = build_.type(factor.node).shape;
  IndexFormula part{0, {IndexMap{{}, factor.map.bounded}}, {}};
  std::vector<Affine> positions;
  bool has_parts = false, leaves = false;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    const Affine& position = factor.map.axes[axis];
    const auto is_static = [&](const auto& term) { return extent(term.first).is_static(); };
    const bool is_whole = position.terms.size() > 1 ||
                          (shape[axis].is_static() && std::ranges::all_of(position.terms, is_static)) ||
                          (position.is_index() && extent(position.terms[0].first) == shape[axis]);
    if (is_whole) {
      const IndexRange range = range_of(position, bounds_of(extents_));
      leaves = leaves || range.low < 0 || range.high >= shape[axis].bound;
      positions.push_back(position);
      part.operands[0].axes.push_back(Affine::of(part.rank++));
      part.extents.push_back(unstated());
      continue;
    }
    has_parts = true;
    if (position.terms.empty()) {
      part.operands[0].axes.push_back(position);
      continue;
    }
    positions.push_back(Affine::of(position.terms[0].first));
    part.operands[0].axes.push_back(Affine{position.constant, {{part.rank++, position.terms[0].second}}});
    part.extents.push_back(extent(position.terms[0].first));
  }
  if (!has_parts) return;
  factor.node = build_.read(factor.node, std::move(part));
  factor.map = {std::move(positions), factor.map.bounded && leaves};
}

/// Where an index is outside of what it ran over, the guard gives 0, and the other factor may be outside as well.
bool IndexedSum::leaves(const Factor& factor) const {
  const Shape& shape = build_.type(factor.node).shape;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    const IndexRange range = range_of(factor.map.axes[axis], bounds_of(extents_));
    if (range.low < 0 || range.high >= shape[axis].bound) return true;
  }
  return false;
}

NodeId IndexedSum::summed_over_the_rest() {
  if (factors_.size() == 2) {
    for (Factor& factor : factors_) read_parts(factor);
  }
  for (Factor& factor : factors_) factor.map.bounded = factor.map.bounded || leaves(factor);
  std::vector<int32_t> order = result_;
  for (const Factor& factor : factors_) {
    for (const Affine& axis : factor.map.axes) {
      for (const auto& [index, coefficient] : axis.terms) {
        if (std::ranges::find(order, index) == order.end()) order.push_back(index);
      }
    }
  }
  if (factors_.size() == 2) {
    for (size_t k = result_.size(); k < order.size(); ++k) {
      for (Factor& factor : factors_) {
        if (!factor.map.has(order[k])) repeat(factor, order[k]);
      }
    }
  }
  IndexFormula formula{static_cast<int32_t>(result_.size()), {}, {}};
  std::vector<Affine> places(extents_.size());
  for (size_t k = 0; k < order.size(); ++k) {
    places[static_cast<size_t>(order[k])] = Affine::of(static_cast<int32_t>(k));
    formula.extents.push_back(extent(order[k]));
  }
  for (const Factor& factor : factors_) {
    IndexMap& map = formula.operands.emplace_back(IndexMap{{}, factor.map.bounded});
    for (const Affine& axis : factor.map.axes) map.axes.push_back(substitute(axis, places));
  }
  return factors_.size() == 2 ? contracted(formula) : read_and_summed(formula, order.size());
}

NodeId IndexedSum::contracted(IndexFormula formula) {
  leave_unsaid(formula);
  NodeId a = factors_[0].node, b = factors_[1].node;
  if (place_ == FirstFactor::Right) {
    std::swap(a, b);
    std::swap(formula.operands[0], formula.operands[1]);
  }
  return build_.contract(a, b, std::move(formula));
}

NodeId IndexedSum::read_and_summed(IndexFormula formula, size_t num_indices) {
  const auto rank = static_cast<size_t>(formula.rank);
  formula.rank = static_cast<int32_t>(num_indices);
  leave_unsaid(formula);
  const NodeId windows = build_.read(factors_[0].node, std::move(formula));
  std::vector<int64_t> summed(num_indices - rank);
  std::iota(summed.begin(), summed.end(), static_cast<int64_t>(rank));
  return build_.reduce_sum(windows, std::move(summed));
}

/// An extent that a whole axis has needs no saying: equal formulas are written in one way.
void IndexedSum::leave_unsaid(IndexFormula& formula) const {
  for (size_t k = 0; k < formula.operands.size(); ++k) {
    const Shape& shape = build_.type(factors_[k].node).shape;
    for (size_t axis = 0; axis < shape.size(); ++axis) {
      const Affine& position = formula.operands[k].axes[axis];
      if (!position.is_index()) continue;
      const auto index = static_cast<size_t>(position.terms[0].first);
      if (is_whole_everywhere(formula, index)) formula.extents[index] = unstated();
    }
  }
}

/// Whether each axis that is read at the bare index is as long as it: the first one says how long it is.
bool IndexedSum::is_whole_everywhere(const IndexFormula& formula, size_t index) const {
  for (size_t k = 0; k < formula.operands.size(); ++k) {
    const Shape& shape = build_.type(factors_[k].node).shape;
    for (size_t axis = 0; axis < shape.size(); ++axis) {
      const Affine& position = formula.operands[k].axes[axis];
      const bool bare = position.is_index() && static_cast<size_t>(position.terms[0].first) == index;
      if (bare && formula.extents[index] != shape[axis]) return false;
    }
  }
  return true;
}

}  // namespace smelt
