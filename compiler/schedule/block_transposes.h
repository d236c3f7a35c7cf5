// What lies along another axis than the one that it is read along gives one element of a line of the cache at a time: a
// gradient of filters, [taps, O], beside the filters, [O, taps]. The next elements of the lines are read a whole turn
// of the loop around them later, when the lines are gone. In blocks of the inner loop they are there still.
//
// Assumes:  nests as `merge_loops` leaves them.
// Ensures:  an elementwise nest that reads or writes across lines, many of them, has the loop along those lines as its
//           last outer one, and an inner loop of so few turns that the lines stay in a cache.
// Leaves:   every value its bits; sums as they are.
#pragma once

#include "compiler/loops/loop_ir.h"
#include "compiler/schedule/target.h"

namespace smelt {

LoopFunction block_transposes(LoopFunction function, const Target& target);

}  // namespace smelt
