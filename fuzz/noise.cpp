#include "fuzz/noise.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "fuzz/numbers.h"
#include "ir/half_bits.h"

namespace smelt::fuzz {
namespace {

constexpr double kExpensiveUlps = 2;  // error of exp, log and their like

/// Arithmetic on halves is arithmetic in f32.
DType computed_in(DType dtype) { return is_half(dtype) ? DType::F32 : dtype; }
/// Whether arithmetic is likely to have given the value without rounding.
bool looks_exact(double value) { return value == static_cast<float>(value); }

void round_all(RefTensor& result) {
  for (double& value : result.values) value = round_to_float(value, result.type.dtype);
}

/// One unit in the last place of a half of the size of `value`.
double unit_of(double value, DType half) {
  const bool f16 = half == DType::F16;
  return value == 0 ? 0 : std::ldexp(1.0, std::max(std::ilogb(value), f16 ? -14 : -126) - (f16 ? 10 : 7));
}

RefTensor sum_again(const Node& node, const std::vector<RefTensor>& operands, const RefTensor& like) {
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

}  // namespace

double epsilon(DType dtype) { return dtype == DType::F64 ? 0x1p-53 : 0x1p-24; }

void ExactValues::adjust(const Node& node, RefTensor& result) {
  if (is_half(result.type.dtype)) {
    halves_.push_back({.before = result.values, .after = {}, .spread = std::vector<double>(result.values.size(), 0.0)});
    round_all(result);
    halves_.back().after = result.values;
  } else if (node.op == OpKind::Constant && is_float(result.type.dtype)) {
    round_all(result);
  }
}

void Noise::adjust(const Node& node, std::span<const RefTensor* const> operands, RefTensor& result) {
  ++nodes_;
  if (!is_float(result.type.dtype)) return;
  move(node, operands, result);
  if (is_half(result.type.dtype)) round_half(result);
}

void Noise::move(const Node& node, std::span<const RefTensor* const> operands, RefTensor& result) {
  const OpDef& def = op_def(node);
  op_ = node.op;
  switch (def.kind) {
    case Kind::Constant: return round_all(result);
    case Kind::Elementwise: return elementwise(def, operands, result);
    case Kind::Reduce:
      if (std::isfinite(def.identity)) sums(node, operands, result);
      return;
    case Kind::Contract:
      if (arithmetic_.bf16_pairs) round_pairs(node, operands, result);
      return sums(node, operands, result);
    case Kind::Scatter:
      if (!def.traits.overwrites) sums(node, operands, result);
      return;
    case Kind::Random:
      // A normal is a radius times a cosine, whose error does not shrink where the cosine is small.
      for (double& value : result.values)
        value = moved(value, kExpensiveUlps * (1 + std::fabs(value)), computed_in(result.type.dtype));
      return;
    default: return;  // moves values only
  }
}

/// -1..1, by the value.
double Noise::direction(double value) const {
  Numbers numbers(seed_ * 0x9E3779B97F4A7C15u ^ std::bit_cast<uint64_t>(value) ^ static_cast<uint64_t>(op_) << 56);
  return numbers.uniform(-1, 1);
}

double Noise::moved(double value, double size, DType dtype) const {
  if (!std::isfinite(value) || looks_exact(value)) return value;
  return round_to_float(value + epsilon(dtype) * size * direction(value), dtype);
}

void Noise::elementwise(const OpDef& def, std::span<const RefTensor* const> operands, RefTensor& result) const {
  const double ulps = def.traits.cheap ? 1 : kExpensiveUlps;
  const bool reordered = order_ == TermOrder::Any && (op_ == OpKind::Add || op_ == OpKind::Sub);
  for (size_t i = 0; i < result.values.size(); ++i) {
    const double value = result.values[i];
    if (reordered) {
      const double size = std::fabs(operands[0]->values[i]) + std::fabs(operands[1]->values[i]);
      const double error = epsilon(computed_in(result.type.dtype)) * size * direction(size);
      if (std::isfinite(size)) result.values[i] = round_to_float(value + error, computed_in(result.type.dtype));
      continue;
    }
    const bool copied =
        std::ranges::any_of(operands, [&](const RefTensor* x) { return std::fabs(x->values[i]) == std::fabs(value); });
    if (copied || looks_exact(value)) continue;
    result.values[i] = moved(value, 2 * ulps * std::fabs(value), computed_in(result.type.dtype));
  }
}

/// A sum rounds each partial sum: its error grows with the terms' magnitudes and with the root of their number, not
/// with the result. 4 sqrt(n) roundings of the sum of magnitudes is what reductions promise.
void Noise::sums(const Node& node, std::span<const RefTensor* const> operands, RefTensor& result) const {
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
  const DType dtype = computed_in(result.type.dtype);
  const RefTensor sizes = sum_again(node, magnitudes, result), counts = sum_again(node, ones, result);
  for (size_t i = 0; i < result.values.size(); ++i) {
    // Equal terms round alike, so a sample is never near 0 here.
    const double way = direction(result.values[i]), size = std::copysign(0.5 + std::fabs(way) / 2, way);
    const double roundings = std::max(2.0, std::sqrt(counts.values[i]));
    const double error = roundings * epsilon(dtype) * sizes.values[i] * size;
    result.values[i] = round_to_float(result.values[i] + error, dtype);
  }
}

/// In every other evaluation, by the product: the operand beside one whose values are bf16 is rounded to that.
void Noise::round_pairs(const Node& node, std::span<const RefTensor* const> operands, RefTensor& result) const {
  if (Numbers(seed_ ^ nodes_ << 32).chance(0.5)) return;
  const auto is_bf16 = [](double value) { return value == round_to_float(value, DType::BF16); };
  std::vector<RefTensor> rounded;
  for (const RefTensor* operand : operands) rounded.push_back(*operand);
  for (size_t k = 0; k < operands.size(); k += 2) {
    for (const size_t other : {k, k + 1}) {
      if (!std::ranges::all_of(operands[2 * k + 1 - other]->values, is_bf16)) continue;
      for (double& value : rounded[other].values) value = round_to_float(value, DType::BF16);
    }
  }
  result = sum_again(node, rounded, result);
}

void Noise::round_half(RefTensor& result) {
  const DType half = result.type.dtype;
  HalfValue& exact = halves_[next_half_++];
  for (size_t i = 0; i < result.values.size(); ++i) {
    double& value = result.values[i];
    switch (half_noise_) {
      case HalfNoise::Kept: {
        const double difference = std::fabs(value - exact.before[i]);
        if (difference > exact.spread[i]) exact.spread[i] = difference;
        value = exact.after[i];
        break;
      }
      case HalfNoise::Open: {
        const double reach = kSafety * (exact.spread[i] + epsilon(DType::F32) * std::fabs(value));
        value = round_to_float(value + std::copysign(reach, direction(exact.before[i])), half);
        break;
      }
      case HalfNoise::Unit: {
        const double nearest = round_to_float(value, half);
        value = value == nearest ? value : round_to_float(value + unit_of(value, half) * direction(value), half);
        break;
      }
    }
  }
}

}  // namespace smelt::fuzz
