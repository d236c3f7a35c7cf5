// Gives each sum the form that its shape runs fastest in.
//
// Assumes:  a graph of primitives.
// Ensures:  no contraction whose register tile would be one row, one column or one term deep is left: it becomes a
//           product of broadcasts and, if it sums, a reduction. So do small products whose places lie side by side in
//           both operands and in the result. No reduction takes all axes of a tensor of rank 2 or more at once: the
//           last axis goes first, so that rows are summed in parallel. None takes the first axes of a large one that
//           has few columns: the very first go last. What windows are multiplied with lies along them.
// Leaves:   sums of halves, which `widen_halves` makes sums in f32: in several steps each would be rounded.
// Numerics  the order of additions is that of the new form: fixed by shapes.
#pragma once

#include "ir/graph.h"

namespace smelt {

Graph choose_sum_forms(Graph graph);

}  // namespace smelt
