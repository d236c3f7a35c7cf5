// A function with loops that write sequences, cut at the turns of these loops: a host that runs the pieces one after
// another sees what is written as it is made.
//
//   a = f(x);  y = scan s with text = a { .. };  g(y)     ->     f; turn of the loop, again and again; g
//
// What goes from piece to piece is in variables. The pieces compute what the function computes, from the same nodes.
//
// Assumes:  primitives, behind `derive_steps`; one result.
// Ensures:  each piece has feeds, variables and values only; the last one has the result of the function.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "ir/graph.h"

namespace smelt {

struct StagedLoop;
/// A piece, or a loop of pieces: one of the two.
struct StagedItem {
  int32_t piece = -1;
  int32_t loop = -1;
};
struct StagedLoop {
  int64_t steps = 0;
  int32_t until = -1;  // the variable that ends the loop once it is not 0, counted from the first of `states`
  std::vector<StagedItem> turn;
};

/// Where an element of the result lies as soon as it is made: an element of a variable, after so many pieces have run.
struct MadeElement {
  int64_t after = 0;
  int32_t variable = -1;  // counted from the first of `states`
  int64_t element = 0;    // by bounds
};

struct StagedFunction {
  std::vector<Graph> pieces;
  std::vector<TensorType> states;  // variables of the pieces; `ref` of the first is `first_ref`
  std::vector<StagedLoop> loops;
  std::vector<StagedItem> stages;
  std::vector<MadeElement> made;  // by element of the result, by bounds
};

/// Nullopt: no loop of it writes a sequence, or its result is more than a movement of what such loops write.
std::optional<StagedFunction> stage_loops(const Graph& graph, int32_t first_ref);

}  // namespace smelt
