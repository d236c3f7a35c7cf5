// Which part of a training step an operation belongs to, after the graph passes have mixed them.
#pragma once

#include <cstdint>

#include "ir/graph.h"

namespace smelt {

enum class StepPart : uint8_t {
  Forward,   // the loss, reports and other results need it before anything is differentiated
  State,     // the new value of a state
  Backward,  // a gradient
  Update     // what a step line makes of the gradients: clipping and the optimiser
};

/// The part of each node of `optimized`, which the graph passes made of `written`. `variables` of the experiment tell
/// states from parameters.
std::vector<StepPart> find_step_parts(const Graph& written, const Graph& optimized, const std::vector<bool>& is_state);

}  // namespace smelt
