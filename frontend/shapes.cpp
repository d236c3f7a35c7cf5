#include "frontend/shapes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "ir/experiment.h"

namespace smelt::frontend {

/// Axes of x that a name or a size means: those of the dim or those without a name, else those that could be.
std::vector<int64_t> Shapes::axes_that_are(const Tensor& x, const Axis& wanted) const {
  std::vector<int64_t> found;
  const auto collect = [&](const auto& fits) {
    for (size_t i = 0; i < x.axes.size(); ++i) {
      if (fits(x.axes[i])) found.push_back(static_cast<int64_t>(i));
    }
  };
  collect([&](const Axis& axis) { return axis.dim == wanted.dim && axis.extent == wanted.extent; });
  if (found.empty()) {
    collect(
        [&](const Axis& axis) { return (axis.dim == kAnonymous || wanted.dim == kAnonymous) && unify(axis, wanted); });
  }
  return found;
}

/// What to write where several axes could be meant.
std::string Shapes::several_axes_help(const Tensor& x, const std::vector<int64_t>& found, const Axis& wanted) const {
  if (wanted.dim != kAnonymous && x.axes[static_cast<size_t>(found[0])].dim == kAnonymous)
    return "they have no names: `x as [B, H, W]` gives them some, and a formula says which: `y[i] = sum[j] x[i, j]`";
  return fmt::format("`over=({})` is all of them; a formula says which: `y[i] = sum[j] x[i, j]`",
                     fmt::join(std::vector(found.size(), axis_text(wanted)), ", "));
}

/// What to write where no axis is meant. A number that is none's size may have been a place, as `dim=1` is elsewhere.
std::string Shapes::no_axis_help(const Tensor& x, const Axis& wanted) const {
  if (x.axes.empty()) return "it is one number";
  const std::string axes = fmt::format("its axes are {}", axes_text(x.axes));
  const int64_t place = wanted.extent.bound;
  if (wanted.dim != kAnonymous || !wanted.extent.is_static() || place >= std::ssize(x.axes)) return axes;
  return fmt::format("{}; a number is the size of an axis, and the one at place {} is `over={}`", axes, place,
                     axis_text(x.axes[static_cast<size_t>(place)]));
}

std::optional<std::vector<int64_t>> Shapes::find_axes(const Tensor& x, const Axes& over, Span span, NamedAxes named) {
  std::vector<int64_t> places;
  for (const Axis& wanted : over) {
    const std::vector<int64_t> found = axes_that_are(x, wanted);
    // As many names as there are axes that each of them could be mean all of them: `over=(C, C)` of an f32[C, C],
    // `over=(4, 4)` of an f32[N, C, 4, 4], and `over=(H, W)` of a square whose axes have no names, where it does not
    // matter which is which.
    const auto alike = std::ranges::count_if(over, [&](const Axis& other) {
      return (other.dim == wanted.dim && other.extent == wanted.extent) ||
             (named == NamedAxes::AsASet && axes_that_are(x, other) == found);
    });
    const bool all = static_cast<size_t>(alike) == found.size();
    const auto free =
        std::ranges::find_if(found, [&](int64_t at) { return std::ranges::find(places, at) == places.end(); });
    if (free != found.end() && (found.size() == 1 || all)) {
      places.push_back(*free);
      continue;
    }
    if (found.size() > 1)
      diagnostics_
          .report(Diag::E0102, span, fmt::format("`{}` has more than one axis {}", type_text(x), axis_text(wanted)))
          .with_help(several_axes_help(x, found, wanted));
    else
      diagnostics_.report(Diag::E0105, span, fmt::format("`{}` has no axis {}", type_text(x), axis_text(wanted)))
          .with_help(no_axis_help(x, wanted));
    return std::nullopt;
  }
  return places;
}

namespace {

constexpr int64_t kMaxElements = int64_t{1} << 40;
constexpr size_t kMaxRank = 8;

}  // namespace

DimId Shapes::new_dim(std::string name, Extent extent, Span span, bool runtime) {
  dims_.push_back({std::move(name), extent, span, runtime});
  return static_cast<DimId>(dims_.size() - 1);
}

Axes Shapes::outside_of_layer(Axes axes) const {
  for (Axis& axis : axes)
    if (axis.dim != kAnonymous && !dim_of(axis.dim).of_file) axis.dim = kAnonymous;
  return axes;
}

Extent Shapes::extent_of(const Size& size) {
  std::vector<DimSymbol>& symbols = experiment_.symbols;
  if (size.is_static()) return Extent(size.number);
  const int64_t bound = largest(size);
  if (size == size_of_symbol(symbols, size.terms[0].symbol)) return Extent(bound, size.terms[0].symbol);
  const auto known = std::ranges::find(symbols, size, &DimSymbol::of);
  const auto place = static_cast<int32_t>(known - symbols.begin());
  if (known == symbols.end()) symbols.push_back({name_of(size, symbols), bound, size});
  return Extent(bound, place);
}

Size Shapes::size_of_extent(const Extent& extent) const {
  return extent.is_static() ? Size{{}, extent.bound} : size_of_symbol(experiment_.symbols, extent.symbol);
}

int64_t Shapes::largest(const Size& size) const {
  return std::min(largest_of(size, experiment_.symbols).value_or(kMaxDim + 1), kMaxDim + 1);
}

std::string Shapes::size_text(const Size& size) const { return name_of(size, experiment_.symbols); }

std::string Shapes::axis_text(const Axis& axis) const {
  if (axis.dim != kAnonymous) return dim_of(axis.dim).name;
  if (axis.extent.is_static()) return fmt::format("{}", axis.extent.bound);
  return experiment_.symbols[static_cast<size_t>(axis.extent.symbol)].name;
}

std::string Shapes::sized_text(const Axis& axis) const {
  const std::string name = axis_text(axis);
  return axis.dim == kAnonymous && axis.extent.is_static() ? name : fmt::format("{} ({})", name, axis.extent.bound);
}

std::string Shapes::axes_text(const Axes& axes) const {
  std::vector<std::string> names;
  for (const Axis& axis : axes) names.push_back(axis_text(axis));
  return fmt::format("[{}]", fmt::join(names, ", "));
}

std::string Shapes::type_text(DType dtype, const Axes& axes, DimId label) const {
  const std::string head =
      label == kAnonymous ? std::string(to_string(dtype)) : fmt::format("ix<{}>", dim_of(label).name);
  return axes.empty() ? head : head + axes_text(axes);
}

bool Shapes::unify(const Axis& a, const Axis& b) const {
  if (a.dim != kAnonymous && b.dim != kAnonymous) return a.dim == b.dim;
  return a.extent == b.extent;
}

bool Shapes::check_size(DType dtype, const Axes& axes, Span span) {
  const Shape shape = shape_of(axes);
  const std::optional<int64_t> elements = num_elements(shape);
  if (axes.size() > kMaxRank) {
    diagnostics_.report(
        Diag::E0202, span,
        fmt::format("`{}` has {} axes; the limit is {}", type_text(dtype, axes), axes.size(), kMaxRank));
    return false;
  }
  if (elements && *elements <= kMaxElements) return true;
  double bytes = static_cast<double>(size_of(dtype));
  for (const Extent& extent : shape) bytes *= static_cast<double>(extent.bound);
  diagnostics_.report(Diag::E0202, span,
                      fmt::format("`{}` would need {:.1f} TiB; a tensor has at most 2^40 elements",
                                  type_text(dtype, axes), bytes / 0x1p40));
  return false;
}

}  // namespace smelt::frontend
