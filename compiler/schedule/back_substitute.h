// Recurrences that are linear in what a turn hands on wait for a multiplication and an addition in several turns, not
// for those of each one:
//
//   c[t + 1] = a c[t] + b[t]    becomes    c[t + 4] = a^4 c[t] + (a^3 b[t] + a^2 b[t + 1] + a b[t + 2] + b[t + 3])
//
// Nothing in the parentheses waits for c, so the processor computes the sums of several blocks of turns at once. What
// else reads c[t + i] gets a^i c[t] and the terms up to there. Schlansker and Kathail, "Acceleration of first and
// higher order recurrences on processors with instruction level parallelism", 1993: blocked back-substitution.
//
// An `a` that is known when the program runs is looked at then: outside of 1/256 .. 1 its powers could overflow or
// vanish where no value of the recurrence does, and the turns run one by one as before.
//
// Assumes:  of what its kernel stores, a sweep in order loads nothing.
// Ensures:  sweeps in order over a known number of turns, whose carries are linear and do not need each other in a
//           circle, pass in blocks.
// Leaves:   every value up to rounding. The order of the sums depends on the number of turns alone.
#pragma once

#include "compiler/loops/loop_ir.h"
#include "compiler/schedule/target.h"

namespace smelt {

LoopFunction back_substitute(LoopFunction function, const Target& target);

}  // namespace smelt
