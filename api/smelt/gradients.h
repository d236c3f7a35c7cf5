// The gradients of an objective as values, for comparing them with other systems and with differences.
#pragma once

#include <cstdint>
#include <string>

#include "ir/experiment.h"
#include "ir/support/result.h"

namespace smelt {

/// Second: products with the Hessian as well.
enum class GradientOrder : uint8_t { First, Second };

/// A copy of `experiment` with one more function of kind Gradients and of the objective's name. It computes the loss
/// with `training` true and, for each parameter that the objective updates, a Value of the parameter's path: the
/// gradient. With `Second`, a feed for each of these parameters is a direction, and one more Value is that parameter's
/// part of the Hessian's product with all of them. The `ref` of values and feeds is the parameter's variable; gradients
/// stand before products. Errors (Usage): no such objective, or no `step` line runs it.
Result<Experiment> with_gradients(const Experiment& experiment, const std::string& objective,
                                  GradientOrder order = GradientOrder::First);

}  // namespace smelt
