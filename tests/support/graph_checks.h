// Derivatives of graphs against differences, and graphs against graphs.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "ir/evaluator.h"
#include "ir/graph.h"

namespace smelt::testing {

/// Evaluates in f64; a failure is a failed test.
std::vector<RefTensor> run(const Graph& graph, std::span<const RefTensor> arguments, std::span<const int64_t> extents);

/// The largest |a - b| / max(1, |b|) over all elements; infinite when shapes differ or one alone is NaN.
double worst_difference(std::span<const RefTensor> a, std::span<const RefTensor> b);

/// d f / d x along `direction` by the 5-point formula: error O(h^4) + O(eps / h), about 1e-12 for smooth f of
/// size 1.
double directional_difference(const std::function<double(const RefTensor&)>& f, const RefTensor& x,
                              std::span<const double> direction, double h = 1e-3);

/// Where a gradient is furthest from differences, and by how much: |g - d| / max(1, |d|).
struct GradientError {
  double worst = 0;
  std::string where;
};

/// Compares result k of `graph`, which is the gradient of result `loss` with respect to argument `wrt`, with
/// differences of `loss`: every element when there are at most 64, else 8 random directions.
GradientError check_gradient(const Graph& graph, size_t gradient, size_t loss, size_t wrt,
                             std::vector<RefTensor> arguments, std::span<const int64_t> extents);
/// The same for a gradient that something else computed.
GradientError check_gradient(const RefTensor& computed, const Graph& graph, size_t loss, size_t wrt,
                             std::vector<RefTensor> arguments, std::span<const int64_t> extents);

}  // namespace smelt::testing
