// An experiment with some of its functions alone: smaller objects, and arenas as large as these need.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/experiment.h"

namespace smelt {

/// The functions `kept`, in that order, beside the one that initialises. Variables stay; nothing is left of training.
/// None of them may be a step or an evaluation.
Experiment functions_alone(const Experiment& whole, const std::vector<int32_t>& kept);

}  // namespace smelt
