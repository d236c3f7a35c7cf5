// Which recurrences do not pass in blocks of turns. Those that do: tests/files/passes/back_substitute*.txt, and
// scan_test.cpp for their values.
#include "compiler/schedule/back_substitute.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <string>

#include "compiler/loops/loops_text.h"

using namespace smelt;

namespace {

struct Unfit {
  const char* what;
  const char* carries;
  const char* body;
};

// %0 is 0, %1 is 0.5; each body ends with what `next` names.
constexpr Unfit kUnfit[] = {
    {"a function of a carry", "carry %2 from %0 next %4 last %3", "%4: f32 = tanh %2"},
    {"a carry by itself", "carry %2 from %0 next %4 last %3", "%4: f32 = mul %2, %2"},
    {"a factor that each turn reads", "carry %2 from %0 next %6 last %3",
     "%4: f32 = load x[t]\n%5: f32 = mul %4, %2\n%6: f32 = add %5, %1"},
    {"a factor that grows", "carry %2 from %0 next %6 last %3",
     "%4: f32 = 1.5\n%5: f32 = mul %4, %2\n%6: f32 = add %5, %1"},
    {"a factor of two values", "carry %2 from %0 next %6 last %3",
     "%4: f32 = load x[t]\n%5: f32 = sub %4, %2\n%6: f32 = add %5, %1"},
    {"what is between the ends of a turn", "carry %2 from %0 next %6 last %3",
     "%4: f32 = mul %1, %2\n%5: f32 = load x[t]\n%6: f32 = add %4, %5\nstore y[t] = %4"},
    {"what was handed on a turn before", "carry %2 from %0 next %7 last %3\n        carry %5 from %0 next %2 last %6",
     "%4: f32 = mul %1, %2\n%7: f32 = add %4, %5"},
    {"two that need each other", "carry %2 from %0 next %7 last %3\n        carry %5 from %0 next %9 last %6",
     "%4: f32 = mul %1, %2\n%7: f32 = add %4, %5\n%8: f32 = load x[t]\n%10: f32 = mul %8, %2\n%9: f32 = add %10, %5"},
};

void check_unchanged(const char* what, const char* length, const char* carries, const char* body) {
  const std::string text = fmt::format(R"(dims T<=300
loops @f computes f32, temporaries 0 to 0
  buffer x = input #0 f32[300]
  buffer y = output #0 f32[300]
  buffer last = output #1 f32
  kernel k0_stop group 0
    loops t<{}
    %0: f32 = 0
    %1: f32 = 0.5
    sweep
      for t in order
        {}
        {}
    sweep
      store last[0] = %3
)",
                                       length, carries, body);
  CAPTURE(what);
  const Result<LoopFunction> function = parse_loops(text);
  REQUIRE_MESSAGE(function.has_value(), function.error().message);
  CHECK(print(back_substitute(*function, {})) == print(*function));
}

}  // namespace

TEST_CASE("what is not linear in its carries runs turn by turn") {
  for (const Unfit& unfit : kUnfit) check_unchanged(unfit.what, "300", unfit.carries, unfit.body);
}

TEST_CASE("turns that are counted when the program runs, and few turns, run one by one") {
  constexpr const char *kCarries = "carry %2 from %0 next %6 last %3",
                       *kBody = "%4: f32 = mul %1, %2\n%5: f32 = load x[t]\n%6: f32 = add %4, %5";
  check_unchanged("a run-time length", "T<=300", kCarries, kBody);
  check_unchanged("a short loop", "127", kCarries, kBody);
}
