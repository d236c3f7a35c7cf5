#include "ir/ops/index_adjoint.h"

#include <algorithm>
#include <numeric>

#include "ir/ops/indexed_sum.h"
#include "ir/ops/place_axis.h"
#include "ir/support/check.h"

namespace smelt {
namespace {

int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }

// Each phase apart is a sum of its own to compile, and saves what it would multiply by 0: of 3 taps at a stride of 2 a
// quarter, of 7 an eighth, of 11 at a stride of 4 a twelfth, which is not worth it.
constexpr int64_t kMostPhasesApart = 4;

class Adjoint {
 public:
  Adjoint(Builder& build, const IndexFormula& formula, size_t which, const TensorType& x, NodeId ct, NodeId other)
      : build_(build),
        axes_(formula.operands[which].axes),
        x_(x),
        sum_(build, indices_of(build, formula, which, x, other), {ct, result_map(formula)},
             which == 0 ? IndexedSum::FirstFactor::Left : IndexedSum::FirstFactor::Right) {
    if (other.valid()) sum_.multiply({other, formula.operands[1 - which]});
  }

  NodeId run() {
    for (size_t axis = 0; axis < axes_.size(); ++axis) {
      turn_digit(axes_[axis]);
      if (!solve(Affine(axes_[axis]), x_.shape[axis])) return build_.constant(0, x_);
    }
    NodeId result = sum_.value();
    for (size_t axis = placements_.size(); axis-- > 0;) {
      if (!placements_[axis].direct) result = placed(build_, result, placements_[axis], x_.shape[axis].bound);
    }
    return result;
  }

 private:
  static Shape indices_of(Builder& build, const IndexFormula& formula, size_t which, const TensorType& x,
                          NodeId other) {
    std::vector<Shape> shapes;
    for (size_t k = 0; k < formula.operands.size(); ++k)
      shapes.push_back(k == which ? x.shape : build.type(other).shape);
    Result<Shape> extents = extents_of(formula, shapes);
    SMELT_CHECK(extents.has_value(), "{}", extents.error().message);
    return *std::move(extents);
  }
  /// Where `ct` is read: it has an axis for each index of the formula's result.
  static IndexMap result_map(const IndexFormula& formula) {
    IndexMap map;
    for (int32_t index = 0; index < formula.rank; ++index) map.axes.push_back(Affine::of(index));
    return map;
  }

  void put(int32_t index, const Affine& value) {
    sum_.put(index, value);
    for (Affine& axis : axes_) axis = substitute(axis, index, value);
  }
  bool in_result(int32_t index) const { return sum_.in_result(index); }
  int64_t size(int32_t index) const { return sum_.size(index); }

  /// Makes the result's axes for one axis of x; false when no index reads inside of it.
  bool solve(const Affine& axis, const Extent& extent) {
    Placement placement{.axis = static_cast<int32_t>(sum_.rank()), .start = axis.constant};
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
      placement.direct = axis.is_index() && sum_.extent(index) == extent;
      placement.step = factor;
      sum_.add_axis(index);
    } else if (has_digits(axis)) {
      const auto [low, high] = std::minmax(axis.terms[0], axis.terms[1], by_factor);
      placement.step = high.second;
      placement.phase_factors = {1};
      sum_.add_axis(high.first);
      sum_.add_axis(low.first);
    } else if (!slide(axis, extent, placement)) {
      return false;
    }
    placements_.push_back(std::move(placement));
    return true;
  }

  /// x is read along a run-time axis, or by an index of a run-time size: `t + 1` or `0`, and t is read nowhere else.
  bool is_part_of_run_time(const Affine& axis, const Extent& extent) const {
    if (axis.terms.empty()) return !extent.is_static();
    const Extent& read = sum_.extent(axis.terms[0].first);
    return axis.terms.size() == 1 && axis.terms[0].second == 1 && !in_result(axis.terms[0].first) &&
           !(axis.is_index() && read == extent) && !(read.is_static() && extent.is_static());
  }

