#include "frontend/align_axes.h"

#include <fmt/format.h>

#include <utility>

namespace smelt::frontend {

namespace {

class Aligner {
 public:
  Aligner(const Shapes& shapes, const Axes& a, const Axes& b) : shapes_(shapes), a_(a), b_(b) {}

  Alignment run() {
    if (a_.size() == b_.size() && positional()) return std::move(result_);
    partner_.assign(b_.size(), -1);
    if (!match_names() || !match_rest()) return std::move(result_);
    merge();
    return std::move(result_);
  }

 private:
  /// Two lists of equal axes. A name that both have stands at one place in both: f32[4, C] and f32[C, 4] are not equal,
  /// although 4 could be C.
  bool positional() {
    Axes axes;
    for (size_t i = 0; i < a_.size(); ++i) {
      if (!shapes_.unify(a_[i], b_[i]) || stands_elsewhere(i, a_, b_) || stands_elsewhere(i, b_, a_)) return false;
      axes.push_back(a_[i].dim == kAnonymous ? b_[i] : a_[i]);
      result_.lhs.push_back(static_cast<int64_t>(i));
    }
    result_.rhs = result_.lhs;
    result_.axes = std::move(axes);
    return true;
  }

  /// Whether the name at `place` of one list, where the other has none, is at another place of that one.
  static bool stands_elsewhere(size_t place, const Axes& own, const Axes& other) {
    const DimId name = own[place].dim;
    if (name == kAnonymous || other[place].dim != kAnonymous) return false;
    for (size_t i = 0; i < other.size(); ++i)
      if (other[i].dim == name && own[i].dim != name) return true;
    return false;
  }

  /// A name that both have equally often, as the sides of a square picture, is matched in order.
  bool match_names() {
    for (size_t j = 0; j < b_.size(); ++j) {
      if (b_[j].dim == kAnonymous) continue;
      const auto same = [&](const Axis& axis) { return axis.dim == b_[j].dim; };
      const auto in_a = std::ranges::count_if(a_, same), in_b = std::ranges::count_if(b_, same);
      if (in_a == 0) continue;
      if (in_a != in_b) return occurs_unequally(b_[j]);
      for (size_t i = 0; partner_[j] < 0; ++i)
        if (same(a_[i]) && !taken(i)) partner_[j] = static_cast<int64_t>(i);
    }
    return true;
  }

  bool occurs_unequally(const Axis& axis) {
    const std::string name = shapes_.axis_text(axis);
    result_.help =
        fmt::format("say which it is: declare `dim {0}2 = {0}`, and give one of them that name with `as [..]`", name);
    return ambiguous(fmt::format("{} occurs more than once", name));
  }

  bool taken(size_t i) const { return std::ranges::find(partner_, static_cast<int64_t>(i)) != partner_.end(); }

  /// Axes without a name are matched from the right, and only if there is no second candidate.
  bool match_rest() {
    std::vector<size_t> left, right;
    for (size_t i = 0; i < a_.size(); ++i)
      if (!taken(i)) left.push_back(i);
    for (size_t j = 0; j < b_.size(); ++j)
      if (partner_[j] < 0) right.push_back(j);
    const bool nameless = std::ranges::any_of(left, [&](size_t i) { return a_[i].dim == kAnonymous; }) ||
                          std::ranges::any_of(right, [&](size_t j) { return b_[j].dim == kAnonymous; });
    if (!nameless || left.empty() || right.empty()) return true;
    leave_out_names(left, right);
    const size_t shorter = std::min(left.size(), right.size());
    for (size_t k = 1; k <= shorter; ++k) {
      const size_t i = left[left.size() - k], j = right[right.size() - k];
      if (!shapes_.unify(a_[i], b_[j])) {
        result_.problem =
            fmt::format("{} does not line up with {}", shapes_.sized_text(a_[i]), shapes_.sized_text(b_[j]));
        return false;
      }
      partner_[j] = static_cast<int64_t>(i);
    }
    if (left.size() == right.size()) return true;
    return unique(left, a_, right, b_, shorter) && unique(right, b_, left, a_, shorter);
  }

