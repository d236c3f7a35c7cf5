// Computes what depends on constants alone. Constants are one number everywhere, so a fold costs one evaluation.
//
// Assumes:  a verified graph.
// Ensures:  no elementwise node has only constant operands (f16 and bf16 excepted), no movement but `pad` reads one.
// Numerics  the ops' own bodies in the node's dtype: the bits that compiled code would give. A sum is folded only when
//           every order of adding gives the same number.
#pragma once

#include "ir/graph.h"

namespace smelt {

Graph fold_constants(Graph graph);

}  // namespace smelt