  /// Position p of x gets what was read of it, at index p - start, or 0. Where that index is, and where it ends, shows
  /// at run time: a read of what is outside compares with sizes, while zeros before and after have to be counted.
  void take_part(const Affine& axis, const Extent& extent) {
    const int32_t index = axis.terms.empty() ? sum_.new_index(1) : axis.terms[0].first;
    IndexedSum::Factor& guard = sum_.guarding(index);
    const int32_t position = sum_.new_index(extent);
    const Affine place = Affine::of(position) + -axis.constant;
    const IndexRange range = range_of(place, bounds_of(sum_.extents()));
    // A fixed number of positions lies inside of a run-time axis at its bound, and not at other sizes.
    const bool ends = extent.is_static() && !sum_.extent(index).is_static();
    if (ends || may_end_before(index, extent, axis.constant) || range.low < 0 || range.high >= size(index))
      guard.map.bounded = true;
    put(index, place);
    sum_.add_axis(position);
  }

  /// Where sizes differ by more than a number, bounds say nothing of them: whether `index` is shorter than what is read
  /// of an axis from `start` on shows at run time.
  bool may_end_before(int32_t index, const Extent& axis, int64_t start) const {
    const Extent& read = sum_.extent(index);
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
    return low.second == 1 && high.second == size(low.first) && sum_.extent(low.first).is_static() &&
           !in_result(low.first) && !in_result(high.first);
  }

