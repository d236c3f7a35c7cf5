#include "ir/index_formula.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

namespace smelt {
namespace {

// Products of coefficients and sizes stay far below 2^63.
constexpr int64_t kMaxCoefficient = int64_t{1} << 31;
constexpr int64_t kMaxReach = int64_t{1} << 40;

std::string name_of(const IndexFormula& formula, int32_t index) {
  constexpr std::string_view kOut = "ijlmnopq", kSummed = "krstuvwx";
  const bool summed = formula.is_summed(index);
  const int32_t number = summed ? index - formula.rank : index;
  const std::string_view names = summed ? kSummed : kOut;
  if (number < static_cast<int32_t>(names.size())) return std::string(1, names[static_cast<size_t>(number)]);
  return fmt::format("{}{}", names[0], number);
}

std::string text_of(const IndexFormula& formula, const Affine& axis) {
  std::string text;
  for (const auto& [index, factor] : axis.terms) {
    if (!text.empty() || factor < 0) text += factor < 0 ? '-' : '+';
    if (std::abs(factor) != 1) text += fmt::format("{}*", std::abs(factor));
    text += name_of(formula, index);
  }
  if (text.empty()) return fmt::format("{}", axis.constant);
  return axis.constant == 0 ? text : fmt::format("{}{:+}", text, axis.constant);
}

std::unexpected<Error> wrong(const std::string& message, std::string help = {}) {
  return fail(ErrorKind::Model, message, std::move(help));
}

/// Finds the extents, and checks what is read against the shapes.
class Checker {
 public:
  Checker(const IndexFormula& formula, std::span<const Shape> shapes)
      : formula_(formula), shapes_(shapes), extents_(formula.extents) {}

  Result<Shape> run() {
    for (size_t k = 0; k < formula_.operands.size(); ++k) SMELT_TRY_VOID(check_form(k));
    for (int32_t index = 0; index < formula_.num_indices(); ++index) SMELT_TRY_VOID(check_index(index));
    for (size_t k = 0; k < formula_.operands.size(); ++k) SMELT_TRY_VOID(take_plain(k));
    for (size_t k = 0; k < formula_.operands.size(); ++k) SMELT_TRY_VOID(fit_windows(k));
    for (int32_t index = 0; index < formula_.num_indices(); ++index) {
      if (at(index).bound == kUnstatedBound)
        return wrong(fmt::format("nothing says the extent of index `{}` of `{}`", name(index), text()),
                     fmt::format("state it where the result has it: `{}<8`", name(index)));
    }
    for (size_t k = 0; k < formula_.operands.size(); ++k) SMELT_TRY_VOID(check_inside(k));
    return std::move(extents_);
  }

 private:
  std::string text() const { return to_string(formula_); }
  std::string name(int32_t index) const { return name_of(formula_, index); }
  Extent& at(int32_t index) { return extents_[static_cast<size_t>(index)]; }

  Result<void> check_form(size_t k) const {
    const IndexMap& map = formula_.operands[k];
    if (map.axes.size() != shapes_[k].size())
      return wrong(
          fmt::format("operand {} has {} axes, and `{}` reads {}", k, shapes_[k].size(), text(), map.axes.size()));
    for (const Affine& axis : map.axes) {
      if (std::abs(axis.constant) > kMaxCoefficient) return wrong(fmt::format("`{}` has a constant over 2^31", text()));
      for (const auto& [index, factor] : axis.terms) {
        if (std::abs(factor) > kMaxCoefficient) return wrong(fmt::format("`{}` has a factor over 2^31", text()));
      }
    }
    return {};
  }

  Result<void> check_index(int32_t index) const {
    const auto has = [&](const IndexMap& map) { return map.has(index); };
    if (formula_.is_summed(index)) {
      if (std::ranges::all_of(formula_.operands, has)) return {};
      return wrong(fmt::format("index `{}` of `{}` is in one operand only and not in the result", name(index), text()),
                   "sum over it before the contraction");
    }
    if (std::ranges::any_of(formula_.operands, has) || formula_.operands.size() == 1) return {};
    return wrong(fmt::format("no operand of `{}` has the result's index `{}`", text(), name(index)));
  }

