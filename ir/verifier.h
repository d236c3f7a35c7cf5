// The invariants of a graph. Cheap enough to run after every pass.
//
//   V1  an input of a node has a smaller id than the node: the vector is in topological order
//   V2  a node has the operands and attributes of its record, attributes in the record's order
//   V3  a node's type is what `infer` of its record gives
//   V4  argument k is an `argument` node with index k, and every `argument` node is an argument
//   V5  scalar, seed and run arguments are f64, i64 and i64 scalars; rows are i32 with one axis; `ref` is set
//   for
//       variables, columns and scalars
//   V6  a result is a node of the graph; a loss is a float scalar; a variable has a `ref`
//   V7  a run-time extent names a symbol of the table and has its bound; symbol names are unique
//   V9  a scan has a body that fits its operands, and a part one of its results (ir/scan.h); the body is well formed,
//       has the symbols of the graph around it, and arguments and results of bodies only; others have none of those
//   V10 a part of a run-time axis is static, or never longer than the axis, or reads what is outside as well
//   V8  by stage: after `differentiate` there is no `grad`, after `expand_composites` no composite
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ir/graph.h"

namespace smelt {

enum class GraphStage : uint8_t {
  Any,             // as the frontend makes it
  Differentiated,  // no `grad`
  Primitive        // nor composites
};
std::string_view to_string(GraphStage stage);

/// One line a violation, all of them; empty when the graph is well formed.
std::vector<std::string> verify(const Graph& graph, GraphStage stage = GraphStage::Any);

}  // namespace smelt
