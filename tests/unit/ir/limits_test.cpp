// The table of limits, and what a flag may say.
#include "ir/support/limits.h"

#include <doctest/doctest.h>

#include <set>

namespace smelt::test {
namespace {

std::string refusal(std::string_view assignment) {
  Limits limits;
  const Result<void> set = set_limit(limits, assignment);
  return set ? "taken" : set.error().message + "\n" + set.error().help;
}

uint64_t value_of(Limit limit, std::string_view assignment) {
  Limits limits;
  REQUIRE(set_limit(limits, assignment));
  return limits.*limit;
}

TEST_CASE("each limit is named once, its default is in its range, and its text is read back") {
  std::set<std::string_view> names;
  for (const LimitInfo& info : all_limits()) {
    CAPTURE(info.name);
    CHECK(names.insert(info.name).second);
    CHECK(Limits().*info.limit == info.value);
    CHECK(info.least <= info.value);
    CHECK(info.value <= info.most);
    for (const uint64_t value : {info.least, info.value, info.most})
      CHECK(value_of(info.limit, std::string(info.name) + "=" + info.text(value)) == value);
  }
}

TEST_CASE("a limit is set by a number and a unit, in its range") {
  CHECK(value_of(&Limits::csv_line, "csv_line=32MB") == 32'000'000);
  CHECK(value_of(&Limits::csv_line, "csv_line=1 MiB") == 1 << 20);
  CHECK(value_of(&Limits::csv_line, "csv_line=4096") == 4096);
  CHECK(value_of(&Limits::nodes, "nodes=200000") == 200'000);
  CHECK(value_of(&Limits::compile, "compile=90s") == 90'000);
  CHECK(value_of(&Limits::compile, "compile=0.5") == 500);
  CHECK(value_of(&Limits::compile, "compile=20ms") == 20);
  for (const char* none : {"nodes=0", "nodes=", "nodes", "nodes=-1", "nodes=many", "nodes=1e5", "nodes=5KB",
                           "nodes=nan", "nodes=99999999999999999999999"}) {
    CAPTURE(none);
    CHECK(refusal(none).find("`nodes` is from 1 to 10000000\nit bounds operations of a function") != std::string::npos);
  }
  CHECK(refusal("csv_line=0B").find("`csv_line` is from 1 to 1GiB") != std::string::npos);
  CHECK(refusal("compile=0s").find("`compile` is from 1ms to 1000000s") != std::string::npos);
  CHECK(refusal("nestings=3").find("there is no such limit\ndid you mean `nesting`? there are model_file, ") !=
        std::string::npos);
  CHECK(refusal("").find("there is no such limit\nthere are model_file, ") != std::string::npos);
}

TEST_CASE("the flag that a message offers is enough, or the message says that none is") {
  CHECK(raise_limit(&Limits::csv_line, (16 << 20) + 1) == "--limit csv_line=17MiB allows it");
  CHECK(raise_limit(&Limits::npy_header, 10'001) == "--limit npy_header=10KiB allows it");
  CHECK(raise_limit(&Limits::nodes, 144'001) == "--limit nodes=144001 allows it");
  CHECK(raise_limit(&Limits::name, 5000) == "`name` may be 4KiB at most");
  CHECK(raise_limit(&Limits::header, 100'000'000) == "--limit header=100000000 allows it");
  CHECK(double_limit(&Limits::nodes, {}) == "--limit nodes=200000 allows more");
  CHECK(double_limit(&Limits::nodes, {.nodes = 6'000'000}) == "--limit nodes=10000000 allows more");
  CHECK(double_limit(&Limits::nodes, {.nodes = 10'000'000}) == "`nodes` may be 10000000 at most");
}

}  // namespace
}  // namespace smelt::test
