// Gradients of random graphs against differences: the one thing that the reference evaluator and compiled code share is
// `differentiate`, so comparing them says nothing about it.
#pragma once

#include <optional>

#include "fuzz/differential.h"

namespace smelt::fuzz {

/// Each result that is a `grad` with respect to an argument, along one random direction: 5-point differences in double,
/// relative error at most 1e-6. Where differences of two step sizes disagree, a kink is near and nothing is compared.
/// `done` counts comparisons.
std::optional<Failure> check_derivatives(const Case& tested, int64_t& done);

}  // namespace smelt::fuzz
