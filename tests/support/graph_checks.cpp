#include "tests/support/graph_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "tests/support/op_samples.h"

namespace smelt::testing {

std::vector<RefTensor> run(const Graph& graph, std::span<const RefTensor> arguments, std::span<const int64_t> extents) {
  Result<std::vector<RefTensor>> results = evaluate(graph, arguments, extents);
  if (!results) throw std::runtime_error(results.error().message);
  return *std::move(results);
}

double worst_difference(std::span<const RefTensor> a, std::span<const RefTensor> b) {
  if (a.size() != b.size()) return INFINITY;
  double worst = 0;
  for (size_t k = 0; k < a.size(); ++k) {
    if (a[k].sizes != b[k].sizes) return INFINITY;
    for (size_t i = 0; i < a[k].values.size(); ++i) {
      const double x = a[k].values[i], y = b[k].values[i];
      if (x == y || (std::isnan(x) && std::isnan(y))) continue;
      const double difference = std::fabs(x - y) / std::max(1.0, std::fabs(y));
      worst = std::max(worst, std::isnan(difference) ? INFINITY : difference);
    }
  }
  return worst;
}

double directional_difference(const std::function<double(const RefTensor&)>& f, const RefTensor& x,
                              std::span<const double> direction, double h) {
  const auto at = [&](double step) {
    RefTensor moved = x;
    for (size_t i = 0; i < direction.size(); ++i) moved.values[i] += step * direction[i];
    return f(moved);
  };
  return (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h);
}

GradientError check_gradient(const Graph& graph, size_t gradient, size_t loss, size_t wrt,
                             std::vector<RefTensor> arguments, std::span<const int64_t> extents) {
  const RefTensor computed = run(graph, arguments, extents)[gradient];
  return check_gradient(computed, graph, loss, wrt, std::move(arguments), extents);
}

GradientError check_gradient(const RefTensor& computed, const Graph& graph, size_t loss, size_t wrt,
                             std::vector<RefTensor> arguments, std::span<const int64_t> extents) {
  const RefTensor x = arguments[wrt];
  // The loss alone, so that the gradient's nodes are not evaluated for each difference.
  Graph loss_only = graph;
  loss_only.results = {graph.results[loss]};
  loss_only.nodes.resize(graph.results[loss].node.index + 1);
  const auto f = [&](const RefTensor& moved) {
    arguments[wrt] = moved;
    return run(loss_only, arguments, extents)[0].values[0];
  };

  GradientError error;
  const auto compare = [&](const std::vector<double>& direction, const std::string& where) {
    double along = 0;
    for (size_t i = 0; i < direction.size(); ++i) along += computed.values[i] * direction[i];
    const double difference = directional_difference(f, x, direction);
    const double relative = std::fabs(along - difference) / std::max(1.0, std::fabs(difference));
    if (relative > error.worst || std::isnan(relative)) {
      error = {std::isnan(relative) ? INFINITY : relative,
               fmt::format("{}: {} against {} by differences", where, along, difference)};
    }
  };
  const size_t count = x.values.size();
  if (count <= 64) {
    for (size_t i = 0; i < count; ++i) {
      std::vector<double> direction(count);
      direction[i] = 1;
      compare(direction, fmt::format("element {}", i));
    }
    return error;
  }
  Numbers numbers(99);
  for (int k = 0; k < 8; ++k) {
    std::vector<double> direction(count);
    for (double& value : direction) value = numbers.uniform(-1, 1) / std::sqrt(static_cast<double>(count));
    compare(direction, fmt::format("direction {}", k));
  }
  return error;
}

}  // namespace smelt::testing
