#include "ir/ops/index_adjoint.h"

#include <algorithm>
#include <numeric>

#include "ir/ops/place_axis.h"
#include "ir/support/check.h"

namespace smelt {
namespace {

int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }

/// An index below `size` that became parts * turn + a phase, `value`; not each phase has all turns.
struct UnevenPhases {
  int32_t turn, phase;
  int64_t parts, size;
  Affine value;  // of `phase`

  int64_t turns_at(int64_t at) const {
    return (size - substitute(value, phase, Affine{at, {}}).constant + parts - 1) / parts;
  }
};

// Each phase apart is a sum of its own to compile, and saves what it would multiply by 0: of 3 taps at a stride of 2 a
// quarter, of 7 an eighth, of 11 at a stride of 4 a twelfth, which is not worth it.
constexpr int64_t kMostPhasesApart = 4;

/// A tensor whose values are known, with where it is read.
struct Known {
  NodeId node;
  IndexMap map;
};

class Adjoint {
 public:
  Adjoint(Builder& build, const IndexFormula& formula, size_t which, const TensorType& x, NodeId ct, NodeId other)
      : build_(build), axes_(formula.operands[which].axes), x_(x) {
    std::vector<Shape> shapes;
    for (size_t k = 0; k < formula.operands.size(); ++k)
      shapes.push_back(k == which ? x.shape : build.type(other).shape);
    Result<Shape> extents = extents_of(formula, shapes);
    SMELT_CHECK(extents.has_value(), "{}", extents.error().message);
    extents_ = *std::move(extents);
    IndexMap own;
    for (int32_t index = 0; index < formula.rank; ++index) own.axes.push_back(Affine::of(index));
    known_.push_back({ct, std::move(own)});
    if (other.valid()) known_.push_back({other, formula.operands[1 - which]});
    ct_first_ = which == 0;
  }

  NodeId run() {
    for (size_t axis = 0; axis < axes_.size(); ++axis) {
      turn_digit(axes_[axis]);
      if (!solve(Affine(axes_[axis]), x_.shape[axis])) return build_.constant(0, x_);
    }
    NodeId result = collected();
    for (size_t axis = placements_.size(); axis-- > 0;) {
      if (!placements_[axis].direct) result = placed(build_, result, placements_[axis], x_.shape[axis].bound);
    }
    return result;
  }

 private:
  int64_t size(int32_t index) const { return extents_[static_cast<size_t>(index)].bound; }
  int32_t new_index(const Extent& extent) {
    extents_.push_back(extent);
    return static_cast<int32_t>(extents_.size()) - 1;
  }
  void put(int32_t index, const Affine& value) {
    for (Known& known : known_) {
      for (Affine& axis : known.map.axes) axis = substitute(axis, index, value);
    }
    for (Affine& axis : axes_) axis = substitute(axis, index, value);
    for (UnevenPhases& uneven : uneven_) uneven.value = substitute(uneven.value, index, value);
  }
  bool in_result(int32_t index) const { return std::ranges::find(result_, index) != result_.end(); }

  /// Makes the result's axes for one axis of x; false when no index reads inside of it.
  bool solve(const Affine& axis, const Extent& extent) {
    Placement placement{.axis = static_cast<int32_t>(result_.size()), .start = axis.constant};
    if (is_part_of_run_time(axis, extent)) {
      take_part(axis, extent);
      placement.direct = true;
      placements_.push_back(std::move(placement));
      return true;
    }
    if (axis.terms.empty()) {
      placement.has_position = false;
    } else if (axis.terms.size() == 1 && !in_result(axis.terms[0].first)) {
      const auto& [index, factor] = axis.terms[0];
      placement.direct = axis.is_index() && extents_[static_cast<size_t>(index)] == extent;
      placement.step = factor;
      result_.push_back(index);
    } else if (has_digits(axis)) {
      const auto [low, high] = std::minmax(axis.terms[0], axis.terms[1], by_factor);
      placement.step = high.second;
      placement.phase_factors = {1};
      result_.insert(result_.end(), {high.first, low.first});
    } else if (!slide(axis, extent, placement)) {
      return false;
    }
    placements_.push_back(std::move(placement));
    return true;
  }

