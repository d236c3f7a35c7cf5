// The order of axes in memory, where convolutions say it: channels last.
//
// Products read columns side by side. A convolution over [N, C, H, W] has its channels far apart, so that its operands
// and its result are computed as [N, H, W, C], its weights as [kh, kw, C, O]. Values around it follow: elementwise
// operations, reductions and the like take the order of what they read, and transposes are left where something asks
// for the model's own order (results, variables, a reshape that joins axes which now lie apart).
//
// Assumes:  primitives.
// Ensures:  the same results. Contractions with windows give channels last, and read so what elementwise operations
// made. Leaves:   graphs without windows as they are; transposes to `simplify`, which takes them into what reads them.
#pragma once

#include "ir/graph.h"

namespace smelt {

Graph choose_layouts(Graph graph);

}  // namespace smelt
