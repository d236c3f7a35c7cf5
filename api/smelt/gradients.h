// The gradients of an objective as values, for comparing them with other systems.
#pragma once

#include <string>

#include "ir/experiment.h"
#include "ir/support/result.h"

namespace smelt {

/// A copy of `experiment` with one more function: kind Loss, named `grads`, which computes the loss of `objective` with
/// `training` true and, for each parameter that it updates, a Value named by the parameter's path.
/// Errors (Usage): no such objective, or no `step` line runs it.
Result<Experiment> with_gradients(const Experiment& experiment, const std::string& objective);

}  // namespace smelt
