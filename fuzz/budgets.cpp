#include "fuzz/budgets.h"

#include <map>

#include "ir/support/check.h"

namespace smelt::fuzz {
namespace {

CompiledGraphs compiled(const std::vector<Graph>& graphs, const Leg& leg, const Setup& setup) {
  Result<CompiledGraphs> code = CompiledGraphs::compile(graphs, leg.code(setup.cpu, setup.serial_work));
  SMELT_CHECK(code.has_value(), "{}", code.error().message);
  return *std::move(code);
}

std::optional<std::string> compare_runs(const Case& tested, const CompiledGraphs& usual, const CompiledGraphs& small, size_t k) {
  const RunOutcome within = run_once(small, k, tested.random.arguments, tested.random.extents, tested.setup);
  if (const auto wrong = compare(tested, within)) return wrong;
  const RunOutcome without = run_once(usual, k, tested.random.arguments, tested.random.extents, tested.setup);
  if (without.fault) return std::nullopt;  // the leg `full` reports it
  const auto bits = different_bits(without.results, within.results);
  return bits ? std::optional("without and within a budget: " + *bits) : std::nullopt;
}

/// A module that cannot be compiled is tried graph by graph, so that the failure has a name.
void check_group(std::span<const Case* const> members, int64_t& done, int64_t& again, std::vector<Failure>& failures) {
  try {
    std::vector<Graph> graphs;
    for (const Case* tested : members) graphs.push_back(*prepare(tested->random.graph, kBudget));
    const CompiledGraphs usual = compiled(graphs, kFull, members[0]->setup), small = compiled(graphs, kBudget, members[0]->setup);
    for (size_t k = 0; k < members.size(); ++k) {
      done += small.num_again(k) > 0 ? 1 : 0;
      again += static_cast<int64_t>(small.num_again(k));
      if (auto wrong = compare_runs(*members[k], usual, small, k)) failures.push_back({members[k]->seed, std::string(kBudget.name), *std::move(wrong)});
    }
  } catch (const InternalError& error) {
    if (members.size() == 1) return failures.push_back({members[0]->seed, std::string(kBudget.name), error.what()});
    for (const Case* tested : members) check_group(std::span(&tested, 1), done, again, failures);
  }
}

}  // namespace

std::vector<Failure> check_budgets(std::span<const Case> cases, int64_t& done, int64_t& again) {
  std::map<Group, std::vector<const Case*>> groups;
  for (const Case& tested : cases) groups[group_of(tested)].push_back(&tested);
  std::vector<Failure> failures;
  for (const auto& [group, members] : groups) check_group(members, done, again, failures);
  return failures;
}

}  // namespace smelt::fuzz