  /// x is read along a run-time axis, or by an index of a run-time size: `t + 1` or `0`, and t is read nowhere else.
  bool is_part_of_run_time(const Affine& axis, const Extent& extent) const {
    if (axis.terms.empty()) return !extent.is_static();
    const Extent& read = extents_[static_cast<size_t>(axis.terms[0].first)];
    return axis.terms.size() == 1 && axis.terms[0].second == 1 && !in_result(axis.terms[0].first) &&
           !(axis.is_index() && read == extent) && !(read.is_static() && extent.is_static());
  }

  /// Position p of x gets what was read of it, at index p - start, or 0. Where that index is, and where it ends, shows
  /// at run time: a read of what is outside compares with sizes, while zeros before and after have to be counted.
  void take_part(const Affine& axis, const Extent& extent) {
    const int32_t index = axis.terms.empty() ? new_index(1) : axis.terms[0].first;
    if (axis.terms.empty()) repeat(known_.back(), index);
    Known& guard = guarding(index);
    const int32_t position = new_index(extent);
    const Affine place = Affine::of(position) + -axis.constant;
    const IndexRange range = range_of(place, bounds_of(extents_));
    // A fixed number of positions lies inside of a run-time axis at its bound, and not at other sizes.
    const bool ends = extent.is_static() && !extents_[static_cast<size_t>(index)].is_static();
    if (ends || may_end_before(index, extent, axis.constant) || range.low < 0 || range.high >= size(index))
      guard.map.bounded = true;
    put(index, place);
    result_.push_back(position);
  }

  /// Where sizes differ by more than a number, bounds say nothing of them: whether `index` is shorter than what is read
  /// of an axis from `start` on shows at run time.
  bool may_end_before(int32_t index, const Extent& axis, int64_t start) const {
    const Extent& read = extents_[static_cast<size_t>(index)];
    if (read.is_static() || axis.is_static()) return false;
    const std::vector<DimSymbol>& symbols = build_.graph().symbols;
    const Size rest = size_of_symbol(symbols, read.symbol) - size_of_symbol(symbols, axis.symbol) + Size{{}, start};
    return !rest.is_static() && !(least_of(rest) >= 0);
  }

  static bool by_factor(const std::pair<int32_t, int64_t>& a, const std::pair<int32_t, int64_t>& b) {
    return a.second < b.second;
  }
  /// 3 * i + u with u < 3: each pair of indices reads a position of its own, side by side. Phases of a transposed
  /// convolution read their weights so, and windows without overlap their picture.
  bool has_digits(const Affine& axis) const {
    if (axis.terms.size() != 2) return false;
    const auto [low, high] = std::minmax(axis.terms[0], axis.terms[1], by_factor);
    return low.second == 1 && high.second == size(low.first) && extents_[static_cast<size_t>(low.first)].is_static() &&
           !in_result(low.first) && !in_result(high.first);
  }

  /// 2 * t - r + 1 with r < 2 reads the same positions as 2 * t + r. Turned taps of a transposed convolution are read
  /// so.
  void turn_digit(const Affine& axis) {
    if (axis.terms.size() != 2) return;
    const auto low = std::ranges::find_if(axis.terms, [](const auto& term) { return term.second == -1; });
    if (low == axis.terms.end() || in_result(low->first) || !extents_[static_cast<size_t>(low->first)].is_static())
      return;
    const int32_t index = low->first;
    if (axis.terms[low == axis.terms.begin() ? 1 : 0].second == size(index))
      put(index, Affine{size(index) - 1, {{index, -1}}});
  }

  /// Of a stride of 2, start + 2 * q + factor * r is start' + 2 * position + r' with an even start': the first phase
  /// holds the even positions of x. So both phases have equally many inside of x, and none is computed to be thrown
  /// away. Returns by how much a step of r' moves q.
  int64_t align_phases(int32_t phase, Placement& placement, int64_t& start) {
    const int64_t factor = placement.phase_factors[0];
    placement.phase_factors[0] = 1;
    if (start % 2 == 0) return -(factor - 1) / 2;
    put(phase, Affine{1, {{phase, -1}}});
    start += factor;
    return (factor + 1) / 2;
  }

