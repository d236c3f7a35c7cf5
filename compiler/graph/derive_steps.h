// Loops that write a sequence, and compute a whole model of it in each step to read one position of the result, compute
// that position alone.
//
//   scan s with text = start {                      scan s with text = start, keys = 0, values = 0 {
//     all = lm(text)                                  now = lm at position s, which reads text[s], and keys and
//     text <- text with all[s] at s + 1        ->           values of the positions before
//   }                                                 text <- text with now at s + 1; keys, values <- with those of s
//                                                   }
//
// Of every value of the model the pass proves whether its position s needs that position of its operands alone, a
// window that ends there, or all positions so far. What later positions read is carried: keys and values of attention,
// the past of a causal convolution, the carries of a loop over the positions. A sum over positions is one over those so
// far when a mask makes the later ones the sum's identity; values that a mask takes out are taken to be finite.
//
// Assumes:  primitives.
// Ensures:  results are equal, but for the order of sums and where a masked value is not finite. A loop of which this
//           cannot be proved stays as it is.
#pragma once

#include <optional>
#include <string>

#include "compiler/graph/sequence_loop.h"
#include "ir/graph.h"

namespace smelt {

Graph derive_steps(Graph graph);

/// What stands in the way of a loop that has to compute one position a step, and does not: of the graph that the pass
/// has left, bodies of loops included. Nullopt: nothing does.
struct NotByPosition {
  Span place;    // in the model file
  Span library;  // of the operation, where that lies in the library; else empty
  std::string why;
};
std::optional<NotByPosition> not_by_position(const Graph& graph);

}  // namespace smelt
