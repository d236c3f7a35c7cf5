// What a `scan` node is made of: a body graph that runs once a step.
//
//   %3 = scan %start, %xs, %w {reverse = 0, by_position = 0, until = -1} : i32[T<=64] {
//     func @step(%c: carry f32[4] #0, %x: slice f32[3], %w: whole f32[3, 4]) {
//       ...
//       return %7 as carry "c" #0, %7 as stacked "h"
//     }
//   }
//   %4 = part %3 {result = 0} : f32[4]             the carry after the last step
//   %5 = part %3 {result = 1} : f32[T<=64, 4]      what each step gave
//
// Operands of the node and arguments of the body are in one order. By role of the argument:
//   carry  the operand is the value before the first step; later steps see result `carry` of the same `ref`
//   slice  the operand has the steps as its first axis; step t sees element t
//   whole  every step sees the operand
// The type of the node is that of its steps, i32[T]. `reverse`: the last step comes first.
// `by_position`: a step has to compute one position of a sequence that the loop writes.
// `until`: a carry, i32. A step runs while it is 0 only; carries stay as they are then. Such a loop stacks nothing.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ir/builder.h"
#include "ir/graph.h"

namespace smelt {

/// The number of steps.
inline const Extent& steps_of(const Node& scan) { return scan.type.shape[0]; }
/// Whether a step has to compute one position of a sequence: compiler/graph/derive_steps.h.
inline bool is_by_position(const Node& scan) { return scan.attrs.integer("by_position") != 0; }
inline bool is_reversed(const Node& scan) { return scan.attrs.integer("reverse") != 0; }
/// The carry that ends the loop, or -1.
inline int32_t until_of(const Node& scan) { return static_cast<int32_t>(scan.attrs.integer("until")); }
inline bool may_stop(const Node& scan) { return until_of(scan) >= 0; }

/// The type of result `k` of the body as the graph around it sees it: stacked values have the steps in front.
TensorType part_type(const Node& scan, size_t k);

/// Appends a scan. Errors are our mistakes (InternalError): see `scan_violations`.
NodeId make_scan(Builder& build, Graph body, Operands inputs, const Extent& steps, bool reverse,
                 bool by_position = false, int32_t until = -1);
NodeId make_part(Builder& build, NodeId scan, size_t k);

/// What is wrong with a scan node or a part of one; empty when nothing is.
///   each operand has an argument, of the type that its role says; arguments are the body's first nodes
///   carries are numbered 0, 1, ..; each has one argument and one result, of one type
///   results are carries or stacked
///   a loop that may stop has that carry, one number, and stacks nothing
///   a part names a result of a scan and has its type
std::vector<std::string> scan_violations(const Graph& graph, const Node& node);

/// The result of the body that is the new value of carry `ref`.
size_t carry_result(const Graph& body, int32_t ref);
/// The argument of the body that is carry `ref`.
size_t carry_argument(const Graph& body, int32_t ref);
int32_t num_carries(const Graph& body);

/// The graph with `change` applied to the body of each scan, and to bodies in bodies first.
template <typename Change>
Graph change_bodies(Graph graph, const Change& change) {
  for (Node& node : graph.nodes) {
    if (node.body != nullptr) node.body = std::make_shared<const Graph>(change(change_bodies(*node.body, change)));
  }
  return graph;
}

/// The body with such results for each of its carries.
Graph with_saved_carries(Graph body);
/// Every scan also stacks its carries as each step finds them, which is what a derivative reads.
Graph save_carries(Graph graph);
/// The results in which `body` has what each step finds of its carries, by carry; save_carries has put them there.
std::vector<size_t> saved_carries(const Graph& body);

}  // namespace smelt
