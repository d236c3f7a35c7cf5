// What decides the bits of a training run, as one hash.
#pragma once

#include <string>

#include "ir/experiment.h"

namespace smelt {

/// SHA-256 over what decides parameters, optimiser state and losses: variables, initialisers, the objectives that train
/// and their order, optimisers with their settings, precision, bounds, and how fields are read. Comments, layout,
/// metrics, exports, actions, the stop rule, and how long training goes on are not in it: they may change between a
/// checkpoint and the run that goes on from it.
std::string training_identity(const Experiment& experiment);

}  // namespace smelt