  Result<void> take_plain(size_t k) {
    const IndexMap& map = formula_.operands[k];
    for (size_t axis = 0; axis < map.axes.size(); ++axis) {
      if (!map.axes[axis].is_index()) continue;
      const int32_t index = map.axes[axis].terms[0].first;
      const Extent& extent = shapes_[k][axis];
      if (at(index).bound == kUnstatedBound) {
        at(index) = extent;
      } else if (at(index) != extent &&
                 !((may_be_part(map.axes[axis]) || (at(index).is_static() && extent.is_static())) &&
                   formula_.extents[static_cast<size_t>(index)].bound != kUnstatedBound)) {
        return wrong(fmt::format("index `{}` of `{}` has two extents", name(index), text()));
      }
    }
    return {};
  }

  /// The largest extent of the one index of an axis that has none yet: with it, the axis is just covered.
  Result<void> fit_windows(size_t k) {
    const IndexMap& map = formula_.operands[k];
    for (size_t axis = 0; axis < map.axes.size() && !map.bounded; ++axis) {
      int32_t open = -1;
      int64_t rest = shapes_[k][axis].bound - 1 - map.axes[axis].constant, factor_of_open = 0;
      bool known = shapes_[k][axis].is_static();
      for (const auto& [index, factor] : map.axes[axis].terms) {
        if (at(index).bound == kUnstatedBound) {
          known = known && open < 0 && factor > 0;
          open = index;
          factor_of_open = factor;
        } else if (factor > 0) {
          known = known && at(index).is_static();
          rest -= factor * (at(index).bound - 1);
        }
      }
      if (open < 0 || !known) continue;
      if (rest < 0)
        return wrong(fmt::format("window `{}` of `{}` does not fit into {}", text_of(formula_, map.axes[axis]), text(),
                                 shapes_[k][axis].bound));
      at(open) = Extent(rest / factor_of_open + 1);
    }
    return {};
  }

  /// One operand may be read at an index plus a number along a run-time axis. Bounds differ as sizes do, `T-1` from T,
  /// so that what holds of them holds of sizes; that the two follow from one dimension is what the verifier asks (V10).
  bool may_be_part(const Affine& position) const {
    const bool moved = position.terms.size() == 1 && position.terms[0].second == 1;
    return formula_.operands.size() == 1 && formula_.rank == formula_.num_indices() &&
           (moved || position.terms.empty());
  }

  Result<void> check_inside(size_t k) const {
    const IndexMap& map = formula_.operands[k];
    const std::vector<int64_t> sizes = bounds_of(extents_);
    for (size_t axis = 0; axis < map.axes.size(); ++axis) {
      const Affine& position = map.axes[axis];
      const Extent& extent = shapes_[k][axis];
      const auto& plain = position.terms;
      if (position.is_index() && extents_[static_cast<size_t>(plain[0].first)] == extent) continue;
      bool is_static = extent.is_static(), is_empty = false;
      for (const auto& [index, factor] : plain) {
        const Extent& size = extents_[static_cast<size_t>(index)];
        is_static = is_static && size.is_static();
        is_empty = is_empty || size.bound == 0;
        if (size.bound > kMaxReach / std::abs(factor))
          return wrong(fmt::format("`{}` reaches too far over index `{}`", text(), name(index)));
      }
      if (!is_static && !may_be_part(position))
        return wrong(fmt::format("`{}` of `{}` runs over a run-time extent, which only a whole axis may",
                                 text_of(formula_, position), text()));
      if (map.bounded || is_empty) continue;
      const IndexRange range = range_of(position, sizes);
      if (range.low < 0 || range.high >= extent.bound)
        return wrong(fmt::format("`{}` of `{}` reads {} to {} of {}", text_of(formula_, position), text(), range.low,
                                 range.high, extent.bound),
                     "`?[..]` reads 0 outside");
    }
    return {};
  }

