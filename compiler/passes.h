// The one table of passes (passes.def), and the order in which they run.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "compiler/unit.h"
#include "ir/support/result.h"

namespace smelt {

struct Pass {
  std::string_view name;
  std::string_view doc;
  Stage before;
  Stage latest;             // `stabilize` makes composites, so that it must not run after they are expanded
  Stage after;              // equal to `before` when the pass keeps the stage it finds
  std::string_view needed;  // why it cannot be left out; empty when it can
  /// Of the passes that rewrite graphs: what it does to one graph, without the bodies in it. Null: of the others.
  Graph (*rewrite)(Graph);
  /// Bodies of scans are rewritten first.
  void (*run)(FunctionUnit&, const PassContext&);

  constexpr bool changes_stage() const { return before != after; }
  constexpr bool may_run_on(Stage stage) const { return before <= stage && stage <= latest; }
};

std::span<const Pass> all_passes();
/// Those that rewrite graphs: they may run in any order that their stages allow, and a second run changes nothing (but
/// for `choose_layouts`, which reads the order that the model wrote).
std::vector<const Pass*> graph_passes();
const Pass* find_pass(std::string_view name);
/// Errors (Usage): an unknown pass, with a near one.
Result<const Pass*> pass_named(std::string_view name);

/// The names of the passes in the order in which they run; some run twice.
std::span<const std::string_view> pipeline();

}  // namespace smelt
