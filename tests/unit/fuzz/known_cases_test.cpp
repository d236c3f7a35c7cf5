// Graphs that were wrong once, each the smallest that shows it: tests/files/graphs/*.txt, named after what went wrong.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <filesystem>
#include <vector>

#include "fuzz/budgets.h"
#include "fuzz/case_file.h"
#include "fuzz/pass_orders.h"

using namespace smelt;
using namespace smelt::fuzz;

namespace {

std::vector<std::string> case_paths() {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(SMELT_SOURCE_DIR "/tests/files/graphs"))
    paths.push_back(entry.path().string());
  return paths;
}

}  // namespace

TEST_CASE("graphs that were wrong once are right on every leg, level and number of threads") {
  REQUIRE(case_paths().size() >= 4);
  for (const std::string& path : case_paths()) {
    const Result<ReadCase> read = read_case(path);
    REQUIRE_MESSAGE(read.has_value(), read.error().message);
    for (const std::string& cpu : levels_here()) {
      Setup setup = read->setup;
      setup.cpu = cpu;
      for (setup.threads = 1; setup.threads <= 3; ++setup.threads) {
        const Result<Case> tested = make_case(read->seed, setup, read->random);
        REQUIRE_MESSAGE(tested.has_value(), tested.error().message);
        for (const Leg& leg : kLegs) {
          const Leg* const legs[] = {&leg};
          for (const Failure& failure : check_legs(std::span(&*tested, 1), legs))
            FAIL_CHECK(fmt::format("{} {}: {}", path, failure.check, failure.what));
        }
        int64_t passes = 0, done = 0, again = 0;
        for (const Failure& failure : check_budgets(std::span(&*tested, 1), done, again))
          FAIL_CHECK(fmt::format("{} {}: {}", path, failure.check, failure.what));
        if (const auto failure = check_pass_orders(*tested, 20, passes))
          FAIL_CHECK(fmt::format("{}: {}", path, failure->what));
      }
    }
  }
}
