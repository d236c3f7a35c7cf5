// Distributions: which library function computes what of each, its axes, and densities and the like.
#include "frontend/distributions.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "frontend/calls.h"

namespace smelt::frontend {

namespace {

constexpr DistributionRecord kDistributions[] = {
    {DistKind::Normal, "Normal", "mean, std=, logvar=", "normal", OpKind::RandomNormal,
     "e^(-(x - mean)^2 / (2 std^2)) / (std sqrt(2 pi)), with std = e^(logvar / 2)",
     "`Normal` takes a mean and either std or logvar", "write `Normal(0, 1)` or `Normal(mean = m, logvar = v)`"},
    {DistKind::Bernoulli, "Bernoulli", "logits", "bernoulli", OpKind::RandomUniform,
     "p^x (1 - p)^(1 - x) with p = sigmoid(logits), x in 0..1"},
    {DistKind::Uniform,
     "Uniform",
     "low, high",
     "uniform",
     OpKind::RandomUniform,
     "1 / (high - low) between low and high, else 0",
     {},
     {},
     false},
    {DistKind::Laplace, "Laplace", "mean, scale", "laplace", OpKind::RandomUniform,
     "e^(-|x - mean| / scale) / (2 scale)"},
    {DistKind::LogNormal, "LogNormal", "mean, std", "log_normal", OpKind::RandomNormal,
     "what e^z has for z of Normal(mean, std)"},
    {DistKind::Categorical, "Categorical", "logits, over=", "categorical", OpKind::RandomUniform,
     "softmax(logits, over) at the label x: ix<K>; the classes are the last axis of the logits, f32[.., K], or `over`"},
    {DistKind::UniformInt,
     "UniformInt",
     "n",
     "uniform_int",
     OpKind::RandomUniform,
     "1 / n for each of 0 to n - 1",
     {},
     {},
     false},
    {DistKind::TruncatedNormal,
     "TruncatedNormal",
     "mean, std",
     "truncated_normal",
     OpKind::RandomUniform,
     "the Normal within 2 std of the mean, divided by 0.9545",
     {},
     {},
     false},
    {DistKind::Mixture,
     "MixtureSameFamily",
     "logits, components, over=",
     "mixture",
     OpKind::RandomUniform,
     "sum of softmax(logits)_k times the density of component k; all have the axis K of the components, f32[.., K]",
     {},
     {},
     false},
    {DistKind::MultivariateNormal, "MultivariateNormal", "mean, chol", "multivariate_normal", OpKind::RandomNormal,
     "e^(-|L^-1 (x - mean)|^2 / 2) / (det L (2 pi)^(n/2)) of x, mean: f32[.., Z] and the lower triangle L = chol: "
     "f32[.., Z, W], `dim W = Z`; the covariance is L L^T"},
    {DistKind::Orthogonal,
     "Orthogonal",
     "gain",
     "orthogonal",
     OpKind::RandomNormal,
     "start values of a matrix: gain times a matrix with orthonormal rows or columns, uniform among all. Saxe et al. "
     "2013",
     {},
     {},
     false},
};

}  // namespace

std::span<const DistributionRecord> all_distributions() { return kDistributions; }

const DistributionRecord* find_distribution(std::string_view name) {
  const auto found = std::ranges::find(kDistributions, name, &DistributionRecord::name);
  return found == std::end(kDistributions) ? nullptr : &*found;
}

Axis Distributions::triangle_axis(const Distribution& dist, size_t from_end) {
  const Axes& axes = dist.params[1].as<Tensor>()->axes;
  return axes[axes.size() - from_end];
}

/// Components that all rows share lack the rows, which the logits have; or the other way round.
static Axes axes_of_both(const Axes& parts, const Axes& logits) {
  const auto lacks = [](const Axes& axes) {
    return [&axes](const Axis& axis) { return std::ranges::find(axes, axis) == axes.end(); };
  };
  const bool logits_have_all = std::ranges::none_of(parts, lacks(logits));
  if (logits_have_all && logits.size() > parts.size()) return logits;
  Axes both = parts;
  std::ranges::copy_if(logits, std::back_inserter(both), lacks(parts));
  return both;
}

/// Axes of one draw: those after it, else those that its parameters have together.
Axes Distributions::distribution_axes(const Distribution& dist, Span span) {
  if (dist.shape) return *dist.shape;
  Axes axes;
  if (dist.kind() == DistKind::Mixture) {
    axes = axes_of_both(distribution_axes(dist.parts[0], span), dist.params[0].as<Tensor>()->axes);
    std::erase(axes, dist.params[1].as<ShapeValue>()->axes[0]);
    return axes;
  }
  std::vector<Value> tensors;
  for (const Value& param : dist.params)
    if (param.as<Tensor>() != nullptr) tensors.push_back(param);
  if (tensors.empty()) return axes;
  const auto aligned = graph_.align(tensors, span, "a distribution");
  if (!aligned) return axes;
  axes = aligned->front().axes;
  if (dist.kind() == DistKind::Categorical) std::erase(axes, dist.params[1].as<ShapeValue>()->axes[0]);
  if (dist.kind() == DistKind::MultivariateNormal) std::erase(axes, triangle_axis(dist, 1));
  return axes;
}

/// A tensor as it is; of a distribution of tensors one that stands for its axes; a number otherwise.
Value Distributions::axes_of_value(const Value& value, Span span) {
  const auto* dist = value.as<Distribution>();
  if (dist == nullptr) return value;
  const bool numbers = std::ranges::none_of(dist->params, [](const Value& v) { return v.as<Tensor>() != nullptr; });
  if (numbers && !dist->shape) return Value(0.0);
  Tensor stand_in;
  stand_in.dtype = graph_.real();
  stand_in.axes = distribution_axes(*dist, span);
  return Value(stand_in);
}

Value Distributions::mixture_function(std::string_view function, const Distribution& dist, const Value& x, Span span) {
  const Value parts(dist.parts[0]);
  if (function == "mean")
    return calls_.call_library("mixture_mean",
                               {distribution_function("mean", parts, {}, span), dist.params[0], dist.params[1]}, span);
  if (function != "log_prob") {
    diagnostics_.report(Diag::E0610, span, fmt::format("`{}` has no {} in closed form", dist.record->name, function))
        .with_help("estimate it from draws and `log_prob`");
    return {};
  }
  Value each = x;  // one for all components
  if (const auto* t = x.as<Tensor>()) {
    Axes axes = t->axes;
    std::vector<int64_t> places(axes.size());
    for (size_t i = 0; i < places.size(); ++i) places[i] = static_cast<int64_t>(i);
    axes.push_back(dist.params[1].as<ShapeValue>()->axes[0]);
    each = Value(graph_.expand(*t, axes, places));
  }
  return calls_.call_library("mixture_log_prob",
                             {distribution_function("log_prob", parts, {each}, span), dist.params[0], dist.params[1]},
                             span);
}

/// Of `params` of a Categorical: labels of several draws lie in front of the logits that they share.
bool Distributions::repeat_logits(std::vector<Value>& params, const Value& drawn, Span span) {
  const auto *labels = drawn.as<Tensor>(), *logits = params[0].as<Tensor>();
  if (labels == nullptr || logits == nullptr || labels->axes.size() < logits->axes.size()) return true;
  Axes axes = labels->axes;
  axes.push_back(params[1].as<ShapeValue>()->axes[0]);
  const std::optional<Tensor> each = graph_.broadcast_to(*logits, axes, span);
  if (each) params[0] = Value(*each);
  return each.has_value();
}

/// log_prob, kl, entropy and mean of a distribution, from std/dist.smelt.
Value Distributions::distribution_function(std::string_view function, const Value& value, std::vector<Value> args,
                                           Span span) {
  if (value.bad()) return {};
  const auto* dist = value.as<Distribution>();
  if (dist == nullptr) {
    const std::string name(function == "mean" ? "mean_of" : function);
    const std::string more = args.empty() ? "" : ", ..";
    std::string help = fmt::format("a distribution stands there: `{}(Normal(m, s){})`", name, more);
    if (value.as<Tensor>() != nullptr && function == "mean") help = "`mean(x)` is the mean of a tensor; " + help;
    diagnostics_
        .report(Diag::E0610, span, fmt::format("`{}` is of a distribution, not of {}", name, shapes_.describe(value)))
        .with_help(std::move(help));
    return {};
  }
  const auto* other = function == "kl" ? args[0].as<Distribution>() : nullptr;
  const auto by_std = [](const Distribution& d) { return d.kind() == DistKind::Normal && !d.by_logvar; };
  // Formulas by the standard deviation lose nothing to its logarithm; kl of both kinds takes logarithms.
  const bool std_form = by_std(*dist) && (other == nullptr || by_std(*other));
  const auto parameters = [&](const Distribution& d) {
    std::vector<Value> list = d.params;
    if (std_form || !by_std(d)) return list;
    const auto std = shapes_.number_of(list[1]);  // logvar = 2 log std
    list[1] = std ? Value(2 * std::log(*std))
                  : graph_.binary(ast::BinaryOp::Mul, Value(2.0),
                                  graph_.elementwise(OpKind::Log, {list[1]}, span, "`log`"), span);
    return list;
  };
  std::vector<Value> all;
  if (function == "log_prob") {
    if (!graph_.same_axes(axes_of_value(value, span), axes_of_value(args[0], span), span, "`log_prob`", true))
      return {};
    if (dist->kind() == DistKind::Mixture) return mixture_function(function, *dist, args[0], span);
    all = {args[0]};
  }
  if (dist->kind() == DistKind::Mixture && function != "kl") return mixture_function(function, *dist, {}, span);
  std::vector<Value> own = parameters(*dist);
  if (dist->kind() == DistKind::Categorical && function == "log_prob" && !repeat_logits(own, args[0], span)) return {};
  all.insert(all.end(), own.begin(), own.end());
  if (function == "kl") {
    if (other == nullptr || other->kind() != dist->kind() || !dist->record->closed_kl) {
      diagnostics_
          .report(
              Diag::E0610, span,
              fmt::format("no closed form of kl between {} and {}", shapes_.describe(value), shapes_.describe(args[0])))
          .with_help("estimate it: log_prob(q, z) - log_prob(p, z) for z ~ q");
      return {};
    }
    if (!graph_.same_axes(axes_of_value(value, span), axes_of_value(args[0], span), span, "`kl`", true)) return {};
    const std::vector<Value> theirs = parameters(*other);
    all.insert(all.end(), theirs.begin(), theirs.end());
  }
  const std::string formula = fmt::format("{}_{}{}", dist->record->prefix, function, std_form ? "_std" : "");
  if (!calls_.in_library(formula)) {
    diagnostics_.report(Diag::E0610, span,
                        fmt::format("`{}` has no {}", dist->record->name, function == "mean" ? "mean" : function));
    return {};
  }
  const Value result = calls_.call_library(formula, std::move(all), span);
  const bool of_each_draw = dist->shape && (function == "entropy" || function == "mean");
  return of_each_draw ? repeated_by_draw(function, *dist, result, span) : result;
}

/// An entropy or mean with the axes of the draws: `Normal(0, 1)[B, Z]` has one at each place.
Value Distributions::repeated_by_draw(std::string_view function, const Distribution& dist, const Value& result,
                                      Span span) {
  auto t = graph_.expect_float(result, span);
  Axes axes = *dist.shape;
  if (function == "entropy" && dist.kind() == DistKind::MultivariateNormal) std::erase(axes, triangle_axis(dist, 2));
  if (t) t = graph_.broadcast_to(*t, axes, span);
  if (!t) return {};
  t->range = result.as<Tensor>() != nullptr ? result.as<Tensor>()->range : t->range;
  return Value(*t);
}

}  // namespace smelt::frontend
