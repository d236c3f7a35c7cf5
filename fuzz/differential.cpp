#include "fuzz/differential.h"

#include <fmt/format.h>

#include <map>

#include "ir/support/check.h"

namespace smelt::fuzz {
namespace {

constexpr double kMistrustedShare = 0.65;

/// A case whose agreement says little: a result that is constant for the most part, or that rounding alone may change.
bool is_mistrusted(const Expected& expected) {
  for (size_t r = 0; r < expected.exact.size(); ++r) {
    const RefTensor& exact = expected.exact[r];
    if (ill_conditioned(expected, r) || (exact.values.size() >= 4 && share_of_commonest(exact) > kMistrustedShare))
      return true;
  }
  return false;
}

/// One module of all cases; when that fails, one each, so that the failure has a name.
void check_leg(std::span<const Case* const> cases, const Leg& leg, std::vector<Failure>& failures) {
  std::vector<Graph> graphs;
  std::vector<const Case*> compiled_cases;
  for (const Case* tested : cases) {
    try {
      Result<Graph> prepared = prepare(tested->random.graph, leg);
      SMELT_CHECK(prepared.has_value(), "{}", prepared.error().message);
      graphs.push_back(*std::move(prepared));
      compiled_cases.push_back(tested);
    } catch (const InternalError& error) {
      failures.push_back({tested->seed, std::string(leg.name), error.what()});
    }
  }
  if (compiled_cases.empty()) return;
  const Setup& setup = compiled_cases[0]->setup;
  try {
    const Result<CompiledGraphs> compiled = CompiledGraphs::compile(graphs, leg.code(setup.cpu, setup.serial_work));
    SMELT_CHECK(compiled.has_value(), "{}", compiled.error().message);
    for (size_t k = 0; k < compiled_cases.size(); ++k) {
      const Case& tested = *compiled_cases[k];
      const RunOutcome outcome = run_once(*compiled, k, tested.random.arguments, tested.random.extents, tested.setup);
      if (const auto wrong = compare(tested, outcome)) failures.push_back({tested.seed, std::string(leg.name), *wrong});
    }
  } catch (const InternalError& error) {
    if (compiled_cases.size() == 1)
      return failures.push_back({compiled_cases[0]->seed, std::string(leg.name), error.what()});
    for (const Case* tested : compiled_cases) check_leg(std::span(&tested, 1), leg, failures);
  }
}

}  // namespace

Result<Case> make_case(uint64_t seed, const Setup& setup, RandomGraph random) {
  Case made{.seed = seed, .setup = setup, .random = std::move(random)};
  made.plain = plain_graph(made.random.graph);
  const Arithmetic arithmetic{.dtype = setup.dtype,
                              .halves = half_rounding(made.random.graph),
                              .bf16_pairs = has_bf16_pairs(made.random.graph, setup.cpu)};
  SMELT_TRY(made.expected, expected_results(made.plain, made.random.arguments, made.random.extents, arithmetic));
  made.mistrusted = is_mistrusted(made.expected);
  return made;
}

Case make_case(uint64_t seed, Subject subject) {
  const Setup setup = setup_of(seed);
  const double sequences = seed % 7 == 3 ? 0.1 : 0;  // they leave less room for other ops
  const double pictures = seed % 7 == 1 || seed % 7 == 5 ? 0.35 : 0;
  const GraphOptions options{.dtype = setup.dtype, .sequences = sequences, .pictures = pictures, .subject = subject};
  Result<Case> made = make_case(seed, setup, random_graph(seed, options));
  SMELT_CHECK(made.has_value(), "seed {}: {}", seed, made.error().message);
  return *std::move(made);
}

std::optional<std::string> compare(const Case& tested, const RunOutcome& outcome) {
  if (outcome.fault) return outcome.fault;
  if (worst_deviation(tested.expected, outcome.results).ratio <= 1) return std::nullopt;
  const Result<Expected> settled = expected_results(tested.plain, tested.random.arguments, tested.random.extents,
                                                    tested.expected.arithmetic, kManySamples);
  SMELT_CHECK(settled.has_value(), "{}", settled.error().message);
  const Deviation deviation = worst_deviation(*settled, outcome.results);
  return deviation.ratio <= 1 ? std::nullopt : std::optional(to_string(deviation));
}

std::optional<std::string> different_bits(std::span<const RefTensor> a, std::span<const RefTensor> b) {
  for (size_t r = 0; r < a.size(); ++r) {
    for (size_t i = 0; i < a[r].values.size(); ++i) {
      const double x = a[r].values[i], y = b[r].values[i];
      if (x != y && !(std::isnan(x) && std::isnan(y)))
        return fmt::format("result {} element {}: {:a} against {:a}", r, i, x, y);
    }
  }
  return std::nullopt;
}

std::vector<Failure> check_legs(std::span<const Case> cases, std::span<const Leg* const> legs) {
  std::map<Group, std::vector<const Case*>> groups;
  for (const Case& tested : cases) groups[group_of(tested)].push_back(&tested);
  std::vector<Failure> failures;
  for (const auto& [key, group] : groups) {
    for (const Leg* leg : legs) check_leg(group, *leg, failures);
  }
  return failures;
}

}  // namespace smelt::fuzz
