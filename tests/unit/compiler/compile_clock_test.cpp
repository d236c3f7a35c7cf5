// A compile that takes long: a note, and an end.
#include "compiler/compile_clock.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace smelt::test {
namespace {

TEST_CASE("a compile that takes long is told of once, and goes on up to its limit") {
  std::vector<std::string> notes;
  CompileClock clock({.note_after_ms = 0, .stop_after_ms = 1'000'000, .on_note = [&](const std::string& note) {
                        notes.push_back(note);
                      }});
  for (int i = 0; i < 3; ++i) clock.check();
  REQUIRE(notes.size() == 1);
  CHECK(notes[0] == "compiling has taken 0 s, and stops at 1000 s: --limit compile=2000s allows more");
}

TEST_CASE("behind its limit a compile stops with an error that names it") {
  CompileClock clock({.note_after_ms = 60'000, .stop_after_ms = 0, .on_note = {}});
  CHECK_THROWS_AS(clock.check(), CompileTooLong);
  CHECK(clock.error().kind == ErrorKind::Limit);
  CHECK(clock.error().message == "compiling takes longer than 0 s");
}

}  // namespace
}  // namespace smelt::test