  bool slide(const Affine& axis, const Extent& extent, Placement& placement) {
    const std::pair<int32_t, int64_t>* longest = nullptr;
    for (const auto& term : axis.terms) {
      if (in_result(term.first)) continue;
      if (longest == nullptr || size(term.first) > size(longest->first)) longest = &term;
    }
    const auto parts_of_result = [&](const auto& term) {
      return in_result(term.first) && term.second % longest->second != 0;
    };
    if (longest == nullptr || std::ranges::any_of(axis.terms, parts_of_result)) {
      select(axis, extent);
      placement.direct = true;
      return true;
    }
    const int32_t slid = longest->first;
    int64_t start = axis.constant, step = longest->second;
    Known& guard = guarding(slid);  // where the slid index leaves its extent, it reads 0
    guard.map.bounded = true;
    if (step < 0) {
      put(slid, Affine{size(slid) - 1, {{slid, -1}}});
      start += step * (size(slid) - 1);
      step = -step;
    }
    Affine behind;  // slid = q - behind
    int64_t low = 0, high = size(slid) - 1, phases_low = 0, phases_high = 0;
    std::vector<int32_t> phases;
    for (const auto& [index, factor] : axis.terms) {
      if (index == slid) continue;
      int32_t turn = index;
      int64_t factor_of_turn = factor;
      if (factor % step != 0) {
        const int64_t parts = step / std::gcd(step, factor);
        const int32_t phase = split(index, parts, turn);
        factor_of_turn = factor * parts;
        phases.push_back(phase);
        placement.phase_factors.push_back(factor);
        (factor < 0 ? phases_low : phases_high) += factor * (parts - 1);
      }
      const int64_t reach = factor_of_turn / step * (size(turn) - 1);
      (reach < 0 ? low : high) += reach;
      behind = behind + Affine::of(turn, factor_of_turn / step);
    }
    if (step == 1) {
      const int32_t position = new_index(extent);
      put(slid, Affine::of(position) - behind + -start);
      result_.push_back(position);
      placement.direct = true;
      return true;
    }
    Affine shift;
    if (step == 2 && phases.size() == 1) {
      const int64_t by = align_phases(phases[0], placement, start);
      low -= std::max<int64_t>(by, 0);
      high -= std::min<int64_t>(by, 0);
      phases_low = 0;
      phases_high = 1;
      if (by != 0) shift = Affine::of(phases[0], by);
    }
    low = std::max(low, -floor_div(start + phases_high, step));
    high = std::min(high, floor_div(extent.bound - 1 - start - phases_low, step));
    if (low > high) return false;
    const int32_t position = new_index(high - low + 1);
    put(slid, Affine::of(position) + shift - behind + low);
    placement.start = start + step * low;
    placement.step = step;
    result_.push_back(position);
    result_.insert(result_.end(), phases.begin(), phases.end());
    return true;
  }

  /// index = parts * turn + phase; returns the phase. Where the extent is no multiple of `parts`, the last phases have
  /// a turn less.
  int32_t split(int32_t index, int64_t parts, int32_t& turn) {
    const int64_t turns = (size(index) + parts - 1) / parts;
    const bool uneven = size(index) % parts != 0;
    const bool apart = uneven && parts <= kMostPhasesApart && parts * turns * 8 >= size(index) * 9;
    if (uneven && !apart) guarding(index).map.bounded = true;
    turn = new_index(turns);
    const int32_t phase = new_index(parts);
    put(index, Affine::of(turn, parts) + Affine::of(phase));
    if (apart) uneven_.push_back({turn, phase, parts, size(index), Affine::of(phase)});
    return phase;
  }

  /// A known tensor with an axis that is left exactly when `index` leaves its extent.
  Known& guarding(int32_t index) {
    for (Known& known : known_) {
      const Shape& shape = build_.type(known.node).shape;
      for (size_t axis = 0; axis < shape.size(); ++axis) {
        const Affine& position = known.map.axes[axis];
        if (position.terms.size() != 1 || position.terms[0].first != index || std::abs(position.terms[0].second) != 1)
          continue;
        const IndexRange range = range_of(position, bounds_of(extents_));
        if (range.low == 0 && range.high + 1 == shape[axis].bound) return known;
      }
    }
    repeat(known_.back(), index);
    return known_.back();
  }

