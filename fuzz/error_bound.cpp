#include "fuzz/error_bound.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "fuzz/noise.h"

namespace smelt::fuzz {
namespace {

constexpr double kNeighbours = 0.25;  // of the whole result's spread counts for each element
constexpr double kLostBits = 0x1p14;  // ill conditioned from here on, in roundings
constexpr double kCoarse = 0x1p-5;    // and of the size of a result that halves are computed for

double rms(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value * value;
  return values.empty() ? 0 : std::sqrt(sum / static_cast<double>(values.size()));
}

double largest_magnitude(const RefTensor& tensor) {
  double largest = 0;
  for (const double value : tensor.values) largest = std::max(largest, std::fabs(value));
  return largest;
}

void widen_spread(Expected& expected, std::span<const RefTensor> results) {
  for (size_t r = 0; r < results.size(); ++r) {
    for (size_t i = 0; i < results[r].values.size(); ++i) {
      const double difference = std::fabs(results[r].values[i] - expected.exact[r].values[i]);
      expected.spread[r][i] = std::max(expected.spread[r][i], std::isnan(difference) ? 0 : difference);
    }
  }
}

double deviation_of(double got, double exact, double allowed, bool may_change) {
  if (got == exact || (std::isnan(got) && std::isnan(exact)) || may_change) return 0;
  const double ratio = std::fabs(got - exact) / allowed;
  return std::isnan(ratio) ? INFINITY : ratio;
}

}  // namespace

Result<Expected> expected_results(const Graph& graph, std::span<const RefTensor> arguments,
                                  std::span<const int64_t> extents, const Arithmetic& arithmetic, int samples) {
  std::vector<HalfValue> halves;
  ExactValues values(halves);
  EvalOptions exact;
  exact.adjust = [&](const Node& node, std::span<const RefTensor* const>, RefTensor& result) {
    values.adjust(node, result);
  };
  Expected expected{.arithmetic = arithmetic, .exact = {}, .spread = {}, .common = {}};
  SMELT_TRY(expected.exact, evaluate(graph, arguments, extents, exact));
  for (const RefTensor& result : expected.exact) expected.spread.emplace_back(result.values.size(), 0.0);
  const auto sample = [&](HalfNoise half_noise) -> Result<void> {
    for (int k = 0; k < samples; ++k) {
      const TermOrder order = samples > kFewSamples && k % 2 == 1 ? TermOrder::Any : TermOrder::AsEvaluated;
      Noise noise(arithmetic, half_noise, order, halves, static_cast<uint64_t>(k) + 1);
      EvalOptions noisy;
      noisy.adjust = [&](const Node& node, std::span<const RefTensor* const> operands, RefTensor& result) {
        noise.adjust(node, operands, result);
      };
      SMELT_TRY(const std::vector<RefTensor> results, evaluate(graph, arguments, extents, noisy));
      widen_spread(expected, results);
    }
    return {};
  };
  SMELT_TRY_VOID(sample(arithmetic.halves == HalfRounding::Freely ? HalfNoise::Unit : HalfNoise::Kept));
  for (const std::vector<double>& spread : expected.spread) expected.common.push_back(rms(spread));
  if (arithmetic.halves == HalfRounding::Once) SMELT_TRY_VOID(sample(HalfNoise::Open));
  return expected;
}

Deviation worst_deviation(const Expected& expected, std::span<const RefTensor> results) {
  Deviation worst;
  const double eps = epsilon(expected.arithmetic.dtype);
  for (size_t r = 0; r < expected.exact.size(); ++r) {
    const RefTensor& exact = expected.exact[r];
    const bool floats = is_float(exact.type.dtype);
    const double common = kNeighbours * expected.common[r];
    for (size_t i = 0; i < exact.values.size(); ++i) {
      const double spread = expected.spread[r][i];
      const double allowed = floats ? kSafety * (spread + common + eps * std::fabs(exact.values[i])) + 1e-30 : 0.5;
      const double ratio = deviation_of(results[r].values[i], exact.values[i], allowed, !floats && spread > 0);
      if (ratio > worst.ratio) worst = {ratio, r, i, results[r].values[i], exact.values[i], allowed};
    }
  }
  return worst;
}

std::string to_string(const Deviation& deviation) {
  return fmt::format("result {} element {}: {} instead of {}, {:.3g} times the allowed {:.3g}", deviation.result,
                     deviation.element, deviation.got, deviation.exact, deviation.ratio, deviation.allowed);
}

bool ill_conditioned(const Expected& expected, size_t result) {
  const RefTensor& exact = expected.exact[result];
  const double share = expected.arithmetic.is_coarse() ? kCoarse : kLostBits * epsilon(expected.arithmetic.dtype);
  return expected.common[result] > (is_float(exact.type.dtype) ? share * largest_magnitude(exact) : 0);
}

}  // namespace smelt::fuzz
