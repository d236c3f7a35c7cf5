// Parts of axes where a size shows at run time: `x?[n, t - 1]` and `x[n, t + 1]` along a run-time dim, `x[n, 0]` of
// one, and a fixed axis that is read by an index of a run-time size. Such an axis is read before the formula is
// computed, so that the formula reads it as it is: products of tensors have whole run-time axes only.
#include "frontend/formula.h"
#include "frontend/graph_writer.h"
#include "frontend/scopes.h"
#include "frontend/shapes.h"

namespace smelt::frontend {

/// What is read of an axis of `from` at `position`, when a run-time size is in it; none where that is no part. A fixed
/// number of positions that is inside at the dim's bound counts as inside, because callers check sizes, unless
/// `bounded`.
std::optional<Formulas::AxisPart> Formulas::run_time_part(const Affine& position, const Axis& from,
                                                          bool bounded) const {
  if (position.terms.size() > 1 || (position.terms.size() == 1 && position.terms[0].second != 1)) return std::nullopt;
  const bool fixed = position.terms.empty();
  const Axis part =
      fixed ? Axis{kAnonymous, Extent(1)} : scopes_.frame().indices[static_cast<size_t>(position.terms[0].first)].axis;
  if (part.extent == from.extent && position.constant == 0) return std::nullopt;
  if (part.extent.is_static() && from.extent.is_static()) return std::nullopt;
  const Size has = shapes_.size_of_extent(from.extent), takes = shapes_.size_of_extent(part.extent);
  const Size rest = has - takes - Size{{}, position.constant};
  const bool both = !has.is_static() && !takes.is_static();
  if (both && !rest.grows() && !(takes - has).grows()) return std::nullopt;
  const bool enough = both && !rest.is_static() ? least_of(rest) >= 0
                                                : position.constant + shapes_.largest(takes) <= shapes_.largest(has);
  const bool may_end = takes.is_static() && !has.is_static();
  const bool inside = position.constant >= 0 && enough && !(bounded && may_end);
  if (!inside && (!bounded || scopes_.frame().inside != nullptr)) return std::nullopt;
  return AxisPart{part, inside};
}

bool Formulas::is_stated(const Affine& position) const {
  return scopes_.frame().indices[static_cast<size_t>(position.terms[0].first)].stated;
}

/// Those of a `max`, `min` or `prod` stay where they may leave the axis: what lies outside is not counted there.
/// `positions` are what is written for the axes.
void Formulas::take_run_time_parts(FormulaRead& read, std::vector<ast::ExprId>& positions, double outside) {
  for (size_t axis = read.axes.size(); axis-- > 0;) {
    const std::optional<AxisPart> part = run_time_part(read.axes[axis], read.base.axes[axis], read.bounded);
    if (!part) continue;
    if (read.axes[axis].is_index() && !read.bounded && !is_stated(read.axes[axis])) continue;
    const Span span = scopes_.span_of(positions[axis]);
    read.base = graph_.part(read.base, axis, part->axis, read.axes[axis].constant,
                            part->inside ? std::nullopt : std::optional(outside), span);
    read.axes[axis].constant = 0;
    if (!read.axes[axis].terms.empty()) continue;
    positions.erase(positions.begin() + static_cast<std::ptrdiff_t>(axis));
    read.axes.erase(read.axes.begin() + static_cast<std::ptrdiff_t>(axis));
    read.base.axes.erase(read.base.axes.begin() + static_cast<std::ptrdiff_t>(axis));
    graph_.builder().set_span(span);
    read.base.node = graph_.builder().reshape(read.base.node, shape_of(read.base.axes));
  }
}

}  // namespace smelt::frontend
