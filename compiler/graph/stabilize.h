// Replaces formulas that overflow or cancel by ops that do not, so that a model may be written as in the paper.
//
// Assumes:  a verified graph, before `differentiate` and `expand_composites`, so that the formulas are still whole.
// Later it would
//           still be right, but slow: the expansion of logsumexp contains log(sum(exp(..))) itself.
// Ensures:  no rule of the table matches. Mathematically nothing changes; results only get closer to the exact value.
#pragma once

#include <span>

#include "ir/rewrite.h"

namespace smelt {

Graph stabilize(Graph graph, RuleHits* hits = nullptr);

std::span<const Rule> stability_rules();

}  // namespace smelt