  /// For an axis whose indices are the result's already, or share no step: a factor of 1 where position == axis, else
  /// 0.
  void select(const Affine& axis, const Extent& extent) {
    const int32_t position = new_index(extent);
    IndexMap map{{Affine::of(position)}, false};
    Shape shape{extent};
    for (const auto& [index, factor] : axis.terms) {
      map.axes.push_back(Affine::of(index));
      shape.push_back(extents_[static_cast<size_t>(index)]);
    }
    const TensorType whole{DType::I64, shape};
    NodeId sum = build_.constant(static_cast<double>(axis.constant), whole);
    for (size_t k = 0; k < axis.terms.size(); ++k) {
      const NodeId at = build_.index(whole, static_cast<int64_t>(k) + 1);
      sum = build_.add(sum, build_.mul(at, build_.like(at, static_cast<double>(axis.terms[k].second))));
    }
    const NodeId hit = build_.cast(build_.make(OpKind::Eq, {build_.index(whole, 0), sum}), x_.dtype);
    result_.push_back(position);
    if (known_.size() == 1) {
      known_.push_back({hit, std::move(map)});
      return;
    }
    Known& other = known_.back();
    std::vector<int64_t> places;
    for (const Affine& at : map.axes) {
      places.push_back(static_cast<int64_t>(build_.type(other.node).rank()));
      repeat(other, at.terms[0].first);
    }
    const Shape product = build_.type(other.node).shape;
    other.node = build_.mul(other.node, build_.broadcast(hit, product, std::move(places)));
  }

  /// Gives `known` an axis for `index`, along which it is the same.
  void repeat(Known& known, int32_t index) {
    Shape shape = build_.type(known.node).shape;
    std::vector<int64_t> axes(shape.size());
    std::iota(axes.begin(), axes.end(), int64_t{0});
    shape.push_back(extents_[static_cast<size_t>(index)]);
    known.node = build_.broadcast(known.node, shape, std::move(axes));
    known.map.axes.push_back(Affine::of(index));
  }

  /// The sum over the indices that are not the result's. Phases of unequal turns are computed one by one, because in
  /// one sum those with a turn less would multiply by 0: 3x3 at a stride of 2 has 9 taps, not 16.
  NodeId collected() {
    if (uneven_.empty()) return summed_over_the_rest();
    const UnevenPhases last = uneven_.back();
    uneven_.pop_back();
    const std::vector<Known> known = known_;
    const auto axis = std::ranges::find(result_, last.phase) - result_.begin();
    result_.erase(result_.begin() + axis);
    NodeId all;
    for (int64_t phase = 0; phase < last.parts; ++phase) {
      extents_[static_cast<size_t>(last.turn)] = Extent(last.turns_at(phase));
      for (Known& each : known_) {
        for (Affine& position : each.map.axes) position = substitute(position, last.phase, Affine{phase, {}});
      }
      const NodeId part = padded(build_, with_unit_axis(size(last.turn) == 0 ? zeros() : collected(), axis),
                                 static_cast<size_t>(axis), phase, last.parts - 1 - phase);
      all = all.valid() ? build_.add(all, part) : part;
      known_ = known;
    }
    result_.insert(result_.begin() + axis, last.phase);
    uneven_.push_back(last);
    return all;
  }

  /// The sum when it has no terms.
  NodeId zeros() {
    Shape shape;
    for (const int32_t index : result_) shape.push_back(extents_[static_cast<size_t>(index)]);
    return build_.constant(0, {x_.dtype, shape});
  }

  NodeId with_unit_axis(NodeId x, std::ptrdiff_t axis) {
    Shape shape = build_.type(x).shape;
    shape.insert(shape.begin() + axis, Extent(1));
    return build_.reshape(x, shape);
  }

  /// A contraction has whole run-time axes only: of others the part that it takes is read first.
  void read_parts(Known& known) {
    const Shape shape = build_.type(known.node).shape;
    IndexFormula part{0, {IndexMap{{}, known.map.bounded}}, {}};
    std::vector<Affine> positions;
    bool has_parts = false, leaves = false;
    for (size_t axis = 0; axis < shape.size(); ++axis) {
      const Affine& position = known.map.axes[axis];
      const auto is_static = [&](const auto& term) { return extents_[static_cast<size_t>(term.first)].is_static(); };
      const bool is_whole =
          position.terms.size() > 1 || (shape[axis].is_static() && std::ranges::all_of(position.terms, is_static)) ||
          (position.is_index() && extents_[static_cast<size_t>(position.terms[0].first)] == shape[axis]);
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
      part.extents.push_back(extents_[static_cast<size_t>(position.terms[0].first)]);
    }
    if (!has_parts) return;
    known.node = build_.read(known.node, std::move(part));
    known.map = {std::move(positions), known.map.bounded && leaves};
  }

  /// Where an index is outside of what it ran over, the guard gives 0, and the other factor may be outside as well.
  bool leaves(const Known& known) const {
    const Shape& shape = build_.type(known.node).shape;
    for (size_t axis = 0; axis < shape.size(); ++axis) {
      const IndexRange range = range_of(known.map.axes[axis], bounds_of(extents_));
      if (range.low < 0 || range.high >= shape[axis].bound) return true;
    }
    return false;
  }

