// Gives each Variable result, and each result that names an argument, a node of its own, and makes a variable that is
// still read after its new value is known commit last.
//
// Assumes:  a graph of primitives.
// Ensures:  no two results share a node; carries of loops start as copies that nobody else reads; the nodes can be
//           ordered with every reader of an old value before the new one.
#pragma once

#include "ir/graph.h"

namespace smelt {

Graph isolate_results(Graph graph);

}  // namespace smelt
