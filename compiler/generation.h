// Exports that write a sequence, as functions of a C host that writes it itself: for each a `reset` and a `step`, whose
// states are variables of the experiment (compiler/graph/step_functions.h).
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "compiler/unit.h"
#include "ir/experiment.h"

namespace smelt {

struct Generation {
  std::string name;               // of the export
  std::string why_not;            // it has no such functions; else empty
  int32_t reset = -1, step = -1;  // functions of the experiment, entries of the program
  int64_t num_positions = 0;
  int64_t lead = 0;                                    // see StepFunctions
  std::string position;                                // the variable that counts
  std::vector<std::pair<int32_t, std::string>> sizes;  // of run-time dims from the reset on: symbol, variable
  bool draws = false;                                  // the reset does: it takes the number of a run
};

/// Adds the functions and variables of every export with a `scan .. by position`. Where it has several, the first one
/// outside of other loops counts.
std::vector<Generation> add_generation(Experiment& experiment, const PassContext& context);

}  // namespace smelt
