#include "fuzz/error_bound.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "fuzz/numbers.h"
#include "ir/op.h"

namespace smelt::fuzz {
namespace {

constexpr double kSafety = 8;          // deviations of code against those of the noise; see docs/testing.md
constexpr double kNeighbours = 0.25;   // of the whole result's spread counts for each element
constexpr double kLostBits = 0x1p14;   // ill conditioned from here on, in roundings
constexpr double kExpensiveUlps = 2;   // error of exp, log and their like

double epsilon(DType dtype) { return dtype == DType::F64 ? 0x1p-53 : 0x1p-24; }
double to_grid(double value, DType dtype) { return dtype == DType::F32 ? static_cast<float>(value) : value; }
/// Whether arithmetic is likely to have given the value without rounding.
bool looks_exact(double value) { return value == static_cast<float>(value); }

/// Moves results of operations as their rounding could. Equal results of one op move alike, as they would: in a sum of
/// equal terms errors add up instead of cancelling.
class Noise {
 public:
  Noise(DType dtype, uint64_t seed) : dtype_(dtype), seed_(seed) {}

  void adjust(const Node& node, std::span<const RefTensor* const> operands, RefTensor& result) {
    if (!is_float(result.type.dtype)) return;
    const OpDef& def = op_def(node);
    op_ = node.op;
    switch (def.kind) {
      case Kind::Constant: return round_all(result);
      case Kind::Elementwise: return elementwise(def, operands, result);
      case Kind::Reduce:
        if (std::isfinite(def.identity)) sums(node, operands, result);
        return;
      case Kind::Contract:
      case Kind::Scatter: return sums(node, operands, result);
      case Kind::Random:
        // A normal is a radius times a cosine, whose error does not shrink where the cosine is small.
        for (double& value : result.values) value = moved(value, kExpensiveUlps * (1 + std::fabs(value)));
        return;
      default: return;  // moves values only
    }
  }

  static void round_all(RefTensor& result) {
    for (double& value : result.values) value = to_grid(value, result.type.dtype);
  }

 private:
  /// -1..1, by the value.
  double direction(double value) const {
    Numbers numbers(seed_ * 0x9E3779B97F4A7C15u ^ std::bit_cast<uint64_t>(value) ^ static_cast<uint64_t>(op_) << 56);
    return numbers.uniform(-1, 1);
  }

  double moved(double value, double size) const {
    if (!std::isfinite(value) || looks_exact(value)) return value;
    return to_grid(value + epsilon(dtype_) * size * direction(value), dtype_);
  }

  void elementwise(const OpDef& def, std::span<const RefTensor* const> operands, RefTensor& result) {
    const double ulps = def.traits.cheap ? 1 : kExpensiveUlps;
    for (size_t i = 0; i < result.values.size(); ++i) {
      const double value = result.values[i];
      const bool copied = std::ranges::any_of(operands, [&](const RefTensor* x) { return std::fabs(x->values[i]) == std::fabs(value); });
      if (copied || looks_exact(value)) continue;
      result.values[i] = moved(value, 2 * ulps * std::fabs(value));
    }
  }

  /// A sum rounds each partial sum: its error grows with the terms' magnitudes and with the root of their number, not
  /// with the result. 4 sqrt(n) roundings of the sum of magnitudes is what reductions promise.
  void sums(const Node& node, std::span<const RefTensor* const> operands, RefTensor& result) {
    std::vector<RefTensor> magnitudes, ones;
    bool whole = true;
    for (const RefTensor* operand : operands) {
      magnitudes.push_back(*operand);
      ones.push_back(*operand);
      if (!is_float(operand->type.dtype)) continue;
      std::ranges::fill(ones.back().values, 1.0);
      for (double& value : magnitudes.back().values) {
        whole = whole && value == std::floor(value);
        value = std::fabs(value);
      }
    }
    if (whole) return;
    const RefTensor sizes = sum_again(node, magnitudes, result), counts = sum_again(node, ones, result);
    for (size_t i = 0; i < result.values.size(); ++i) {
      // Equal terms round alike, so a sample is never near 0 here.
      const double way = direction(result.values[i]), size = std::copysign(0.5 + std::fabs(way) / 2, way);
      const double roundings = std::max(2.0, std::sqrt(counts.values[i]));
      const double error = roundings * epsilon(dtype_) * sizes.values[i] * size;
      result.values[i] = to_grid(result.values[i] + error, dtype_);
    }
  }

