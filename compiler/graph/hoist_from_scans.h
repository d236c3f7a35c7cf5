// What does not depend on a loop's carries leaves the loop, in both directions.
//
//   before  a product or sum of slices and whole operands is computed for all steps at once: the products of a sequence
//           with a weight are one product
//   after   a product that is only stacked, or only added up over the steps, is computed from stacked operands: the
//           gradient of a recurrent weight is one product, and so is the gradient by a sequence
//
// Assumes:  primitives; no derivative is left.
// Ensures:  the same results, but for the order in which sums over steps are added; nothing in a loop that nobody
// reads.
#pragma once

#include "ir/graph.h"

namespace smelt {

Graph hoist_from_scans(Graph graph);

}  // namespace smelt