  const IndexFormula& formula_;
  std::span<const Shape> shapes_;
  Shape extents_;
};

}  // namespace

int IndexMap::plain_axis_of(int32_t index) const {
  const auto found = std::ranges::find(axes, Affine::of(index));
  return found == axes.end() ? -1 : static_cast<int>(found - axes.begin());
}

bool IndexMap::has(int32_t index) const {
  return std::ranges::any_of(axes, [&](const Affine& axis) { return axis.coefficient(index) != 0; });
}

bool IndexMap::is_plain() const {
  for (size_t axis = 0; axis < axes.size(); ++axis) {
    const bool repeated = std::find(axes.begin(), axes.begin() + static_cast<std::ptrdiff_t>(axis), axes[axis]) !=
                          axes.begin() + static_cast<std::ptrdiff_t>(axis);
    if (!axes[axis].is_index() || repeated) return false;
  }
  return !bounded;
}

bool IndexFormula::is_plain() const {
  return std::ranges::all_of(operands, [](const IndexMap& map) { return map.is_plain(); });
}

bool reads_whole_axes(const IndexFormula& formula, std::span<const Shape> shapes) {
  if (!formula.is_plain()) return false;
  const Result<Shape> extents = extents_of(formula, shapes);
  if (!extents) return false;
  for (size_t k = 0; k < shapes.size(); ++k) {
    for (size_t axis = 0; axis < shapes[k].size(); ++axis) {
      const auto index = static_cast<size_t>(formula.operands[k].axes[axis].terms[0].first);
      if ((*extents)[index] != shapes[k][axis]) return false;
    }
  }
  return true;
}

IndexMap compose(const IndexMap& inner, const IndexMap& outer) {
  IndexMap map{{}, inner.bounded || outer.bounded};
  for (const Affine& axis : inner.axes) map.axes.push_back(substitute(axis, outer.axes));
  return map;
}

Result<Shape> extents_of(const IndexFormula& formula, std::span<const Shape> shapes) {
  return Checker(formula, shapes).run();
}

IndexFormula canonical(const IndexFormula& formula) {
  std::vector<int32_t> order;
  for (const IndexMap& map : formula.operands) {
    for (const Affine& axis : map.axes) {
      for (const auto& [index, factor] : axis.terms) {
        if (formula.is_summed(index) && std::ranges::find(order, index) == order.end()) order.push_back(index);
      }
    }
  }
  std::vector<Affine> places(formula.extents.size());
  for (int32_t index = 0; index < formula.rank; ++index) places[static_cast<size_t>(index)] = Affine::of(index);
  IndexFormula result{formula.rank, {}, {}};
  result.extents.assign(formula.extents.begin(), formula.extents.begin() + formula.rank);
  for (const int32_t index : order) {
    places[static_cast<size_t>(index)] = Affine::of(result.num_indices());
    result.extents.push_back(formula.extents[static_cast<size_t>(index)]);
  }
  for (const IndexMap& map : formula.operands) {
    IndexMap& renamed = result.operands.emplace_back(IndexMap{{}, map.bounded});
    for (const Affine& axis : map.axes) renamed.axes.push_back(substitute(axis, places));
  }
  return result;
}

std::vector<int64_t> bounds_of(std::span<const Extent> extents) {
  std::vector<int64_t> bounds;
  for (const Extent& extent : extents) bounds.push_back(extent.bound);
  return bounds;
}

std::string to_string(const IndexFormula& formula, const std::vector<DimSymbol>& symbols) {
  std::string text;
  for (const IndexMap& map : formula.operands) {
    std::vector<std::string> axes;
    for (const Affine& axis : map.axes) axes.push_back(text_of(formula, axis));
    text += fmt::format("{}[{}] ", map.bounded ? "?" : "", fmt::join(axes, ","));
  }
  const auto stated = [&](int32_t index) {
    const Extent& extent = formula.extents[static_cast<size_t>(index)];
    if (extent.bound == kUnstatedBound) return name_of(formula, index);
    const std::string size = to_string(Shape{extent}, symbols);
    return fmt::format("{}<{}", name_of(formula, index), std::string_view(size).substr(1, size.size() - 2));
  };
  std::vector<std::string> out, summed;
  for (int32_t index = 0; index < formula.num_indices(); ++index) {
    if (!formula.is_summed(index)) {
      out.push_back(stated(index));
    } else if (formula.extents[static_cast<size_t>(index)].bound != kUnstatedBound) {
      summed.push_back(stated(index));
    }
  }
  text += fmt::format("-> [{}]", fmt::join(out, ","));
  if (!summed.empty()) text += fmt::format(" over {}", fmt::join(summed, ","));
  return text;
}

}  // namespace smelt
