// Draws of distributions, `z ~ Normal(m, s)`, and the site of each.
#include <fmt/format.h>

#include <algorithm>

#include "frontend/calls.h"
#include "frontend/distributions.h"
#include "ir/philox.h"

namespace smelt::frontend {

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

void Distributions::forget_trials(const FunctionContext& init) {
  std::erase_if(sites_, [&](const Site& site) { return site.context != &init; });
}

}  // namespace smelt::frontend
