// A loop that writes a sequence, as two functions of a host that writes it itself: one begins, one computes a position.
//
//   scan s by position with text = start {         reset():     text, kept, states <- as the loop finds them
//     all = lm(text)                         ->    step(text):  text[s + lead - 1] <- what the host gives
//     text <- where(.. == s + lead, pick(all[s]), text)         scores = all[s];  kept, states <- those after step s
//   }
//
// The step is the one that `derive_steps` writes. What the loop carries is in variables, and so is what is the same at
// all positions and is more than a movement of parameters: `reset` computes it once.
//
// Assumes:  primitives, as `derive_steps` finds them.
// Ensures:  both functions have feeds, variables and values only; variables count on from those of the experiment.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace smelt {

struct StepState {
  std::string name;
  TensorType type;
};

struct StepFunctions {
  Graph reset, step;
  std::vector<StepState> states;  // variables; `ref` of the first is `first_ref`
  /// The state that counts, an i32: the position that the next step computes, and 1; 0: there was no reset.
  size_t position = 0;
  int64_t num_positions = 0;
  int64_t lead = 0;  // of what is fed: step s is given position s + lead - 1; nothing where that is -1
};

/// Of `loop`, a scan of `graph`. Error: why it has none.
std::expected<StepFunctions, std::string> step_functions(const Graph& graph, NodeId loop, int32_t first_ref);

}  // namespace smelt
