// Parts of run-time dims: values and gradients at sizes below the bound, sizes that are too small, and C hosts.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>

#include "tests/system/export_runs.h"

namespace smelt::test {
namespace {

constexpr std::string_view kParts = R"(dim B <= 4, T <= 9, C = 2
dim Last = T - 1
layer Places(x: f32[N, L, C]) -> f32[N, L, C] {
  param pos: f32[9, C] ~ Normal(0, 1)
  x + stretch(pos[0 .. L] as [L, C], over=N)
}
model places = Places
export tail(x: f32[T, C]) -> f32[Last, C] { x[1 ..] as [Last, C] }
export head(x: f32[T, C]) -> f32[Last, C] { x[.. T - 1] as [Last, C] }
export middle(x: f32[T, C]) = x[1 .. T - 1]
export steps(x: f32[T, C]) = x[1 ..] - x[.. T - 1]
export first(x: f32[T, C]) = x[0]
export two(x: f32[T, C]) = x[1 .. 3]
export last(x: f32[T, C]) = x[T - 1]
export ends(x: f32[T, C]) = x[T - 2 ..]
export column(x: f32[T, C]) = x[1 .., 1]
export formula(x: f32[T, C]) {
  y[c, t < T - 1] = x[t + 1, c] - x[t, c] + x[0, c] + x[T - 1, c]
  y
}
export outside(x: f32[T, C]) {
  y[i < 12, c] = x?[i - 1, c]
  y
}
fn energy(x) {
  h = places(x)
  a[n, t < T - 1, c] = h[n, t + 1, c] - h[n, t, c]
  u[n, t < T - 2, c] = sum[d < C] sin(h)[n, t + 1, d] * h[n, t + 2, c]
  s[n, i < 3, c] = h[n, i, c]
  p[n, t, c] = h[n, t, c] * h?[n, t - 2, c] + h?[n, t + 1, c]
  l[n, c] = h[n, T - 1, c] * h[n, T - 2, c] * h[n, 0, c]
  sum(a ^ 2) + sum(l) + sum(sin(u)) + sum(exp(s)) + sum(p ^ 3)
}
export e(x: f32[B, T, C]) = energy(x)
export g(x: f32[B, T, C]) = grad(energy(x), wrt=x)
export gg(x: f32[B, T, C], v: f32[B, T, C]) = grad(sum(grad(energy(x), wrt=x) * v), wrt=x)
export table(x: f32[B, T, C]) = grad(energy(x), wrt=places.pos)
objective loss() updates places {
  x ~ Normal(0, 1)[B, T, C]
  energy(x)
}
train { batch B = 4
  steps 2
  seed 1
  step loss with sgd(lr = 0.01)
}
)";

struct Parts : ExportRuns {
  explicit Parts(std::string_view name) : ExportRuns(name, kParts) {}
};

TEST_CASE("parts of a run-time dim are those of its size, whatever its bound") {
  const Parts here("parts-values");
  for (const size_t n : {3U, 4U, 9U}) {
    const Values x = unlike_numbers(2 * n, 0.3);
    here.write("x.npy", x, {static_cast<int64_t>(n), 2});
    const auto rows = [&](size_t from, size_t to) {
      return Values(x.begin() + static_cast<std::ptrdiff_t>(2 * from), x.begin() + static_cast<std::ptrdiff_t>(2 * to));
    };
    CHECK(here.run("tail") == rows(1, n));
    CHECK(here.run("head") == rows(0, n - 1));
    CHECK(here.run("middle") == rows(1, n - 1));
    CHECK(here.run("first") == rows(0, 1));
    CHECK(here.run("two") == rows(1, 3));
    CHECK(here.run("last") == rows(n - 1, n));
    CHECK(here.run("ends") == rows(n - 2, n));
    Values steps, column, formula, outside = {0, 0};
    for (size_t i = 2; i < 2 * n; ++i) steps.push_back(x[i] - x[i - 2]);
    for (size_t t = 1; t < n; ++t) column.push_back(x[2 * t + 1]);
    for (size_t c = 0; c < 2; ++c)
      for (size_t t = 1; t < n; ++t) formula.push_back(x[2 * t + c] - x[2 * t - 2 + c] + x[c] + x[2 * n - 2 + c]);
    outside.insert(outside.end(), x.begin(), x.end());
    outside.resize(24, 0);
    CHECK(here.run("steps") == steps);
    CHECK(here.run("column") == column);
    CHECK(here.run("formula") == formula);
    CHECK(here.run("outside") == outside);
  }
}

TEST_CASE(
    "gradients through parts agree with differences below the bound, in both orders and on any number of threads") {
  const Parts here("parts-gradients");
  for (const auto& [n, b] : {std::pair{3, 2}, {5, 4}, {9, 1}}) {
    const auto count = static_cast<size_t>(b * n * 2);
    const std::vector<int64_t> shape = {b, n, 2};
    const Values x = unlike_numbers(count, 0.9), v = unlike_numbers(count, 2.1);
    const auto moved = [&](const std::string& name, double by) {
      Values at = x;
      for (size_t i = 0; i < count; ++i) at[i] += by * v[i];
      here.write("m.npy", at, shape);
      return here.run(name, "--input x=m.npy");
    };
    constexpr double kStep = 1e-3;
    const auto slope = [&](const std::string& name) {
      Values sum = moved(name, kStep);
      const Values back = moved(name, -kStep), far = moved(name, 2 * kStep), far_back = moved(name, -2 * kStep);
      for (size_t i = 0; i < sum.size(); ++i) sum[i] = (8 * (sum[i] - back[i]) - (far[i] - far_back[i])) / (12 * kStep);
      return sum;
    };
    here.write("x.npy", x, shape);
    here.write("v.npy", v, shape);
    const Values g = here.run("g"), gg = here.run("gg", "--input x=x.npy --input v=v.npy");
    double along = 0;
    for (size_t i = 0; i < count; ++i) along += g[i] * v[i];
    CHECK(std::fabs(slope("e")[0] - along) < 1e-8);
    const Values second = slope("g");
    for (size_t i = 0; i < count; ++i) CHECK(std::fabs(second[i] - gg[i]) < 1e-7);
    Values rows(18, 0.0);
    for (size_t i = 0; i < count; ++i) rows[i % static_cast<size_t>(2 * n)] += g[i];
    const Values table = here.run("table");
    for (size_t i = 0; i < rows.size(); ++i) CHECK(std::fabs(table[i] - rows[i]) < 1e-12);
    for (const int threads : {2, 3})
      CHECK(here.run("gg", fmt::format("--input x=x.npy --input v=v.npy --threads {}", threads)) == gg);
  }
  const CommandResult checked = smelt_in(here.path, "gradcheck m.smelt --order 2");
  CHECK_MESSAGE(checked.exit_code == 0, checked.out);
}

TEST_CASE("a dim that is too short for a part is an error with the place of the part") {
  const Parts here("parts-short");
  here.write("x.npy", {1, 2, 3, 4}, {2, 2});
  const CommandResult two = here.tried("two", "--input x=x.npy");
  CHECK(two.exit_code == 3);
  CHECK_MESSAGE(
      two.err.find("export `two`: `T` is 2 here, and the part of it that m.smelt:13:28 takes needs at least 3") !=
          std::string::npos,
      two.err);
  CHECK(here.run("tail") == Values{3, 4});
  here.write("x.npy", {1, 2}, {1, 2});  // the result would have -1 rows
  const CommandResult middle = here.tried("middle", "--input x=x.npy");
  CHECK(middle.exit_code == 3);
  CHECK_MESSAGE(
      middle.err.find("export `middle`: `T` is 1 here, and the part of it that m.smelt:10:31 takes needs at least 3") !=
          std::string::npos,
      middle.err);
}

TEST_CASE("the header of a C host sets the sizes that follow, and refuses what is too short") {
  const Parts here("parts-header");
  const CommandResult built = smelt_in(here.path, "build m.smelt -o out --emit=obj,header");
  REQUIRE_MESSAGE(built.exit_code == 0, built.err);
  const std::string header = read_text_file(here.path + "/out/m.h");
  CHECK(header.find("in->T < 2 || in->T > 9") != std::string::npos);
  CHECK(header.find("= (in->T - 1);") != std::string::npos);
}

}  // namespace
}  // namespace smelt::test
