// The compiled elementary functions keep the bounds of docs/numerics.md; `smelt debug scalars --stride 1` tries every
// f32.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "fuzz/scalar_errors.h"

using namespace smelt;
using namespace smelt::fuzz;

namespace {

void check_bounds(DType dtype, const std::string& cpu, uint64_t stride) {
  const Result<ScalarCode> code = ScalarCode::compile(dtype, cpu);
  if (!code) return;  // an older machine
  for (const ScalarFunction& function : scalar_functions()) {
    const ScalarErrors errors = measure(*code, function, dtype, {.stride = stride, .threads = 2});
    const double bound = dtype == DType::F32 ? function.bound_f32 : function.bound_f64;
    CHECK_MESSAGE(errors.max_ulp <= bound,
                  fmt::format("{} {} on {}: {} ulp at {:a}, {:a}", function.name(), to_string(dtype), cpu,
                              errors.max_ulp, errors.worst_a, errors.worst_b));
    CHECK_MESSAGE(!errors.outside_at, fmt::format("{} {} on {} leaves its range at {:a}", function.name(),
                                                  to_string(dtype), cpu, errors.outside_at.value_or(0)));
    if (function.rises) {
      CHECK_MESSAGE(!errors.falls_at, fmt::format("{} {} on {} falls at {:a}", function.name(), to_string(dtype), cpu,
                                                  errors.falls_at.value_or(0)));
    }
  }
}

}  // namespace

TEST_CASE("compiled f32 functions keep their bounds on this machine") { check_bounds(DType::F32, "native", 2003); }
TEST_CASE("compiled f32 functions keep their bounds on AVX2") { check_bounds(DType::F32, "x86-64-v3", 4001); }
TEST_CASE("compiled functions keep their bounds without fused multiply-add") {
  check_bounds(DType::F32, "x86-64-v2", 20011);
  check_bounds(DType::F64, "x86-64-v2", 40009);
}
TEST_CASE("compiled f64 functions keep their bounds on this machine") { check_bounds(DType::F64, "native", 10007); }
TEST_CASE("compiled f64 functions keep their bounds on AVX2") { check_bounds(DType::F64, "x86-64-v3", 20011); }

TEST_CASE("a wrong function is seen") {
  const Result<ScalarCode> code = ScalarCode::compile(DType::F32, "native");
  REQUIRE(code.has_value());
  ScalarFunction exp = scalar_functions()[0];
  exp.exact_f32 = [](double x, double) { return x; };
  exp.range.high = 1;
  const ScalarErrors errors = measure(*code, exp, DType::F32, {.stride = 1'000'003});
  CHECK(errors.max_ulp > 1);
  CHECK(errors.outside_at.has_value());
  CHECK_FALSE(errors.within(exp, 1e30));
}
