// Variables of which a host's functions keep what they go on from: not parameters, which have to be finite.
#pragma once

#include "ir/graph.h"

namespace smelt {

/// Each variable that the function writes becomes an argument as well, where it is none. A function without a loss may
/// leave in such a variable what is not finite: a state may begin as -inf.
void declare_states(Graph& graph);

}  // namespace smelt
