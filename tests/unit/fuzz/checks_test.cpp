// The checks notice what they are for: without these tests a fuzzer that finds nothing proves nothing.
#include <doctest/doctest.h>

#include <cmath>

#include "compiler/graph/remove_dead_nodes.h"
#include "fuzz/case_file.h"
#include "fuzz/differential.h"
#include "fuzz/guarded_memory.h"
#include "fuzz/lockstep_threads.h"
#include "fuzz/reduce.h"
#include "fuzz/shrink.h"
#include "ir/op.h"
#include "ir/text.h"
#include "tests/unit/fuzz/cases.h"

using namespace smelt;
using namespace smelt::fuzz;
using test::case_of, test::parse;

namespace {

std::optional<std::string> compare_scaled(const Case& tested, double factor) {
  std::vector<RefTensor> results = tested.expected.exact;
  for (double& value : results[0].values) value *= factor;
  return compare(tested, {.results = results, .fault = {}});
}

}  // namespace

TEST_CASE("a result may be off by rounding and by no more") {
  const Case tested =
      case_of("func @f(%x: feed f32[2]) {\n  %1 = exp %x : f32[2]\n  return %1 as value \"y\"\n}", {{0.5, 1.25}});
  CHECK_FALSE(compare_scaled(tested, 1).has_value());
  CHECK_FALSE(compare_scaled(tested, 1 + 1e-7).has_value());
  CHECK(compare_scaled(tested, 1 + 1e-5).has_value());
  CHECK(compare_scaled(tested, NAN).has_value());
}

TEST_CASE("what cancels may be off by more, by as much as its operands were rounded") {
  constexpr std::string_view kText =
      "func @f(%x: feed f32) {\n  %1 = exp %x : f32\n  %2 = constant {value = 2.718281} : f32\n  %3 = sub %1, %2 : "
      "f32\n"
      "  return %3 as value \"y\"\n}";
  const Case tested = case_of(kText, {{1}});  // about 8e-7 of 2.7
  CHECK_FALSE(compare_scaled(tested, 1.2).has_value());
  CHECK(compare_scaled(tested, 100).has_value());
  CHECK(tested.mistrusted);
}

TEST_CASE("terms that cancel may be added in another order") {
  constexpr std::string_view kText =
      "func @f(%x: feed f32) {\n  %1 = exp %x : f32\n  %2 = sub %1, %1 : f32\n  %3 = constant {value = 0.001} : f32\n"
      "  %4 = mul %x, %3 : f32\n  %5 = add %4, %2 : f32\n  return %5 as value \"y\"\n}";
  const Case tested = case_of(kText, {{1.1}});
  CHECK_FALSE(compare_scaled(tested, 1 + 1e-4).has_value());  // (0.0011 + 3.0) - 3.0 loses as much
  CHECK(compare_scaled(tested, 1 + 1e-2).has_value());
  CHECK_FALSE(tested.mistrusted);
}

TEST_CASE("a constant result is not trusted") {
  CHECK(case_of("func @f(%x: feed f32[4]) {\n  %1 = sign %x : f32[4]\n  return %1 as value \"y\"\n}", {{1, 2, 3, 4}})
            .mistrusted);
  CHECK_FALSE(
      case_of("func @f(%x: feed f32[4]) {\n  %1 = neg %x : f32[4]\n  return %1 as value \"y\"\n}", {{1, 2, 3, 4}})
          .mistrusted);
}

TEST_CASE("touching a byte outside a buffer is seen on either side") {
  GuardedMemory memory(2 * GuardedMemory::footprint(100));
  std::byte* at_end = memory.allocate(100, 1, Placement::EndAtGuard);
  std::byte* at_start = memory.allocate(100, 1, Placement::StartAtGuard);
  const auto write = [](std::byte* at) {
    return run_guarded([at] { *const_cast<volatile std::byte*>(at) = std::byte{1}; });
  };
  CHECK(write(at_end + 100).has_value());
  CHECK(write(at_start - 1).has_value());
  CHECK_FALSE(write(at_end + 99).has_value());
  CHECK_FALSE(memory.overwritten().has_value());
  CHECK_FALSE(write(at_start + 100).has_value());
  CHECK(memory.overwritten() == size_t{1});
  memory.make_read_only(at_end);
  CHECK(write(at_end).has_value());
}

