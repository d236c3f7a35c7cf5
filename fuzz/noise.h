// Rounding errors as random moves of what operations give: one evaluation of the many that error_bound.h asks for.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "fuzz/error_bound.h"
#include "ir/op.h"

namespace smelt::fuzz {

inline constexpr double kSafety = 8;  // deviations of code against those of the noise; see docs/testing.md

double epsilon(DType dtype);

/// One value of f16 or bf16: before it is rounded, after that, and how far noise moves it before.
struct HalfValue {
  std::vector<double> before, after, spread;
};

/// What becomes of a half in a noisy evaluation.
enum class HalfNoise : uint8_t {
  Kept,  // it is the exact one; only the noise before its rounding is measured
  Open,  // what lies as close to the middle of two halves as noise reaches is rounded either way
  Unit   // it moves by up to one unit in its last place
};

/// In which order terms are thought to be added. Passes may leave another one than the graph that is evaluated has:
/// `(x + y) - y` for `x + (y - y)`, where gradients meet.
enum class TermOrder : uint8_t {
  AsEvaluated,
  Any  // a sum of two is rounded as one of its operands' size, also where they cancel
};

/// Rounds what the exact evaluation has to, and notes its halves in the order of evaluation.
class ExactValues {
 public:
  explicit ExactValues(std::vector<HalfValue>& halves) : halves_(halves) {}
  void adjust(const Node& node, RefTensor& result);

 private:
  std::vector<HalfValue>& halves_;
};

/// Moves results of operations as their rounding could. Equal results of one op move alike, as they would: in a sum of
/// equal terms errors add up instead of cancelling.
class Noise {
 public:
  Noise(const Arithmetic& arithmetic, HalfNoise half_noise, TermOrder order, std::vector<HalfValue>& halves,
        uint64_t seed)
      : arithmetic_(arithmetic), half_noise_(half_noise), order_(order), halves_(halves), seed_(seed) {}

  void adjust(const Node& node, std::span<const RefTensor* const> operands, RefTensor& result);

 private:
  void move(const Node& node, std::span<const RefTensor* const> operands, RefTensor& result);
  void elementwise(const OpDef& def, std::span<const RefTensor* const> operands, RefTensor& result) const;
  void sums(const Node& node, std::span<const RefTensor* const> operands, RefTensor& result) const;
  void round_pairs(const Node& node, std::span<const RefTensor* const> operands, RefTensor& result) const;
  void round_half(RefTensor& result);
  double direction(double value) const;
  double moved(double value, double size, DType dtype) const;

  const Arithmetic& arithmetic_;
  HalfNoise half_noise_;
  TermOrder order_;
  std::vector<HalfValue>& halves_;
  uint64_t seed_;
  size_t next_half_ = 0;
  uint64_t nodes_ = 0;
  OpKind op_ = OpKind::Constant;
};

}  // namespace smelt::fuzz
