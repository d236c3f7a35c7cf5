// Loops that may stop become loops that run all of their steps and change nothing from there on: what a derivative, or
// a loop cut into turns, can take apart.
//
//   scan .. {until = 1} { .. as carry "h" #0, .. as carry "over" #1 }
//     ->  scan .. { select(over != 0, h, ..) as carry "h" #0, select(over != 0, over, ..) as carry "over" #1 }
//
// Ensures:  no loop may stop, those in bodies included; every value is what it was.
#pragma once

#include "ir/graph.h"

namespace smelt {

Graph run_all_steps(Graph graph);

}  // namespace smelt
