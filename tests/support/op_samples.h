// Small graphs of one op each, with arguments: what the op table promises, tried on odd shapes. The reference
// evaluator, the derivative tests and compiled code all run the same samples.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fuzz/numbers.h"
#include "ir/evaluator.h"
#include "ir/graph.h"

namespace smelt::testing {

using fuzz::Numbers;

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

}  // namespace smelt::testing
