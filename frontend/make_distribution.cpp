// Distributions as a file writes them, `Normal(m, s)`: what their parameters may be.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "frontend/distributions.h"
#include "frontend/number_ranges.h"

namespace smelt::frontend {

Value Distributions::make_distribution(const DistributionRecord& record, std::vector<Value> params, bool by_logvar,
                                       Span span) {
  Distribution dist;
  dist.record = &record;
  dist.by_logvar = by_logvar;
  if (record.kind == DistKind::Categorical) return make_categorical(std::move(dist), params, span);
  if (record.kind == DistKind::Mixture) return make_mixture(std::move(dist), params, span);
  if (record.kind == DistKind::MultivariateNormal) return make_multivariate(std::move(dist), params, span);
  for (Value& param : params) {
    if (param.bad()) return {};
    if (shapes_.number_of(param)) continue;
    if (record.kind == DistKind::UniformInt && param.as<DimValue>() != nullptr) continue;  // draws are its labels
    const std::optional<Tensor> tensor = graph_.expect_float(param, span);  // of a parameter as well, `prior.means`
    if (!tensor) return {};
    param = Value(*tensor);
  }
  if (record.kind == DistKind::UniformInt && !check_choices(params[0], span)) return {};
  if (params.size() == 2 && !by_logvar && !check_spread(record, params, span)) return {};
  if (params.size() == 2) {
    const auto *first = params[0].as<Tensor>(), *second = params[1].as<Tensor>();
    if (first != nullptr && second != nullptr && graph_.refuse_all_pairs(*first, *second, span, "a distribution"))
      return {};
  }
  graph_.note_use(record.name, params, {}, span, by_logvar);
  dist.params = std::move(params);
  return Value(std::move(dist));
}

/// A deviation or scale that is negative, a range from its high end down: where both are known while compiling.
bool Distributions::check_spread(const DistributionRecord& record, const std::vector<Value>& params, Span span) {
  const auto first = shapes_.number_of(params[0]), second = shapes_.number_of(params[1]);
  if (!second) return true;
  if (record.kind == DistKind::Uniform && first && *first > *second) {
    diagnostics_
        .report(Diag::E0503, span,
                fmt::format("`Uniform` from {} to {}: the low end is above the high end", *first, *second))
        .with_help(fmt::format("write `Uniform({}, {})`", *second, *first));
    return false;
  }
  for (const std::string_view name : {"std", "scale"}) {
    if (broken_range(record.name, name, *second) == nullptr) continue;
    diagnostics_.report(
        Diag::E0503, span,
        fmt::format("a {} is at least 0, not {}", name == "std" ? "standard deviation" : name, *second));
    return false;
  }
  return true;
}

/// n of `UniformInt(n)`: a whole number that f32 counts up to, or a dim that has no more positions.
bool Distributions::check_choices(const Value& n, Span span) {
  const auto* dim = n.as<DimValue>();
  const std::optional<double> number =
      dim != nullptr ? static_cast<double>(shapes_.dim_of(dim->id).extent.bound) : shapes_.number_of(n);
  if (number && *number >= 1 && *number <= (1 << 24) && std::floor(*number) == *number) return true;
  diagnostics_
      .report(Diag::E0503, span,
              fmt::format(
                  "`UniformInt` takes a dim, or a whole number from 1 to 2^24 that is known while compiling, not {}",
                  shapes_.describe(n)))
      .with_help("`t ~ UniformInt(T)[B]` draws labels of dim T");
  return false;
}

/// The classes are along the last axis of the logits, or along the one that `over` names.
std::optional<Axis> Distributions::class_axis(const Distribution& dist, const Tensor& logits, const Value* over,
                                              Span span) {
  Axes classes;
  if (over != nullptr) {
    const std::optional<Axes> named = shapes_.expect_axes(*over, span);
    if (!named || !shapes_.find_axes(logits, *named, span)) return std::nullopt;
    classes = *named;
  } else if (!logits.axes.empty()) {
    classes = {logits.axes.back()};
  }
  if (classes.size() == 1 && classes[0].dim != kAnonymous) return classes[0];
  diagnostics_
      .report(Diag::E0610, span,
              fmt::format("the classes of `{}` are an axis with a name, and the logits are `{}`", dist.record->name,
                          shapes_.type_text(logits)))
      .with_help("declare `dim Class = 10`, and let the logits be f32[B, Class]");
  return std::nullopt;
}

Value Distributions::make_categorical(Distribution dist, const std::vector<Value>& params, Span span) {
  const std::optional<Tensor> logits = graph_.expect_float(params[0], span);
  if (!logits) return {};
  const std::optional<Axis> classes = class_axis(dist, *logits, params.size() > 1 ? &params[1] : nullptr, span);
  if (!classes) return {};
  graph_.note_use(dist.record->name, {params[0]}, {}, span);
  dist.params = {Value(*logits), Value(ShapeValue{{*classes}})};
  return Value(std::move(dist));
}

/// MixtureSameFamily(logits, Normal(m, s)): the components are along the axis of the logits' classes.
Value Distributions::make_mixture(Distribution dist, const std::vector<Value>& params, Span span) {
  const std::optional<Tensor> logits = graph_.expect_float(params[0], span);
  if (!logits || params[1].bad()) return {};
  const std::optional<Axis> axis = class_axis(dist, *logits, params.size() > 2 ? &params[2] : nullptr, span);
  if (!axis) return {};
  const auto* components = params[1].as<Distribution>();
  const Axes axes = components != nullptr ? distribution_axes(*components, span) : Axes{};
  if (std::ranges::find(axes, *axis) == axes.end()) {
    diagnostics_
        .report(Diag::E0610, span,
                components == nullptr
                    ? fmt::format("the components of a mixture are a distribution, not {}", shapes_.describe(params[1]))
                    : fmt::format("the components have the axes {}, without {} of the logits", shapes_.axes_text(axes),
                                  shapes_.axis_text(*axis)))
        .with_help("write `MixtureSameFamily(logits, Normal(m, s))`, with all three of [B, K]");
    return {};
  }
  dist.params = {Value(*logits), Value(ShapeValue{{*axis}})};
  dist.parts = {*components};
  return Value(std::move(dist));
}

/// MultivariateNormal(mean, chol): the last two axes of the triangle are its rows, which the mean has too, and its
/// columns.
Value Distributions::make_multivariate(Distribution dist, const std::vector<Value>& params, Span span) {
  if (params[0].bad() || params[1].bad()) return {};
  const std::optional<Tensor> mean = graph_.expect_float(params[0], span);
  const std::optional<Tensor> chol = mean ? graph_.expect_float(params[1], span) : std::nullopt;
  if (!chol) return {};
  const size_t rank = chol->axes.size();
  const auto named = [&](size_t i) { return chol->axes[i].dim != kAnonymous; };
  const bool square =
      rank >= 2 && named(rank - 2) && named(rank - 1) && chol->axes[rank - 2].extent == chol->axes[rank - 1].extent;
  if (!square) {
    diagnostics_
        .report(Diag::E0610, span,
                fmt::format("the triangle of a `MultivariateNormal` ends in two axes of one size that have names, and "
                            "this is `{}`",
                            shapes_.type_text(*chol)))
        .with_help("declare `dim Z = 8, W = Z`, and let the triangle be f32[B, Z, W]");
    return {};
  }
  const Axis row = chol->axes[rank - 2], column = chol->axes[rank - 1];
  const auto has = [&](const Axis& axis) { return std::ranges::find(mean->axes, axis) != mean->axes.end(); };
  if (!has(row) || has(column)) {
    diagnostics_
        .report(
            Diag::E0610, span,
            fmt::format("the mean of a `MultivariateNormal` has the axis of the triangle's rows, {}, and not that of "
                        "its columns, {}; it is `{}`",
                        shapes_.axis_text(row), shapes_.axis_text(column), shapes_.type_text(*mean)))
        .with_help("a mean of f32[B, Z] goes with a triangle of f32[B, Z, W], where `dim W = Z`");
    return {};
  }
  graph_.note_use(dist.record->name, params, {}, span);
  dist.params = {Value(*mean), Value(*chol), Value(DimValue{row.dim}), Value(DimValue{column.dim})};
  return Value(std::move(dist));
}

}  // namespace smelt::frontend
