// The textual form of graphs: print(parse(text)) == text, and parse(print(graph)) is the same graph without spans.
//
//   func @loss(%x: column f32[rows<=60000, 784] #0, %rows: rows i32[B<=128]) {
//     %2 = gather %x, %rows : f32[B<=128, 784]
//     %3 = reduce_sum %2 {axes = [1]} : f32[B<=128]
//     return %3 as loss "loss"
//   }
#pragma once

#include <string>
#include <string_view>

#include "ir/graph.h"
#include "ir/support/result.h"

namespace smelt {

std::string print(const Graph& graph);
/// Errors (Model) name the line of the text. The result is verified.
Result<Graph> parse_graph(std::string_view text);

}  // namespace smelt
