// Every check on a few hundred graphs of fixed seeds; `smelt debug fuzz` runs more, and new ones.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "fuzz/campaign.h"

using namespace smelt;
using namespace smelt::fuzz;

TEST_CASE("random graphs agree on every check") {
  Totals totals;
  run_campaign(totals, {.count = 120, .directory = {}}, [](const Totals&) {});
  for (const Failure& failure : totals.failures)
    FAIL_CHECK(fmt::format("seed {} {}: {}", failure.seed, failure.check, failure.what));
  CHECK(totals.graphs == 120);
  CHECK(totals.mistrusted * 12 <= totals.graphs);  // about 4 % of many graphs
  CHECK(totals.pass_orders == 120);
  CHECK(totals.derivatives > 60);
  CHECK(totals.passes > 3 * totals.pass_orders);
  CHECK(totals.rewritten == 30);
  CHECK(totals.rewrites == 4 * totals.rewritten);
  CHECK(totals.fusion_pairs > 5);
  CHECK(totals.halves > 24);
  CHECK(totals.free_halves > 1);
  CHECK(totals.budgets > 2);  // graphs with loops keep their plans
  CHECK(totals.computed_again > totals.budgets);
}

TEST_CASE("a subject is in nine of ten graphs, and they agree") {
  for (const auto& [subject, count] :
       {std::pair(Subject::Pictures, &Totals::windows), {Subject::Loops, &Totals::loops}}) {
    Totals totals;
    run_campaign(totals, {.count = 40, .directory = {}, .subject = subject}, [](const Totals&) {});
    for (const Failure& failure : totals.failures)
      FAIL_CHECK(fmt::format("seed {} {}: {}", failure.seed, failure.check, failure.what));
    CHECK(totals.*count >= 34);
  }
}

TEST_CASE("totals go on where they were") {
  Totals totals;
  run_campaign(totals, {.count = 3, .directory = {}}, [](const Totals&) {});
  totals.failures.push_back({7, "full", "an example"});
  Result<Totals> read = totals_from_json(to_json(totals));
  REQUIRE(read.has_value());
  CHECK(to_json(*read) == to_json(totals));
  run_campaign(*read, {.count = 5, .directory = {}}, [](const Totals&) {});
  CHECK(read->graphs == 5);
  CHECK_FALSE(totals_from_json("{\"seed\": 1}").has_value());
  CHECK_FALSE(totals_from_json("not json").has_value());
}