TEST_CASE("threads run one after the other between barriers") {
  struct Shared {
    const smelt_threads* hooks;
    int values[3] = {};
    int sums[3] = {};
    bool with_barrier;
  };
  const auto body = [](void* argument, int32_t thread, int32_t count) {
    auto* shared = static_cast<Shared*>(argument);
    shared->values[thread] = thread + 1;
    if (shared->with_barrier) shared->hooks->barrier(shared->hooks->context, thread);
    for (int32_t t = 0; t < count; ++t) shared->sums[thread] += shared->values[t];
  };
  for (const bool reversed : {false, true}) {
    for (const bool with_barrier : {false, true}) {
      LockstepThreads threads(3, reversed);
      Shared shared{.hooks = threads.hooks(), .with_barrier = with_barrier};
      threads.hooks()->parallel(threads.hooks()->context, body, &shared);
      const bool complete = shared.sums[0] == 6 && shared.sums[1] == 6 && shared.sums[2] == 6;
      CHECK(complete == with_barrier);
      CHECK_FALSE(threads.torn());
    }
  }
}

TEST_CASE("a case file gives the same case back") {
  uint64_t seed = 17;
  while (make_case(seed).expected.arithmetic.halves == HalfRounding::None) ++seed;
  const Case tested = make_case(seed);
  const std::string path = "/tmp/smelt-case-file-test.txt";
  REQUIRE(write_case(path, tested, "full", "two\nlines").has_value());
  const Result<ReadCase> read = read_case(path);
  REQUIRE_MESSAGE(read.has_value(), read.error().message);
  CHECK(read->seed == seed);
  CHECK(read->check == "full");
  CHECK(print(read->random.graph) == print(tested.random.graph));
  CHECK(read->random.extents == tested.random.extents);
  REQUIRE(read->random.arguments.size() == tested.random.arguments.size());
  for (size_t i = 0; i < read->random.arguments.size(); ++i)
    CHECK(read->random.arguments[i].values == tested.random.arguments[i].values);
  CHECK(read->setup.cpu == tested.setup.cpu);
  CHECK(read->setup.threads == tested.setup.threads);
}

TEST_CASE("reduce leaves nothing that the failure does not need") {
  const Judge judge = [](const Case& tested) -> Verdict {
    const Graph live = remove_dead_nodes(tested.plain);
    for (const Node& node : live.nodes) {
      if (node.op != OpKind::ReduceSum) continue;
      if (live[node.inputs[0]].op == OpKind::Exp) return {"full", "a judge", "reduce_sum of exp"};
    }
    return {};
  };
  int reduced_cases = 0;
  for (uint64_t seed = 1; seed < 200 && reduced_cases < 5; ++seed) {
    const Case tested = make_case(seed);
    if (!judge(tested).fails()) continue;
    ++reduced_cases;
    const Reduced reduced = reduce({tested.seed, "full", tested.setup, tested.random}, judge);
    CHECK(reduced.verdict.fails());
    // exp, reduce_sum, and what it takes until a result says enough to be compared.
    CHECK_MESSAGE(reduced.num_ops <= 6, print(reduced.tested.random.graph));
  }
  CHECK(reduced_cases == 5);
}

TEST_CASE("what is right is not blamed") {
  const Case tested = make_case(3);
  CHECK_FALSE(blame(tested, "full").fails());
  CHECK_FALSE(blame(tested, "budget").fails());
  CHECK_FALSE(reduce({tested.seed, "full", tested.setup, tested.random}).verdict.fails());
}
