// Sizes that are made of run-time dims, T + 1, T + U and 2 * T: values and gradients at sizes below the bounds.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>

#include "tests/system/export_runs.h"

namespace smelt::test {
namespace {

constexpr std::string_view kSizes = R"(dim B <= 4, T <= 9, U <= 5, C = 2
dim More = T + 1, Both = T + U, Twice = 2 * T
layer Scaled(x: f32[N, L, C]) -> f32[N, L, C] {
  param w: f32[C] ~ Uniform(0.5, 1.5)
  x * w
}
model scaled = Scaled
export states(x: f32[T, C]) -> f32[More, C] {
  hs = scan t < T with h = zeros([C]) {
    h <- h + x[t]
    yield h
  }
  concat(zeros([1, C]), hs, axis=0) as [More, C]
}
export before(x: f32[T, C]) = concat(ones([3, C]), x, axis=0)
export after(x: f32[T, C], y: f32[3, C]) = concat(x, y, axis=0)
export both(x: f32[T, C], y: f32[U, C]) -> f32[Both, C] { concat(x, y, axis=0) as [Both, C] }
export three(x: f32[T, C], y: f32[U, C]) = concat(x, y, x, axis=0)
export columns(x: f32[T, C], y: f32[U, C]) {
  a[c, t] = x[t, c]
  b[c, u] = y[u, c]
  concat(a, b, axis=1)
}
export first_part(x: f32[T, C], y: f32[U, C]) = concat(x, y, axis=0)[.. T]
export second_part(x: f32[T, C], y: f32[U, C]) = concat(x, y, axis=0)[T ..]
export last(x: f32[T, C], y: f32[U, C]) = concat(x, y, axis=0)[T + U - 1]
export twice(x: f32[T, C]) -> f32[Twice, C] { x[index(Twice) / 2] as [Twice, C] }
export turned(x: f32[T, C]) = flip(x, over=T)
export moved(x: f32[T, C]) {
  y[t < T + 1, c] = x?[t - 1, c]
  y
}
export four(x: f32[T, C], y: f32[U, C]) = concat(x, y, axis=0)[.. 4]
export whole(z: f32[Both, C], x: f32[T, C]) = z[T ..] * sum(x)
fn energy(x, y) {
  z = concat(x, y, x, axis=1)
  w = sin(z)
  a[n, t < T + U, c] = w[n, t, c] * w[n, t + 1, c]
  b[n, t < 2 * T + U + 2, c] = w?[n, t - 2, c]
  ends = z[.., T + U - 1] * z[.., 0] + flip(z, axis=1)[.., 1]
  sum(a ^ 2) + sum(exp(b)) + sum(w[.., 1 ..] ^ 3) + sum(z[.., T .. T + U] * y) + sum(ends)
}
export e(x: f32[B, T, C], y: f32[B, U, C]) = energy(scaled(x), y)
export gx(x: f32[B, T, C], y: f32[B, U, C]) = grad(energy(scaled(x), y), wrt=x)
export gy(x: f32[B, T, C], y: f32[B, U, C]) = grad(energy(scaled(x), y), wrt=y)
export gg(x: f32[B, T, C], y: f32[B, U, C], v: f32[B, T, C]) = grad(sum(grad(energy(scaled(x), y), wrt=x) * v), wrt=x)
objective loss() updates scaled {
  x ~ Normal(0, 1)[B, T, C]
  y ~ Normal(0, 1)[B, U, C]
  energy(scaled(x), y)
}
train { batch B = 4
  steps 2
  seed 1
  step loss with sgd(lr = 0.01)
}
)";

constexpr std::string_view kInputs = "--input x=x.npy --input y=y.npy";

Values joined(const Values& a, const Values& b) {
  Values all = a;
  all.insert(all.end(), b.begin(), b.end());
  return all;
}

TEST_CASE("values are joined along run-time dims by their sizes, whatever their bounds") {
  const ExportRuns here("sizes-values", kSizes);
  const std::string inputs(kInputs);
  for (const auto& [t, u] : {std::pair{1U, 1U}, {4U, 3U}, {3U, 5U}, {9U, 5U}}) {
    const Values x = unlike_numbers(2 * t, 0.3), y = unlike_numbers(2 * u, 1.9), three = unlike_numbers(6, 0.1);
    here.write("x.npy", x, {t, 2});
    here.write("y.npy", y, {u, 2});
    here.write("three.npy", three, {3, 2});
    Values sums = {0, 0}, twice, turned;
    for (size_t i = 0; i < 2 * t; ++i) sums.push_back(sums[i] + x[i]);
    for (size_t i = 0; i < t; ++i) twice.insert(twice.end(), {x[2 * i], x[2 * i + 1], x[2 * i], x[2 * i + 1]});
    for (size_t i = t; i-- > 0;) turned.insert(turned.end(), {x[2 * i], x[2 * i + 1]});
    const Values both = joined(x, y);
    CHECK(here.run("states") == sums);
    CHECK(here.run("before") == joined(Values(6, 1.0), x));
    CHECK(here.run("after", "--input x=x.npy --input y=three.npy") == joined(x, three));
    CHECK(here.run("both", inputs) == both);
    CHECK(here.run("three", inputs) == joined(both, x));
    CHECK(here.run("first_part", inputs) == x);
    CHECK(here.run("second_part", inputs) == y);
    CHECK(here.run("last", inputs) == Values(y.end() - 2, y.end()));
    CHECK(here.run("twice") == twice);
    CHECK(here.run("turned") == turned);
    CHECK(here.run("moved") == joined({0, 0}, x));
    Values columns;
    for (size_t c = 0; c < 2; ++c)
      for (size_t i = c; i < both.size(); i += 2) columns.push_back(both[i]);
    CHECK(here.run("columns", inputs) == columns);
  }
}

TEST_CASE(
    "gradients through sizes of run-time dims agree with differences, in both orders and on any number of threads") {
  const ExportRuns here("sizes-gradients", kSizes);
  const std::string inputs(kInputs);
  for (const auto& [b, t, u] : {std::tuple{2, 3, 2}, {3, 5, 4}, {1, 9, 5}}) {
    const auto num_x = static_cast<size_t>(b * t * 2), num_y = static_cast<size_t>(b * u * 2);
    const Values x = unlike_numbers(num_x, 0.9), v = unlike_numbers(num_x, 2.1), y = unlike_numbers(num_y, 0.4),
                 w = unlike_numbers(num_y, 2.6);
    constexpr double kStep = 1e-3;
    const auto slope = [&](const std::string& name, const std::string& along) {
      const auto at = [&](double by) {
        Values mx = x, my = y;
        if (along == "x")
          for (size_t i = 0; i < num_x; ++i) mx[i] += by * v[i];
        else
          for (size_t i = 0; i < num_y; ++i) my[i] += by * w[i];
        here.write("x.npy", mx, {b, t, 2});
        here.write("y.npy", my, {b, u, 2});
        return here.run(name, inputs);
      };
      Values sum = at(kStep);
      const Values back = at(-kStep), far = at(2 * kStep), far_back = at(-2 * kStep);
      for (size_t i = 0; i < sum.size(); ++i) sum[i] = (8 * (sum[i] - back[i]) - (far[i] - far_back[i])) / (12 * kStep);
      return sum;
    };
    const double along_x = slope("e", "x")[0], along_y = slope("e", "y")[0];
    const Values second = slope("gx", "x");
    here.write("x.npy", x, {b, t, 2});
    here.write("y.npy", y, {b, u, 2});
    here.write("v.npy", v, {b, t, 2});
    const Values gx = here.run("gx", inputs), gy = here.run("gy", inputs),
                 gg = here.run("gg", inputs + " --input v=v.npy");
    double of_x = 0, of_y = 0;
    for (size_t i = 0; i < num_x; ++i) of_x += gx[i] * v[i];
    for (size_t i = 0; i < num_y; ++i) of_y += gy[i] * w[i];
    CHECK(std::fabs(along_x - of_x) < 1e-8);
    CHECK(std::fabs(along_y - of_y) < 1e-8);
    for (size_t i = 0; i < num_x; ++i) CHECK(std::fabs(second[i] - gg[i]) < 1e-7);
    for (const int threads : {2, 3})
      CHECK(here.run("gg", fmt::format("{} --input v=v.npy --threads {}", inputs, threads)) == gg);
  }
  const CommandResult checked = smelt_in(here.path, "gradcheck m.smelt --order 2");
  CHECK_MESSAGE(checked.exit_code == 0, checked.out);
}

TEST_CASE("a part of a sum of dims needs the sum to be large enough, and an input of a sum says what is left") {
  const ExportRuns here("sizes-short", kSizes);
  here.write("x.npy", {1, 2}, {1, 2});
  here.write("y.npy", {3, 4, 5, 6}, {2, 2});
  here.write("z.npy", {1, 2, 3, 4, 5, 6}, {3, 2});
  const CommandResult four = here.tried("four", std::string(kInputs));
  CHECK(four.exit_code == 3);
  CHECK_MESSAGE(four.err.find("`T+U` is 3 here, and the part of it that m.smelt:") != std::string::npos, four.err);
  CHECK(here.run("whole", "--input x=x.npy --input z=z.npy") == Values{9, 12, 15, 18});
  const CommandResult none = here.tried("whole", "--input x=z.npy --input z=z.npy");
  CHECK(none.exit_code != 0);
  CHECK_MESSAGE(none.err.find("an input has 3 along `T+U`, but") != std::string::npos, none.err);
}

TEST_CASE("the header of a C host adds sizes up, and refuses a sum that is too short") {
  const ExportRuns here("sizes-header", kSizes);
  const CommandResult built = smelt_in(here.path, "build m.smelt -o out --emit=obj,header");
  REQUIRE_MESSAGE(built.exit_code == 0, built.err);
  const std::string header = read_text_file(here.path + "/out/m.h");
  for (const char* line : {"= (in->T + 1);", "= (in->T + in->U);", "= (2 * in->T);"})
    CHECK_MESSAGE(header.find(line) != std::string::npos, line);
  CHECK(header.find("] < 4) return SMELT_CALL_BAD_ARGUMENT;") != std::string::npos);
}

}  // namespace
}  // namespace smelt::test
