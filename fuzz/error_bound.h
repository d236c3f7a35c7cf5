// What a correct executor may answer: the exact results of a graph and how far rounding can carry each element.
//
// The graph is evaluated once in double, and several times with each operation's result moved at random by as much as
// its rounding could move it in the graph's dtype. The spread of these answers is the conditioning of this very graph
// at these very values, element by element; no tolerance is chosen by hand but the safety factor.
//
// A half is rounded in the exact evaluation as well. Where noise leaves its rounding open, noisy evaluations go either
// way, and where it does not, every executor has to get the same half.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "fuzz/halves.h"
#include "ir/evaluator.h"
#include "ir/graph.h"
#include "ir/support/result.h"

namespace smelt::fuzz {

/// How an executor computes, as far as it may differ from the exact evaluation.
struct Arithmetic {
  DType dtype = DType::F32;  // of floats but halves
  HalfRounding halves = HalfRounding::None;
  bool bf16_pairs = false;  // a product of a bf16 operand may round its other one to bf16

  /// Whether results are worth as many digits as a half has.
  bool is_coarse() const { return halves == HalfRounding::Freely || bf16_pairs; }
};

struct Expected {
  Arithmetic arithmetic;
  std::vector<RefTensor> exact;
  std::vector<std::vector<double>> spread;  // by result and element: largest deviation of the noisy evaluations
  std::vector<double> common;  // by result: root mean square of the spread, without open roundings of halves
};

/// `graph` has no `grad`. 3 noisy evaluations tell almost all elements; `kManySamples` settle a suspicion, every other
/// one of them with terms in any order.
inline constexpr int kFewSamples = 3, kManySamples = 40;
Result<Expected> expected_results(const Graph& graph, std::span<const RefTensor> arguments,
                                  std::span<const int64_t> extents, const Arithmetic& arithmetic,
                                  int samples = kFewSamples);

/// The largest deviation of any element in units of what is allowed; above 1 it is a mismatch. `where` is that element.
struct Deviation {
  double ratio = 0;
  size_t result = 0, element = 0;
  double got = 0, exact = 0, allowed = 0;
};
Deviation worst_deviation(const Expected& expected, std::span<const RefTensor> results);
std::string to_string(const Deviation& deviation);

/// Rounding alone moves the result by 2^-10 of its size in f32 (14 of 24 bits), 2^-5 with halves: agreement would say
/// little.
bool ill_conditioned(const Expected& expected, size_t result);

}  // namespace smelt::fuzz
