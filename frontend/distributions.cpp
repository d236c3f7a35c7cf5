// Distributions: a table of which library function computes what, draws and their sites.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "frontend/elaborator.h"

namespace smelt::frontend {

namespace {

struct DistInfo {
  DistKind kind;
  std::string_view prefix;  // of the functions in std/dist.smelt
  OpKind noise;
};
constexpr DistInfo kDistributions[] = {
    {DistKind::Normal, "normal", OpKind::RandomNormal},
    {DistKind::Bernoulli, "bernoulli", OpKind::RandomUniform},
    {DistKind::Uniform, "uniform", OpKind::RandomUniform},
};
const DistInfo& info_of(DistKind kind) { return kDistributions[static_cast<size_t>(kind)]; }

}  // namespace

Value Elaborator::make_distribution(DistKind kind, std::vector<Value> params, bool by_logvar, Span span) {
  Distribution dist;
  dist.kind = kind;
  dist.by_logvar = by_logvar;
  for (const Value& param : params) {
    if (param.bad()) return {};
    if (!number_of(param) && !expect_float(param, span)) return {};
  }
  if (kind == DistKind::Normal && !by_logvar) {
    const auto std = number_of(params[1]);
    if (std && *std < 0) {
      error(Diag::E0503, span, fmt::format("a standard deviation is at least 0, not {}", *std));
      return {};
    }
  }
  if (params.size() == 2) {
    const auto *first = params[0].as<Tensor>(), *second = params[1].as<Tensor>();
    if (first != nullptr && second != nullptr && refuse_all_pairs(*first, *second, span, "a distribution")) return {};
  }
  dist.params = std::move(params);
  return Value(std::move(dist));
}

/// Axes of one draw: those after it, else those that its parameters have together.
Axes Elaborator::distribution_axes(const Distribution& dist, Span span) {
  if (dist.shape) return *dist.shape;
  Axes axes;
  std::vector<Value> tensors;
  for (const Value& param : dist.params)
    if (param.as<Tensor>() != nullptr) tensors.push_back(param);
  if (tensors.empty()) return axes;
  const auto aligned = align(tensors, span, "a distribution");
  return aligned ? aligned->front().axes : axes;
}

/// A tensor as it is; of a distribution of tensors one that stands for its axes; a number otherwise.
Value Elaborator::axes_of_value(const Value& value, Span span) {
  const auto* dist = value.as<Distribution>();
  if (dist == nullptr) return value;
  const bool numbers = std::ranges::none_of(dist->params, [](const Value& v) { return v.as<Tensor>() != nullptr; });
  if (numbers && !dist->shape) return Value(0.0);
  Tensor stand_in;
  stand_in.dtype = real();
  stand_in.axes = distribution_axes(*dist, span);
  return Value(stand_in);
}

/// log_prob, kl, entropy and mean of a distribution, from std/dist.smelt.
Value Elaborator::distribution_function(std::string_view function, const Value& value, std::vector<Value> args,
                                        Span span) {
  if (value.bad()) return {};
  const auto* dist = value.as<Distribution>();
  if (dist == nullptr) {
    error(Diag::E0610, span, fmt::format("`{}` is of a distribution, not of {}", function, describe(value)));
    return {};
  }
  const auto* other = function == "kl" ? args[0].as<Distribution>() : nullptr;
  const auto by_std = [](const Distribution& d) { return d.kind == DistKind::Normal && !d.by_logvar; };
  // Formulas by the standard deviation lose nothing to its logarithm; kl of both kinds takes logarithms.
  const bool std_form = by_std(*dist) && (other == nullptr || by_std(*other));
  const auto parameters = [&](const Distribution& d) {
    std::vector<Value> list = d.params;
    if (std_form || !by_std(d)) return list;
    const auto std = number_of(list[1]);  // logvar = 2 log std
    list[1] = std ? Value(2 * std::log(*std))
                  : binary(ast::BinaryOp::Mul, Value(2.0), elementwise(OpKind::Log, {list[1]}, span, "`log`"), span);
    return list;
  };
  std::vector<Value> all;
  if (function == "log_prob") {
    const auto* x = args[0].as<Tensor>();
    if (dist->kind == DistKind::Bernoulli && x != nullptr && x->range && (x->range->low < 0 || x->range->high > 1)) {
      error(Diag::W0004, span, fmt::format("Bernoulli likelihood of data in {}..{}", x->range->low, x->range->high))
          .with_help("scale the data to 0..1");
    }
    if (!same_axes(axes_of_value(value, span), axes_of_value(args[0], span), span, "`log_prob`", true)) return {};
    all = {args[0]};
  }
  const std::vector<Value> own = parameters(*dist);
  all.insert(all.end(), own.begin(), own.end());
  if (function == "kl") {
    if (other == nullptr || other->kind != dist->kind || dist->kind == DistKind::Uniform) {
      error(Diag::E0610, span,
            fmt::format("no closed form of kl between {} and {}", describe(value), describe(args[0])))
          .with_help("estimate it: log_prob(q, z) - log_prob(p, z) for z ~ q");
      return {};
    }
    if (!same_axes(axes_of_value(value, span), axes_of_value(args[0], span), span, "`kl`", true)) return {};
    const std::vector<Value> theirs = parameters(*other);
    all.insert(all.end(), theirs.begin(), theirs.end());
  }
  Value result = call_library(fmt::format("{}_{}{}", info_of(dist->kind).prefix, function, std_form ? "_std" : ""),
                              std::move(all), span);
  if (dist->shape && function != "log_prob" && function != "kl") {
    auto t = expect_float(result, span);
    if (t) t = broadcast_to(*t, *dist->shape, span);
    if (!t) return {};
    t->range = result.as<Tensor>() != nullptr ? result.as<Tensor>()->range : t->range;
    return Value(*t);
  }
  return result;
}

/// A draw of the running body: its site is the call path and the name it is bound to.
Value Elaborator::draw_site(const Distribution& dist, const std::string& name, Span span) {
  const Axes axes = distribution_axes(dist, span);
  const std::string path = frame_->site + "/" + name;
  const int again = context_->draws[fmt::format("{} {}", path, frame_->loop)]++;
  return sample(dist, axes, again == 0 ? path : fmt::format("{}~{}", path, again), span);
}

/// Noise of the distribution's kind, turned into a draw: reparameterised, so that gradients reach the
/// parameters.
Value Elaborator::sample(const Distribution& dist, const Axes& axes, const std::string& path, Span span) {
  if (!check_size(real(), axes, span)) return {};
  const DistInfo& record = info_of(dist.kind);
  const TensorType type{real(), shape_of(axes)};
  graph().set_span(span);
  const NodeId seed = seed_argument(), run = run_argument();
  const auto site = static_cast<int64_t>(fnv1a(path.data(), path.size()));
  const int64_t loop = context_->is_init ? 0 : frame_->loop;
  const Result<NodeId> node = graph().push(record.noise, {seed, run}, {{"site", site}, {"loop", loop}, {"type", type}});
  if (!node) {
    error(Diag::E0202, span, node.error().message);
    return {};
  }
  sites_.push_back({context_, *node, path});
  const Tensor noise = tensor(*node, axes);
  const auto is = [&](size_t i, double value) { return number_of(dist.params[i]) == value; };
  Value result;
  if (dist.kind == DistKind::Normal && !dist.by_logvar && is(0, 0) && is(1, 1))
    result = Value(noise);
  else if (dist.kind == DistKind::Uniform && is(0, 0) && is(1, 1))
    result = Value(noise);
  else {
    std::vector<Value> args{Value(noise)};
    args.insert(args.end(), dist.params.begin(), dist.params.end());
    const bool by_std = dist.kind == DistKind::Normal && !dist.by_logvar;
    result = call_library(fmt::format("{}_from_noise{}", record.prefix, by_std ? "_std" : ""), std::move(args), span);
  }
  const auto* drawn = result.as<Tensor>();
  if (drawn == nullptr) return {};
  std::optional<Tensor> shaped = broadcast_to(*drawn, axes, span);
  if (shaped && dist.kind != DistKind::Normal)
    shaped->range = dist.kind == DistKind::Bernoulli ? std::optional(Range{0, 1}) : std::nullopt;
  return shaped ? Value(*shaped) : Value();
}

}  // namespace smelt::frontend
