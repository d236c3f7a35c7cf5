// The textual forms of a schedule and of a fusion plan: print(parse(text)) == text. Both stand behind their graph.
//
//   schedule deepest last, late %12, again %12, rows %7, columns %9
//   plan full {
//     store %3 shared
//     store %4 sum split own_tiles
//     store %5 result split waits_for_other %9
//     again %12
//     order %0 %1 %2 %3 %4 %5
//     guards %5
//     kernel [B<=128, 10] product %4
//       sweep [] %5
//     kernel [B<=128]
//       sweep [10] %3
//     kernel [] loop %8 {
//       func @body ..
//       plan full { .. }
//     }
//   }
//
// Nodes have their numbers. What no pass has filled in yet is not there.
#pragma once

#include "compiler/plan/fusion_plan.h"
#include "ir/text_scanner.h"

namespace smelt {

/// A graph, then its schedule when a line of it comes next. Errors (Model) name the line.
Result<ScheduledGraph> read_source(TextScanner& scanner, std::string_view text);
/// The plan that comes next, of `graph`.
Result<FusionPlan> read_plan(TextScanner& scanner, std::string_view text, const Graph& graph);

}  // namespace smelt
