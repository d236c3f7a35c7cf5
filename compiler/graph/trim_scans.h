// Drops what nobody reads of a loop: stacked results, carries that feed only themselves, operands.
//
// Assumes:  no derivative is left, which would read carries that are saved for it.
// Ensures:  each result of a body has a part, or is a carry that such a result needs; each argument is read.
#pragma once

#include "ir/graph.h"

namespace smelt {

Graph trim_scans(Graph graph);

}  // namespace smelt
