// Distributions: what the library computes of them, draws and their sites. Members are defined in distributions.cpp,
// those that check parameters in make_distribution.cpp, those of draws in draws.cpp.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "frontend/graph_writer.h"

namespace smelt {

class Diagnostics;

namespace frontend {

class Scopes;
class Shapes;
class GraphWriter;
class Calls;

/// A draw's place, for the resolution of collisions.
struct Site {
  FunctionContext* context = nullptr;
  NodeId node;
  std::string path;
};

class Distributions {
 public:
  Distributions(Scopes& scopes, Shapes& shapes, GraphWriter& graph, Calls& calls, Diagnostics& diagnostics)
      : scopes_(scopes), shapes_(shapes), graph_(graph), calls_(calls), diagnostics_(diagnostics) {}

  Value make_distribution(const DistributionRecord& record, std::vector<Value> params, bool by_logvar, Span span);
  Axes distribution_axes(const Distribution& dist, Span span);
  Value distribution_function(std::string_view function, const Value& dist, std::vector<Value> args, Span span);
  Value draw_site(const Distribution& dist, const std::string& name, Span span);
  Value sample(const Distribution& dist, const Axes& axes, const std::string& path, Span span);

  /// Of all draws so far.
  const std::vector<Site>& sites() const { return sites_; }
  /// The draw `from` is now made by `to`.
  void move_site(const FunctionContext& context, NodeId from, NodeId to);
  /// Forgets those of all functions but this one.
  void forget_trials(const FunctionContext& init);

 private:
  /// Of a MultivariateNormal: the columns of its triangle are the last axis, the rows the one before.
  static Axis triangle_axis(const Distribution& dist, size_t from_end);
  std::optional<Axis> class_axis(const Distribution& dist, const Tensor& logits, const Value* over, Span span);
  bool check_spread(const DistributionRecord& record, const std::vector<Value>& params, Span span);
  Value make_categorical(Distribution dist, const std::vector<Value>& params, Span span);
  Value make_mixture(Distribution dist, const std::vector<Value>& params, Span span);
  Value make_multivariate(Distribution dist, const std::vector<Value>& params, Span span);
  /// What a function of a mixture is, from those of its components.
  Value mixture_function(std::string_view function, const Distribution& dist, const Value& x, Span span);
  bool repeat_logits(std::vector<Value>& params, const Value& drawn, Span span);
  Value repeated_by_draw(std::string_view function, const Distribution& dist, const Value& result, Span span);
  Value sample_mixture(const Distribution& dist, const Axes& axes, const std::string& path, Span span);
  bool check_choices(const Value& n, Span span);
  static DimId label_of(const Distribution& dist);
  Value axes_of_value(const Value& value, Span span);

  Scopes& scopes_;
  Shapes& shapes_;
  GraphWriter& graph_;
  Calls& calls_;
  Diagnostics& diagnostics_;
  std::vector<Site> sites_;
};

}  // namespace frontend
}  // namespace smelt
