// Lints: what compiles and is seldom meant. Each is a function over the experiment as it is built, and a line of the
// table in lint.cpp. A lint warns; it never changes what is built.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/function_context.h"

namespace smelt {

struct Experiment;
class Diagnostics;

namespace frontend {

class Shapes;

/// What a lint sees. Graphs still hold `grad` and composites.
struct LintInput {
  const FileScope& file;
  const Experiment& experiment;
  const Shapes& shapes;
  std::vector<const FunctionContext*> functions;
  std::function<bool(size_t objective)> runs;        // in some train section of the file
  std::function<bool(int32_t variable)> is_average;  // by `ema`
  bool shortened;                                    // `--epochs` or the like says how long the run is, not the file
  Diagnostics& diagnostics;

  /// The loss of an objective, as `eval` computes it.
  const FunctionContext* loss_of(size_t objective) const;
};

struct Lint {
  std::string_view name;
  void (*run)(const LintInput& input);
};

void run_lints(const LintInput& input);

// nets.cpp: who reads and updates which parameters
void nets_never_updated(const LintInput& input);
void nets_without_influence(const LintInput& input);
void critics_updated_by_their_opponent(const LintInput& input);
void batch_norm_under_a_penalty(const LintInput& input);
// operands.cpp: what functions of the library are given
void probabilities_for_logits(const LintInput& input);
void values_outside_the_support(const LintInput& input);
void nets_of_two_ranges(const LintInput& input);
void operands_swapped(const LintInput& input);
void deviation_or_log_variance(const LintInput& input);
void deviation_of_zero(const LintInput& input);
// bounds.cpp: how the terms of a bound are added up
void terms_averaged_differently(const LintInput& input);
// padding.cpp: what lies behind the ends of rows
void padding_in_a_loss(const LintInput& input);
// stops.cpp: ends that are never reached
void stop_never_holds(const LintInput& input);
void patience_without_end(const LintInput& input);
void updates_beyond_the_run(const LintInput& input);

// ---- walks that several lints use (walks.cpp) ----

using Uses = FunctionContext::Use;

/// The node that `id` is a copy of, maybe moved, cast, clamped by numbers, or kept from gradients.
NodeId source_of(const Graph& graph, NodeId id);
bool is_number(const Graph& graph, NodeId id);
/// Whether each node is computed from one of `roots`, also where no gradient goes.
std::vector<bool> computed_from(const Graph& graph, const std::vector<NodeId>& roots);
/// The arguments of a function that are parameters, of those that `wanted` takes.
std::vector<NodeId> parameters_of(const LintInput& input, const Graph& graph,
                                  const std::function<bool(int32_t)>& wanted);
/// `net` of `net.fc1.W`.
std::string_view net_of(std::string_view path);
/// Whether a name in the path begins with `_`, which silences.
bool silenced(std::string_view path);

}  // namespace frontend
}  // namespace smelt
