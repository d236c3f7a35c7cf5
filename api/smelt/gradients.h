// The gradients of an objective as values, for comparing them with other systems and with differences.
#pragma once

#include <string>

#include "ir/experiment.h"
#include "ir/support/result.h"

namespace smelt {

/// What `with_gradients` adds.
struct GradientFunction {
  std::string name = "grads";
  bool second = false;  // products with the Hessian as well
};

/// A copy of `experiment` with one more function of kind Loss, which computes the loss of `objective` with `training`
/// true and, for each parameter that it updates, a Value named by the parameter's path: the gradient.
/// With `second`, a feed `along PATH` for each of these parameters is a direction, and a Value `hessian PATH` is that
/// parameter's part of the Hessian's product with all of them.
/// Errors (Usage): no such objective, or no `step` line runs it.
Result<Experiment> with_gradients(const Experiment& experiment, const std::string& objective,
                                  const GradientFunction& added = {});

}  // namespace smelt
