// Distributions: a table of which library function computes what, draws and their sites.
#include "frontend/distributions.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "frontend/calls.h"
#include "frontend/number_ranges.h"
#include "ir/philox.h"

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

/// Of a MultivariateNormal: the columns of its triangle are the last axis, the rows the one before.
Axis triangle_axis(const Distribution& dist, size_t from_end) {
  const Axes& axes = dist.params[1].as<Tensor>()->axes;
  return axes[axes.size() - from_end];
}

}  // namespace

std::span<const DistributionRecord> all_distributions() { return kDistributions; }

const DistributionRecord* find_distribution(std::string_view name) {
  const auto found = std::ranges::find(kDistributions, name, &DistributionRecord::name);
  return found == std::end(kDistributions) ? nullptr : &*found;
}

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

/// A draw of each component, and of the number of one.
Value Distributions::sample_mixture(const Distribution& dist, const Axes& axes, const std::string& path, Span span) {
  Axes each = axes;
  each.push_back(dist.params[1].as<ShapeValue>()->axes[0]);
  Distribution which;
  which.record = find_distribution("Categorical");
  which.params = dist.params;
  const Value drawn = sample(dist.parts[0], each, path + "/component", span);
  const Value number = sample(which, axes, path + "/which", span);
  return calls_.call_library("_mixture_choice", {drawn, number, dist.params[1]}, span);
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

/// Axes of one draw: those after it, else those that its parameters have together.
Axes Distributions::distribution_axes(const Distribution& dist, Span span) {
  if (dist.shape) return *dist.shape;
  Axes axes;
  if (dist.kind() == DistKind::Mixture) {
    axes = distribution_axes(dist.parts[0], span);
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
  if (dist->kind() == DistKind::Categorical && function == "log_prob") {
    // Labels of several draws lie in front of the logits that they share.
    const auto *labels = args[0].as<Tensor>(), *logits = own[0].as<Tensor>();
    if (labels != nullptr && logits != nullptr && labels->axes.size() >= logits->axes.size()) {
      Axes axes = labels->axes;
      axes.push_back(own[1].as<ShapeValue>()->axes[0]);
      const std::optional<Tensor> each = graph_.broadcast_to(*logits, axes, span);
      if (!each) return {};
      own[0] = Value(*each);
    }
  }
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
  Value result = calls_.call_library(formula, std::move(all), span);
  if (dist->shape && function != "log_prob" && function != "kl") {
    auto t = graph_.expect_float(result, span);
    Axes axes = *dist->shape;
    if (function == "entropy" && dist->kind() == DistKind::MultivariateNormal)
      std::erase(axes, triangle_axis(*dist, 2));
    if (t) t = graph_.broadcast_to(*t, axes, span);
    if (!t) return {};
    t->range = result.as<Tensor>() != nullptr ? result.as<Tensor>()->range : t->range;
    return Value(*t);
  }
  return result;
}

void Distributions::forget_trials(const FunctionContext& init) {
  std::erase_if(sites_, [&](const Site& site) { return site.context != &init; });
}

/// A draw of the running body: its site is the call path and the name it is bound to.
Value Distributions::draw_site(const Distribution& dist, const std::string& name, Span span) {
  const Axes axes = distribution_axes(dist, span);
  const std::string path = scopes_.frame().site + "/" + name;
  const int again = graph_.context().draws[fmt::format("{} {}", path, scopes_.frame().loop)]++;
  return sample(dist, axes, again == 0 ? path : fmt::format("{}~{}", path, again), span);
}

/// Noise of the distribution's kind, turned into a draw: reparameterised, so that gradients reach the
/// parameters.
Value Distributions::sample(const Distribution& dist, const Axes& axes, const std::string& path, Span span) {
  if (!shapes_.check_size(graph_.real(), axes, span)) return {};
  const DistributionRecord& record = *dist.record;
  if (dist.kind() == DistKind::Orthogonal && axes.size() != 2) {
    diagnostics_
        .report(Diag::E0610, span, fmt::format("an orthogonal start is for a matrix, not for {} axes", axes.size()))
        .with_help("write `he_normal(fan_in)`, or another start");
    return {};
  }
  if (dist.kind() == DistKind::Mixture) return sample_mixture(dist, axes, path, span);
  Axes noise_axes = axes;
  if (dist.kind() == DistKind::Categorical) noise_axes.push_back(dist.params[1].as<ShapeValue>()->axes[0]);
  if (dist.kind() == DistKind::MultivariateNormal)
    std::ranges::replace(noise_axes, triangle_axis(dist, 2), triangle_axis(dist, 1));
  if (!shapes_.check_size(graph_.real(), noise_axes, span)) return {};
  const TensorType type{graph_.real(), shape_of(noise_axes)};
  graph_.builder().set_span(span);
  const NodeId seed = graph_.seed_argument(), run = graph_.run_argument();
  const auto site = static_cast<int64_t>(fnv1a(path.data(), path.size()));
  const int64_t loop = graph_.context().is_init ? 0 : scopes_.frame().loop;
  const Result<NodeId> node =
      graph_.builder().push(record.noise, {seed, run}, {{"site", site}, {"loop", loop}, {"type", type}});
  if (!node) {
    const bool bounded = std::ranges::any_of(type.shape, [](const Extent& extent) { return !extent.is_static(); });
    diagnostics_.report(Diag::E0202, span, node.error().message)
        .with_help(bounded ? "give its dims smaller bounds" : "draw fewer numbers at once");
    return {};
  }
  sites_.push_back({&graph_.context(), *node, path});
  const Tensor noise = graph_.tensor(*node, noise_axes);
  const auto is = [&](size_t i, double value) { return shapes_.number_of(dist.params[i]) == value; };
  Value result;
  if (dist.kind() == DistKind::Normal && !dist.by_logvar && is(0, 0) && is(1, 1))
    result = Value(noise);
  else if (dist.kind() == DistKind::Uniform && is(0, 0) && is(1, 1))
    result = Value(noise);
  else {
    std::vector<Value> args{Value(noise)};
    args.insert(args.end(), dist.params.begin(), dist.params.end());
    const bool by_std = dist.kind() == DistKind::Normal && !dist.by_logvar;
    result = calls_.call_library(fmt::format("_{}_from_noise{}", record.prefix, by_std ? "_std" : ""), std::move(args),
                                 span);
  }
  const auto* drawn = result.as<Tensor>();
  if (drawn == nullptr) return {};
  std::optional<Tensor> shaped = graph_.broadcast_to(*drawn, axes, span);
  if (shaped && dist.kind() != DistKind::Normal)
    shaped->range = dist.kind() == DistKind::Bernoulli ? std::optional(Range{0, 1}) : std::nullopt;
  if (shaped && shaped->dtype == DType::I32) shaped->label = label_of(dist);
  return shaped ? Value(*shaped) : Value();
}

/// The dim that draws are labels of.
DimId Distributions::label_of(const Distribution& dist) {
  if (const auto* classes = dist.params.back().as<ShapeValue>()) return classes->axes[0].dim;
  const auto* dim = dist.params[0].as<DimValue>();
  return dim != nullptr ? dim->id : kAnonymous;
}

void Distributions::move_site(const FunctionContext& context, NodeId from, NodeId to) {
  for (Site& site : sites_)
    if (site.context == &context && site.node == from) site.node = to;
}

}  // namespace smelt::frontend