  /// A name for which no axis of the other operand can stand is its operand's own, where the other one has a partner
  /// for all of its axes: `x - mean(x, over=Class)` of f32[B, 2, Class].
  void leave_out_names(std::vector<size_t>& left, std::vector<size_t>& right) const {
    const std::vector<size_t> of_left = with_partner(left, a_, right, b_), of_right = with_partner(right, b_, left, a_);
    if (of_right.size() == right.size() && right.size() <= of_left.size())
      left = of_left;
    else if (of_left.size() == left.size() && left.size() <= of_right.size())
      right = of_right;
  }

  std::vector<size_t> with_partner(const std::vector<size_t>& own, const Axes& of_own, const std::vector<size_t>& other,
                                   const Axes& of_other) const {
    std::vector<size_t> list;
    for (const size_t i : own) {
      const auto fits = [&](size_t j) { return shapes_.unify(of_own[i], of_other[j]); };
      if (of_own[i].dim == kAnonymous || std::ranges::any_of(other, fits)) list.push_back(i);
    }
    return list;
  }

  /// No axis of `more` outside its last `shorter` could also have been the partner of one in `fewer`.
  bool unique(const std::vector<size_t>& more, const Axes& of_more, const std::vector<size_t>& fewer,
              const Axes& of_fewer, size_t shorter) {
    for (size_t k = 0; k + shorter < more.size(); ++k) {
      for (const size_t j : fewer) {
        if (!shapes_.unify(of_more[more[k]], of_fewer[j])) continue;
        result_.help = "give the axis a name with `as [..]`, or declare a dim for the second use: `dim S = T`";
        return ambiguous(fmt::format("{} could stand for more than one axis", shapes_.sized_text(of_fewer[j])));
      }
    }
    return true;
  }

  bool ambiguous(std::string problem) {
    result_.problem = std::move(problem);
    result_.ambiguous = true;
    return false;
  }

  /// The order of the operand that has all axes, else first appearance.
  void merge() {
    const auto extra = std::ranges::count(partner_, -1);  // axes that only b has
    // When both have all axes the first counts: callers give the wanted axes as a.
    const bool rhs_has_all = extra > 0 && a_.size() + static_cast<size_t>(extra) == b_.size();
    result_.lhs.assign(a_.size(), 0);
    result_.rhs.assign(b_.size(), 0);
    const auto put = [&](const Axis& axis) {
      result_.axes.push_back(axis);
      return static_cast<int64_t>(result_.axes.size() - 1);
    };
    const auto named = [&](size_t i, size_t j) { return a_[i].dim == kAnonymous ? b_[j] : a_[i]; };
    if (!rhs_has_all) {
      for (size_t i = 0; i < a_.size(); ++i) {
        const auto j = std::ranges::find(partner_, static_cast<int64_t>(i)) - partner_.begin();
        result_.lhs[i] = put(j == std::ssize(partner_) ? a_[i] : named(i, static_cast<size_t>(j)));
      }
    }
    for (size_t j = 0; j < b_.size(); ++j) {
      const auto i = partner_[j];
      if (i < 0)
        result_.rhs[j] = put(b_[j]);
      else if (rhs_has_all)
        result_.lhs[static_cast<size_t>(i)] = result_.rhs[j] = put(named(static_cast<size_t>(i), j));
      else
        result_.rhs[j] = result_.lhs[static_cast<size_t>(i)];
    }
  }

  const Shapes& shapes_;
  const Axes& a_;
  const Axes& b_;
  std::vector<int64_t> partner_;  // for each axis of b the axis of a, or -1
  Alignment result_;
};

}  // namespace

Alignment align_axes(const Shapes& shapes, const Axes& a, const Axes& b) { return Aligner(shapes, a, b).run(); }

}  // namespace smelt::frontend
