// From a failing graph to the smallest that still fails, and the stage or pass that is at fault.
#pragma once

#include <functional>
#include <string>

#include "fuzz/case_file.h"
#include "fuzz/differential.h"

namespace smelt::fuzz {

struct Verdict {
  std::string check;  // the leg or property that fails, empty: nothing does
  std::string stage;  // what is to blame: a graph pass, `plan_memory`, ..
  std::string what;
  bool fails() const { return !check.empty(); }
};

/// Runs one check on a case; `check` is one of Failure::check.
std::optional<Failure> run_check(const Case& tested, const std::string& check);

/// The first leg that is wrong, and for the graph passes the first pass after which the reference evaluator, the
/// verifier or the pass itself disagrees. For checks that are no legs: what they say.
Verdict blame(const Case& tested, const std::string& check);

struct Reduced {
  Case tested;
  Verdict verdict;  // of the reduced graph; does not fail when the case did not
  int num_ops = 0;  // nodes that are no arguments
  int attempts = 0;
};

/// Keeps one result, replaces nodes by an operand, by an argument with their value or by a constant, and differentiates
/// and expands first where the failure survives that, until nothing can be left out.
Reduced reduce(const ReadCase& read);

/// The same for a failure that `judge` finds.
using Judge = std::function<Verdict(const Case&)>;
Reduced reduce(const ReadCase& read, const Judge& judge);

}  // namespace smelt::fuzz
