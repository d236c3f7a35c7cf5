// Drops nodes that no result needs.
//
// Assumes:  a verified graph.
// Ensures:  each node is an argument or leads to a result. Arguments stay, read or not: they are the signature.
#pragma once

#include "ir/graph.h"

namespace smelt {

Graph remove_dead_nodes(Graph graph);

}  // namespace smelt
