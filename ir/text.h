// The textual form of graphs: print(parse(text)) == text, and parse(print(graph)) is the same graph without spans.
//
//   dims rows<=60000, B<=128
//   func @loss(%x: column f32[rows<=60000, 784] #0, %rows: rows i32[B<=128]) {
//     %2 = gather %x, %rows : f32[B<=128, 784]
//     %3 = reduce_sum %2 {axes = [1]} : f32[B<=128]
//     return %3 as loss "loss"
//   }
//
// `dims` is the table of run-time dimensions, when there is one. A node's number is its position; arguments have their
// name, or `%0 "name"` when that is not an identifier or not unique. The attribute `type` is what stands after the
// colon. A body stands in braces after that type, indented (ir/scan.h). An argument node after the first other node has
// a line of its own, `%x = argument`. `//` starts a comment.
#pragma once

#include <string>
#include <string_view>

#include "ir/graph.h"
#include "ir/support/result.h"
#include "ir/text_scanner.h"

namespace smelt {

std::string print(const Graph& graph);
/// Lines of a body, four spaces further in. `text` ends with a line.
std::string indented(std::string_view text);
/// Errors (Model) name the line of the text. The result is verified.
Result<Graph> parse_graph(std::string_view text);
/// The graph that comes next in `text`, which the scanner reads.
Result<Graph> read_graph(TextScanner& scanner, std::string_view text);

}  // namespace smelt