  static RefTensor sum_again(const Node& node, const std::vector<RefTensor>& operands, const RefTensor& like) {
    RefTensor sizes{like.type, like.sizes, std::vector<double>(like.values.size(), 0.0)};
    std::vector<const RefTensor*> pointers;
    for (const RefTensor& operand : operands) pointers.push_back(&operand);
    const OpDef& def = op_def(node);
    if (def.tensor_reference != nullptr) {
      def.tensor_reference({node, pointers, sizes});
      return sizes;
    }
    const std::vector<int64_t>& axes = node.attrs.integers("axes");
    const RefTensor& x = operands[0];
    for (size_t i = 0; i < x.values.size(); ++i) {
      int64_t rest = static_cast<int64_t>(i), target = 0, stride = 1;
      for (size_t axis = x.sizes.size(); axis-- > 0;) {
        const bool kept = std::ranges::find(axes, static_cast<int64_t>(axis)) == axes.end();
        if (kept) target += rest % x.sizes[axis] * stride;
        if (kept) stride *= x.sizes[axis];
        rest /= x.sizes[axis];
      }
      sizes.values[static_cast<size_t>(target)] += x.values[i];
    }
    return sizes;
  }

  DType dtype_;
  uint64_t seed_;
  OpKind op_ = OpKind::Constant;
};

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

double deviation_of(double got, double exact, double allowed, bool may_change) {
  if (got == exact || (std::isnan(got) && std::isnan(exact)) || may_change) return 0;
  const double ratio = std::fabs(got - exact) / allowed;
  return std::isnan(ratio) ? INFINITY : ratio;
}

}  // namespace

Result<Expected> expected_results(const Graph& graph, std::span<const RefTensor> arguments, std::span<const int64_t> extents,
                                  DType dtype, int samples) {
  EvalOptions constants;
  constants.adjust = [](const Node& node, std::span<const RefTensor* const>, RefTensor& result) {
    if (node.op == OpKind::Constant && is_float(result.type.dtype)) Noise::round_all(result);
  };
  Expected expected{.dtype = dtype};
  SMELT_TRY(expected.exact, evaluate(graph, arguments, extents, constants));
  for (const RefTensor& result : expected.exact) expected.spread.emplace_back(result.values.size(), 0.0);
  for (int sample = 0; sample < samples; ++sample) {
    Noise noise(dtype, static_cast<uint64_t>(sample) + 1);
    EvalOptions noisy;
    noisy.adjust = [&](const Node& node, std::span<const RefTensor* const> operands, RefTensor& result) { noise.adjust(node, operands, result); };
    SMELT_TRY(const std::vector<RefTensor> results, evaluate(graph, arguments, extents, noisy));
    for (size_t r = 0; r < results.size(); ++r) {
      for (size_t i = 0; i < results[r].values.size(); ++i) {
        const double difference = std::fabs(results[r].values[i] - expected.exact[r].values[i]);
        expected.spread[r][i] = std::max(expected.spread[r][i], std::isnan(difference) ? 0 : difference);
      }
    }
  }
  return expected;
}

Deviation worst_deviation(const Expected& expected, std::span<const RefTensor> results) {
  Deviation worst;
  const double eps = epsilon(expected.dtype);
  for (size_t r = 0; r < expected.exact.size(); ++r) {
    const RefTensor& exact = expected.exact[r];
    const bool floats = is_float(exact.type.dtype);
    const double common = kNeighbours * rms(expected.spread[r]);
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
  return fmt::format("result {} element {}: {} instead of {}, {:.3g} times the allowed {:.3g}", deviation.result, deviation.element,
                     deviation.got, deviation.exact, deviation.ratio, deviation.allowed);
}

bool ill_conditioned(const Expected& expected, size_t result) {
  const RefTensor& exact = expected.exact[result];
  const double bound = is_float(exact.type.dtype) ? kLostBits * epsilon(expected.dtype) * largest_magnitude(exact) : 0;
  return rms(expected.spread[result]) > bound;
}

}  // namespace smelt::fuzz
