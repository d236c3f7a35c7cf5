// Small graphs of one op each, with arguments: what the op table promises, tried on odd shapes. The reference
// evaluator, the derivative tests and compiled code all run the same samples.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ir/evaluator.h"
#include "ir/graph.h"

namespace smelt::testing {

struct OpSample {
  std::string name;  // `add f32[7, 31]`, for messages
  OpKind op;
  Graph graph;  // verified; the op's result is the one result; arguments are its operands
  std::vector<RefTensor> arguments;
  std::vector<int64_t> extents;  // actual sizes of graph.symbols, below their bounds
  bool differentiable = false;   // the record says so, and operands and result are floats of the asked dtype
};

/// Samples of every op but `grad`, in table order. Float operands have `dtype` (F32 or F64) and values from
/// the record's range, exact in that dtype. The same seed gives the same samples.
std::vector<OpSample> op_samples(DType dtype, uint64_t seed = 1);

/// Deterministic numbers for tests.
class Numbers {
 public:
  explicit Numbers(uint64_t seed) : state_(seed) {}
  uint64_t next();  // SplitMix64
  double uniform(double low, double high);
  int64_t integer(int64_t low, int64_t high);  // both included
  /// A tensor of `type` at the given extents: floats uniform in low..high, integers whole numbers in it,
  /// bools either.
  RefTensor tensor(const TensorType& type, std::span<const int64_t> extents, double low = -2, double high = 2,
                   double away_from_zero = 0);

 private:
  uint64_t state_;
};

}  // namespace smelt::testing
