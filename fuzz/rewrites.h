// Metamorphic checks: a graph written in another way gives the same.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "fuzz/differential.h"
#include "fuzz/numbers.h"
#include "ir/builder.h"

namespace smelt::fuzz {

/// One way to write a value differently.
struct Rewrite {
  std::string_view name;
  bool exact;  // each element keeps its bits
  /// The node that stands for `id` in a copy under construction, or nothing where the rewrite does not apply.
  std::optional<NodeId> (*apply)(Builder& builder, NodeId id, Numbers& numbers);
};
std::span<const Rewrite> all_rewrites();

/// The graph with one random node rewritten; nothing when no node fits.
std::optional<Graph> apply_rewrite(const Graph& graph, const Rewrite& rewrite, Numbers& numbers);

/// `count` different rewrites of each case, of those that apply: through the graph passes and the reference evaluator,
/// and where the optimised graph is another one, through compiled code in full. `done` counts them.
std::vector<Failure> check_rewrites(std::span<const Case> cases, int count, int64_t& done);

/// Values are the same bits however they are fused: graphs without sums, whose order of terms may differ, are compiled
/// with everything stored, with nothing stored that can be recomputed, and as users get them. `done` counts graphs.
std::vector<Failure> check_fusion(std::span<const Case> cases, int64_t& done);

}  // namespace smelt::fuzz