  /// 2 * t - r + 1 with r < 2 reads the same positions as 2 * t + r. Turned taps of a transposed convolution are read
  /// so.
  void turn_digit(const Affine& axis) {
    if (axis.terms.size() != 2) return;
    const auto low = std::ranges::find_if(axis.terms, [](const auto& term) { return term.second == -1; });
    if (low == axis.terms.end() || in_result(low->first) || !sum_.extent(low->first).is_static()) return;
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

  /// How many terms of the sum each position has when `slid` is the index that it gives: all of an index at the same
  /// stride, and of one at a finer stride those of the position's phase.
  double terms_left(const Affine& axis, const std::pair<int32_t, int64_t>& slid) const {
    double left = 1;
    for (const auto& [index, factor] : axis.terms) {
      if (index == slid.first || in_result(index)) continue;
      const int64_t parts = std::abs(slid.second) / std::gcd(slid.second, factor);
      left *= static_cast<double>((size(index) + parts - 1) / parts);
    }
    return left;
  }

  bool slide(const Affine& axis, const Extent& extent, Placement& placement) {
    // The index that leaves the least to add up: the longest at a stride of 1; of 61 windows of 256 samples, one each
    // 64, the windows, because 4 of them have a sample.
    const std::pair<int32_t, int64_t>* chosen = nullptr;
    for (const auto& term : axis.terms) {
      if (in_result(term.first)) continue;
      const double left = terms_left(axis, term), least = chosen == nullptr ? left : terms_left(axis, *chosen);
      if (chosen == nullptr || left < least || (left == least && size(term.first) > size(chosen->first)))
        chosen = &term;
    }
    const auto parts_of_result = [&](const auto& term) {
      return in_result(term.first) && term.second % chosen->second != 0;
    };
    if (chosen == nullptr || std::ranges::any_of(axis.terms, parts_of_result)) {
      select(axis, extent);
      placement.direct = true;
      return true;
    }
    const Slid slid = solved_for(*chosen, axis, placement);
    if (slid.step > 1) return lay_in_phases(slid, extent, placement);
    const int32_t position = sum_.new_index(extent);
    put(slid.index, Affine::of(position) - slid.behind + -slid.start);
    sum_.add_axis(position);
    placement.direct = true;
    return true;
  }

  /// An axis, start + step * q + its phases, that is solved for one of its indices: index = q - behind.
  struct Slid {
    int32_t index;
    int64_t start, step;
    Affine behind = {};
    int64_t low, high;  // of q: where something was read
    int64_t phases_low = 0, phases_high = 0;
    std::vector<int32_t> phases = {};
  };
  Slid solved_for(const std::pair<int32_t, int64_t>& term, const Affine& axis, Placement& placement) {
    const int32_t index = term.first;
    Slid slid{.index = index, .start = axis.constant, .step = term.second, .low = 0, .high = size(index) - 1};
    sum_.guarding(index).map.bounded = true;  // where the slid index leaves its extent, it reads 0
    if (slid.step < 0) {
      put(index, Affine{size(index) - 1, {{index, -1}}});
      slid.start += slid.step * (size(index) - 1);
      slid.step = -slid.step;
    }
    for (const auto& [other, factor] : axis.terms) {
      if (other == index) continue;
      int32_t turn = other;
      int64_t factor_of_turn = factor;
      if (factor % slid.step != 0) {
        const int64_t parts = slid.step / std::gcd(slid.step, factor);
        const int32_t phase = split(other, parts, turn);
        factor_of_turn = factor * parts;
        slid.phases.push_back(phase);
        placement.phase_factors.push_back(factor);
        (factor < 0 ? slid.phases_low : slid.phases_high) += factor * (parts - 1);
      }
      const int64_t reach = factor_of_turn / slid.step * (size(turn) - 1);
      (reach < 0 ? slid.low : slid.high) += reach;
      slid.behind = slid.behind + Affine::of(turn, factor_of_turn / slid.step);
    }
    return slid;
  }

  /// A step of more than 1: the result has an axis for q and one for each phase. False when no q lies inside of x.
  bool lay_in_phases(Slid slid, const Extent& extent, Placement& placement) {
    Affine shift;
    if (slid.step == 2 && slid.phases.size() == 1) {
      const int64_t by = align_phases(slid.phases[0], placement, slid.start);
      slid.low -= std::max<int64_t>(by, 0);
      slid.high -= std::min<int64_t>(by, 0);
      slid.phases_low = 0;
      slid.phases_high = 1;
      if (by != 0) shift = Affine::of(slid.phases[0], by);
    }
    const int64_t low = std::max(slid.low, -floor_div(slid.start + slid.phases_high, slid.step));
    const int64_t high = std::min(slid.high, floor_div(extent.bound - 1 - slid.start - slid.phases_low, slid.step));
    if (low > high) return false;
    const int32_t position = sum_.new_index(high - low + 1);
    put(slid.index, Affine::of(position) + shift - slid.behind + low);
    placement.start = slid.start + slid.step * low;
    placement.step = slid.step;
    sum_.add_axis(position);
    for (const int32_t phase : slid.phases) sum_.add_axis(phase);
    return true;
  }

  /// index = parts * turn + phase; returns the phase. Where the extent is no multiple of `parts`, the last phases have
  /// a turn less.
  int32_t split(int32_t index, int64_t parts, int32_t& turn) {
    const int64_t turns = (size(index) + parts - 1) / parts;
    const bool uneven = size(index) % parts != 0;
    const bool apart = uneven && parts <= kMostPhasesApart && parts * turns * 8 >= size(index) * 9;
    if (uneven && !apart) sum_.guarding(index).map.bounded = true;
    turn = sum_.new_index(turns);
    const int32_t phase = sum_.new_index(parts);
    put(index, Affine::of(turn, parts) + Affine::of(phase));
    if (apart) sum_.split_apart(turn, phase, parts, size(index));
    return phase;
  }

  /// For an axis whose indices are the result's already, or share no step: a factor of 1 where position == axis, else
  /// 0.
  void select(const Affine& axis, const Extent& extent) {
    const int32_t position = sum_.new_index(extent);
    IndexMap map{{Affine::of(position)}, false};
    Shape shape{extent};
    for (const auto& [index, factor] : axis.terms) {
      map.axes.push_back(Affine::of(index));
      shape.push_back(sum_.extent(index));
    }
    const TensorType whole{DType::I64, shape};
    NodeId sum = build_.constant(static_cast<double>(axis.constant), whole);
    for (size_t k = 0; k < axis.terms.size(); ++k) {
      const NodeId at = build_.index(whole, static_cast<int64_t>(k) + 1);
      sum = build_.add(sum, build_.mul(at, build_.like(at, static_cast<double>(axis.terms[k].second))));
    }
    const NodeId hit = build_.cast(build_.make(OpKind::Eq, {build_.index(whole, 0), sum}), x_.dtype);
    sum_.add_axis(position);
    sum_.multiply({hit, std::move(map)});
  }

  Builder& build_;
  std::vector<Affine> axes_;  // of x, as functions of the indices that are left
  const TensorType& x_;
  IndexedSum sum_;  // of the cotangent and the other operand
  std::vector<Placement> placements_;
};

}  // namespace

NodeId index_adjoint(Builder& build, const IndexFormula& formula, size_t which, const TensorType& x, NodeId ct,
                     NodeId other) {
  return Adjoint(build, formula, which, x, ct, other).run();
}

}  // namespace smelt
