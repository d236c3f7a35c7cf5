// Random graphs, many at a time: the reference evaluator against compiled code without optimisation and in full.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "fuzz/error_bound.h"
#include "fuzz/legs.h"
#include "fuzz/random_graph.h"

namespace smelt::fuzz {

/// One graph with what it must give.
struct Case {
  uint64_t seed = 0;
  Setup setup;
  RandomGraph random;
  Graph plain;  // without `grad` and composites
  Expected expected;
  bool mistrusted = false;  // its agreement says little: a result mostly constant, or ill conditioned
};

struct Failure {
  uint64_t seed = 0;
  std::string check;  // the leg or property, such as `full`
  std::string what;
};

Case make_case(uint64_t seed, Subject subject = Subject::Any);
/// A case of a graph that was read or rewritten.
Result<Case> make_case(uint64_t seed, const Setup& setup, RandomGraph random);

/// What is wrong with the results of a run, or nothing. A suspicion is settled with many noisy evaluations.
std::optional<std::string> compare(const Case& tested, const RunOutcome& outcome);

/// The first element of two runs' results that has other bits, if any. A NaN is any NaN.
std::optional<std::string> different_bits(std::span<const RefTensor> a, std::span<const RefTensor> b);

/// Cases that may be compiled into one module.
using Group = std::pair<std::string, DType>;
inline Group group_of(const Case& tested) { return {tested.setup.cpu, tested.setup.dtype}; }

/// Compiles all cases of one cpu and dtype into one module per leg, runs and compares them.
std::vector<Failure> check_legs(std::span<const Case> cases, std::span<const Leg* const> legs);

}  // namespace smelt::fuzz
