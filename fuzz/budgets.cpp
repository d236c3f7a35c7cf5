#include "fuzz/budgets.h"

#include <map>

#include "ir/support/check.h"

namespace smelt::fuzz {
namespace {

CompiledGraphs compiled(const std::vector<Graph>& graphs, CodeOptions code, Fusion fusion) {
  code.fusion = fusion;
  Result<CompiledGraphs> made = CompiledGraphs::compile(graphs, code);
  SMELT_CHECK(made.has_value(), "{}", made.error().message);
  return *std::move(made);
}

std::optional<std::string> compare_runs(const Case& tested, const CompiledGraphs& usual, const CompiledGraphs& small,
                                        size_t k) {
  const RunOutcome within = run_once(small, k, tested.random.arguments, tested.random.extents, tested.setup);
  if (const auto wrong = compare(tested, within)) return wrong;
  const RunOutcome without = run_once(usual, k, tested.random.arguments, tested.random.extents, tested.setup);
  if (without.fault) return std::nullopt;  // the leg `planned` reports it
  const auto bits = different_bits(without.results, within.results);
  return bits ? std::optional("without and within a budget: " + *bits) : std::nullopt;
}

struct Checks {
  int64_t& done;
  int64_t& again;
  std::vector<Failure> failures;

  void fail(const Case& tested, std::string what) {
    failures.push_back({tested.seed, std::string(kBudget.name), std::move(what)});
  }

  /// A module that cannot be compiled is tried graph by graph, so that the failure has a name.
  void run(std::span<const Case* const> members, Fusion fusion) {
    const Setup& setup = members[0]->setup;
    try {
      std::vector<Graph> graphs;
      for (const Case* tested : members) graphs.push_back(*prepare(tested->random.graph, kBudget));
      const CompiledGraphs usual = compiled(graphs, kPlanned.code(setup.cpu, setup.serial_work), fusion);
      const CompiledGraphs small = compiled(graphs, kBudget.code(setup.cpu, setup.serial_work), fusion);
      for (size_t k = 0; k < members.size(); ++k) {
        done += small.num_again(k) > 0 ? 1 : 0;
        again += static_cast<int64_t>(small.num_again(k));
        if (auto wrong = compare_runs(*members[k], usual, small, k)) fail(*members[k], *std::move(wrong));
      }
    } catch (const InternalError& error) {
      if (members.size() == 1) return fail(*members[0], error.what());
      for (const Case* tested : members) run(std::span(&tested, 1), fusion);
    }
  }
};

}  // namespace

std::vector<Failure> check_budgets(std::span<const Case> cases, int64_t& done, int64_t& again) {
  std::map<Group, std::vector<const Case*>> groups;
  for (const Case& tested : cases) groups[group_of(tested)].push_back(&tested);
  Checks checks{done, again, {}};
  for (const auto& [group, members] : groups) {
    for (const Fusion fusion : {Fusion::Full, Fusion::None}) checks.run(members, fusion);
  }
  return std::move(checks.failures);
}

}  // namespace smelt::fuzz
