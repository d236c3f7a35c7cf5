// The new value of a table of which a step reads few rows is made of those rows alone.
//
//   g = scatter_add index, updates          t = scatter_add first, updates       a row for each row that is read
//   w' = w - rate * g                ->     w' = put_rows index, w[index] - rate * t[first], w
//
// Where no update arrives the gradient is 0. A formula that gives the old value there, as those of plain gradient
// descent and of Adagrad do, need not be computed there: 0 * x is taken to be 0, also for an x that is not finite.
// Momentum, Adam and a decay of weights change rows without updates, so they keep the whole gradient. `first` is the
// first place in `index` that has the same row: there its updates are summed, in their order.
//
// Assumes:  primitives.
// Ensures:  same values, to the bit but for sums over all rows, whose zeros are left out.
// Leaves:   tables with fewer than kRowsAnUpdate rows an update; gradients that something else reads.
#pragma once

#include "ir/graph.h"

namespace smelt {

Graph touch_rows(Graph graph);

}  // namespace smelt