  NodeId summed_over_the_rest() {
    if (known_.size() == 2) {
      for (Known& known : known_) read_parts(known);
    }
    for (Known& known : known_) known.map.bounded = known.map.bounded || leaves(known);
    std::vector<int32_t> order = result_;
    for (const Known& known : known_) {
      for (const Affine& axis : known.map.axes) {
        for (const auto& [index, factor] : axis.terms) {
          if (std::ranges::find(order, index) == order.end()) order.push_back(index);
        }
      }
    }
    if (known_.size() == 2) {
      for (size_t k = result_.size(); k < order.size(); ++k) {
        for (Known& known : known_) {
          if (!known.map.has(order[k])) repeat(known, order[k]);
        }
      }
    }
    IndexFormula formula{static_cast<int32_t>(result_.size()), {}, {}};
    std::vector<Affine> places(extents_.size());
    for (size_t k = 0; k < order.size(); ++k) {
      places[static_cast<size_t>(order[k])] = Affine::of(static_cast<int32_t>(k));
      formula.extents.push_back(extents_[static_cast<size_t>(order[k])]);
    }
    for (const Known& known : known_) {
      IndexMap& map = formula.operands.emplace_back(IndexMap{{}, known.map.bounded});
      for (const Affine& axis : known.map.axes) map.axes.push_back(substitute(axis, places));
    }
    return known_.size() == 2 ? contracted(formula) : read_and_summed(formula, order.size());
  }

  NodeId contracted(IndexFormula formula) {
    leave_unsaid(formula);
    NodeId a = known_[0].node, b = known_[1].node;
    if (!ct_first_) {
      std::swap(a, b);
      std::swap(formula.operands[0], formula.operands[1]);
    }
    return build_.contract(a, b, std::move(formula));
  }

  NodeId read_and_summed(IndexFormula formula, size_t num_indices) {
    const auto rank = static_cast<size_t>(formula.rank);
    formula.rank = static_cast<int32_t>(num_indices);
    leave_unsaid(formula);
    const NodeId windows = build_.read(known_[0].node, std::move(formula));
    std::vector<int64_t> summed(num_indices - rank);
    std::iota(summed.begin(), summed.end(), static_cast<int64_t>(rank));
    return build_.reduce_sum(windows, std::move(summed));
  }

  /// An extent that a whole axis has needs no saying: equal formulas are written in one way.
  void leave_unsaid(IndexFormula& formula) const {
    for (size_t k = 0; k < formula.operands.size(); ++k) {
      const Shape& shape = build_.type(known_[k].node).shape;
      for (size_t axis = 0; axis < shape.size(); ++axis) {
        const Affine& position = formula.operands[k].axes[axis];
        if (!position.is_index()) continue;
        const auto index = static_cast<size_t>(position.terms[0].first);
        if (is_whole_everywhere(formula, index)) formula.extents[index] = unstated();
      }
    }
  }
  /// Whether each axis that is read at the bare index is as long as it: the first one says how long it is.
  bool is_whole_everywhere(const IndexFormula& formula, size_t index) const {
    for (size_t k = 0; k < formula.operands.size(); ++k) {
      const Shape& shape = build_.type(known_[k].node).shape;
      for (size_t axis = 0; axis < shape.size(); ++axis) {
        const Affine& position = formula.operands[k].axes[axis];
        const bool bare = position.is_index() && static_cast<size_t>(position.terms[0].first) == index;
        if (bare && formula.extents[index] != shape[axis]) return false;
      }
    }
    return true;
  }

  Builder& build_;
  std::vector<Affine> axes_;  // of x, as functions of the indices that are left
  const TensorType& x_;
  Shape extents_;             // by index; new ones are appended
  std::vector<Known> known_;  // ct, and the other operand
  bool ct_first_ = true;
  std::vector<int32_t> result_;  // indices of the axes that `collected` gives
  std::vector<UnevenPhases> uneven_;
  std::vector<Placement> placements_;
};

}  // namespace

NodeId index_adjoint(Builder& build, const IndexFormula& formula, size_t which, const TensorType& x, NodeId ct,
                     NodeId other) {
  return Adjoint(build, formula, which, x, ct, other).run();
}

}  // namespace smelt
