// Arithmetic on f16 and bf16 becomes arithmetic in f32 between casts: x + y -> cast(cast(x) + cast(y)).
//
// Assumes:  primitives.
// Ensures:  only casts, selects, movement, gathers, arguments and constants have halves as operands or results; sums
// and
//           products accumulate in f32. Each op's result is rounded once, as its meaning says.
#pragma once

#include "ir/graph.h"

namespace smelt {

Graph widen_halves(Graph graph);

}  // namespace smelt
