// Passes in any legal order: what they promise does not depend on the order in which the pipeline has them.
#pragma once

#include <optional>

#include "fuzz/differential.h"

namespace smelt::fuzz {

/// `count` random orders of passes, each until the graph is primitive, each pass on the stage it asks for. After each
/// pass: the verifier; print, parse, print; a second run of the pass changes nothing; and the reference evaluator still
/// gives what the case expects. `passes` counts them.
std::optional<Failure> check_pass_orders(const Case& tested, int count, int64_t& passes);

}  // namespace smelt::fuzz
