// Values of formulas and of the library where axes are read in part, dims have run-time sizes, or numbers are of
// another type than f32.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>

#include "runtime/files/npz.h"
#include "tests/system/export_runs.h"

namespace smelt::test {
namespace {

constexpr std::string_view kModel = R"(import std.nn (ConvT2d)
dim T <= 16, A = 3, C = 4, D = 2
layer Up(x: f32[N, 1, 2, 2]) -> f32[N, 1, 4, 6] { x |> up: ConvT2d{1, k=1, stride=(2, 3), extra=(1, 2)} }
model net = Up
)";

TEST_CASE("two axes of one name line up in order") {
  const ExportRuns here("squares", fmt::format(R"({}
export shifted(x: f32[A, C, C], y: f32[C, C]) = x - y
export turned(x: f32[C, C], y: f32[C, A, C]) = where(x > 0, y, 2 * y)
export pooled(y: f32[C, A, C]) = sum(reshape(y, [4, 3, 4]), over=(4, 4))
)",
                                               kModel));
  const Values x = unlike_numbers(48, 0.1), y = unlike_numbers(16, 0.7);
  here.write("x.npy", x, {3, 4, 4});
  here.write("y.npy", y, {4, 4});
  here.write("t.npy", x, {4, 3, 4});
  const Values shifted = here.run("shifted", "--input x=x.npy --input y=y.npy");
  const Values turned = here.run("turned", "--input x=y.npy --input y=t.npy");
  const Values pooled = here.run("pooled", "--input y=t.npy");
  REQUIRE(shifted.size() == 48);
  REQUIRE(turned.size() == 48);
  REQUIRE(pooled.size() == 3);
  Values sums(3, 0);
  for (size_t i = 0; i < 4; ++i)
    for (size_t a = 0; a < 3; ++a)
      for (size_t j = 0; j < 4; ++j) {
        const size_t in_front = (a * 4 + i) * 4 + j, between = (i * 3 + a) * 4 + j;
        CHECK(std::abs(shifted[in_front] - (x[in_front] - y[i * 4 + j])) < 1e-12);
        CHECK(std::abs(turned[between] - (y[i * 4 + j] > 0 ? 1 : 2) * x[between]) < 1e-12);
        sums[a] += x[between];
      }
  for (size_t a = 0; a < 3; ++a) CHECK(std::abs(pooled[a] - sums[a]) < 1e-12);
}

TEST_CASE("margins of `same` leave the stride times the size of what a transposed convolution reads") {
  const ExportRuns here("transposed-same", R"(import std.nn (ConvT1d, ConvT2d)
dim H = 5, W = 3, T = 6
layer Up{pad}(x: f32[2, 1, H, W]) -> f32[2, 1, 10, 9] with { init.weight = Normal(0.5, 0) } {
  x |> up: ConvT2d{1, k=(3, 6), stride=(2, 3), pad=pad, bias=false}
}
layer Long{pad}(x: f32[2, 1, T]) -> f32[2, 1, 12] with { init.weight = Normal(0.5, 0) } {
  x |> up: ConvT1d{1, k=4, stride=2, pad=pad, bias=false}
}
model a = Up{same}
model b = Up{(0, 1, 1, 2)}
model c = Long{same}
model d = Long{1}
export planes(x: f32[2, 1, H, W]) = stack(max(abs(a(x) - b(x))), max(abs(b(x))))
export lines(x: f32[2, 1, T]) = stack(max(abs(c(x) - d(x))), max(abs(d(x))))
)");
  here.write("x.npy", unlike_numbers(30, 0.3), {2, 1, 5, 3});
  here.write("t.npy", unlike_numbers(12, 0.3), {2, 1, 6});
  for (const Values& off : {here.run("planes"), here.run("lines", "--input x=t.npy")}) {
    REQUIRE(off.size() == 2);
    CHECK(off[0] == 0);
    CHECK(off[1] > 0.5);
  }
}

TEST_CASE("a product of several factors reads a part of an axis, in values and gradients") {
  const ExportRuns here("formula-parts", fmt::format(R"({}
fn three(a, b, c) {{
  y[i, j < 1] = sum[k < 2] a[i, k] * b[k] * c[j, k]
  y
}}
fn masked(a, b, c) {{
  y[i] = sum[j < 1, k < 3] relu(a[i, k]) * b[j + 1] * tanh(c[j, k]) * b[k]
  y
}}
fn first(a, b) {{
  last[i] = a[i, 3] * 2
  y = sum[i, j < 1] a[i, j] * last[i] * b[j + 1]
  y
}}
export s(a: f32[A, C], b: f32[C], c: f32[D, C]) = first(a, b) + 0 * sum(c)
export v(a: f32[A, C], b: f32[C], c: f32[D, C]) = three(a, b, c)
export g(a: f32[A, C], b: f32[C], c: f32[D, C]) = grad(sum(three(a, b, c) ^ 2), wrt=c)
export w(a: f32[A, C], b: f32[C], c: f32[D, C]) = masked(a, b, c)
)",
                                                     kModel));
  const Values a = unlike_numbers(12, 0.1), b = unlike_numbers(4, 0.7), c = unlike_numbers(8, 1.9);
  here.write("a.npy", a, {3, 4});
  here.write("b.npy", b, {4});
  here.write("c.npy", c, {2, 4});
  const std::string inputs = "--input a=a.npy --input b=b.npy --input c=c.npy";
  Values s(1, 0), v(3, 0), w(3, 0), g(8, 0);
  for (size_t i = 0; i < 3; ++i) {
    s[0] += a[4 * i] * a[4 * i + 3] * 2 * b[1];
    for (size_t k = 0; k < 2; ++k) v[i] += a[4 * i + k] * b[k] * c[k];
    for (size_t k = 0; k < 3; ++k) w[i] += std::max(a[4 * i + k], 0.0) * b[1] * std::tanh(c[k]) * b[k];
    for (size_t k = 0; k < 2; ++k) g[k] += 2 * v[i] * a[4 * i + k] * b[k];
  }
  const auto check = [&](const char* name, const Values& expected) {
    const Values found = here.run(name, inputs);
    REQUIRE(found.size() == expected.size());
    for (size_t i = 0; i < found.size(); ++i) CHECK(std::abs(found[i] - expected[i]) < 1e-12);
  };
  check("s", s);
  check("v", v);
  check("w", w);
  check("g", g);
}

TEST_CASE("weights that are read backwards where they lie: nothing claims that their step is not negative") {
  constexpr int64_t kRows = 64, kDepth = 16, kColumns = 48;
  const ExportRuns here("formula-backwards", R"(dim B = 64, K = 16, O = 48
layer Net(x: f32[B, K]) -> f32[B, O] {
  param w: f32[K, O] ~ Normal(0, 1)
  x @ w
}
model net = Net
export back(x: f32[B, K], w: f32[K, O]) {
  y[n, o] = sum[k] x[n, k] * w[15 - k, o]
  y + 0 * net(x)
}
)");
  const Values x = unlike_numbers(kRows * kDepth, 0.2), w = unlike_numbers(kDepth * kColumns, 0.4);
  here.write("x.npy", x, {kRows, kDepth});
  here.write("w.npy", w, {kDepth, kColumns});
  const Values found = here.run("back", "--input x=x.npy --input w=w.npy");
  REQUIRE(found.size() == kRows * kColumns);
  for (size_t n = 0; n < kRows; ++n) {
    for (size_t o = 0; o < kColumns; ++o) {
      double expected = 0;
      for (size_t k = 0; k < kDepth; ++k) expected += x[n * kDepth + k] * w[(kDepth - 1 - k) * kColumns + o];
      CHECK(std::abs(found[n * kColumns + o] - expected) < 1e-12);
    }
  }
  const CommandResult code = smelt_in(here.path, "dump m.smelt --stage llvm --disable-pass llvm");
  REQUIRE(code.exit_code == 0);
  CHECK(code.out.find("@micro_") != std::string::npos);
  CHECK_MESSAGE(code.out.find("i64 -48") != std::string::npos, "no step is negative: this tests nothing");
  // %7 is the step through the weights, in a kernel's arguments.
  for (size_t at = code.out.find("mul nuw"); at != std::string::npos; at = code.out.find("mul nuw", at + 1)) {
    const std::string line = code.out.substr(at, code.out.find('\n', at) - at);
    CAPTURE(line);
    CHECK(line.find("i64 %7,") == std::string::npos);
  }
}

TEST_CASE("the size of a run-time dim is a whole number among whole numbers") {
  const ExportRuns here("formula-sizes", fmt::format(R"({}
dim Last = T - 1
export ends(x: f32[T]) = where(index(T) == T - 1, -1, x)
export turned(x: f32[T]) {{
  from_the_end = T - 1 - index(T)
  x[from_the_end]
}}
export next(x: f32[T]) {{
  one = reshape(x, [T, 1])
  scan t < T with h = zeros([1]) {{
    n[i < 1] = one[min(t + 1, T - 1), i]
    h <- n
    yield h
  }}
}}
export taken(x: f32[T], i: f32[A]) = x[clamp(cast(i, i32), 0, T - 1)]
export outside(x: f32[A, T]) {{
  y[i < 5] = x?[i - 1, T - 1]
  y
}}
export drawn(x: f32[T]) {{
  dim Many = 400
  t ~ UniformInt(T)[Many]
  u ~ UniformInt(Last)[Many]
  (max(x[t]), min(x[t]), cast(max(u, over=Many), f32), max(log_prob(UniformInt(T)[T], index(T))))
}}
)",
                                                     kModel));
  here.write("x.npy", {5, 6, 7, 8, 9}, {5});
  CHECK(here.run("ends") == Values{5, 6, 7, 8, -1});
  CHECK(here.run("turned") == Values{9, 8, 7, 6, 5});
  CHECK(here.run("next") == Values{6, 7, 8, 9, 9});
  here.write("i.npy", {-2, 3, 9}, {3});
  CHECK(here.run("taken", "--input x=x.npy --input i=i.npy") == Values{5, 8, 9});
  const CommandResult drawn =
      smelt_in(here.path, "run m.smelt drawn --input x=x.npy --precision f64 -o out.npz --force");
  REQUIRE_MESSAGE(drawn.exit_code == 0, drawn.err);
  const std::vector<double> expected{9, 5, 3, -std::log(5.0)};
  for (size_t k = 0; k < 4; ++k) {
    const auto file = read_npz(fmt::format("{}/out.npz/drawn{}", here.path, k));
    REQUIRE(file);
    CHECK(std::abs(element(file->tensor, 0) - expected[k]) < 1e-12);
  }
  here.write("x.npy", {1, 2, 3, 4, 5, 6}, {3, 2});
  CHECK(here.run("outside") == Values{0, 2, 4, 6, 0});
}

TEST_CASE("sorts, and means under a mask, take floats of every type") {
  for (const std::string_view type : {"f16", "bf16", "f64"}) {
    for (const size_t n : {5U, 300U}) {  // by pairs, and by the network
      const ExportRuns here("formula-types", fmt::format(R"({}
dim N = {}, B = 20
export sorted(x: f32[B, N]) = cast(sort(cast(x, {}), over=N), f32)
export ranks(x: f32[B, N]) = cast(rank(cast(x, {}), over=N), f32)
export most(x: f32[B, N]) = cast(topk(cast(x, {}), 2, over=N), f32)
export some(x: f32[B, N]) = cast(masked_mean(cast(x, {}), x < 3), f32)
export top(x: f32[B, N]) = cast(keep_top(cast(x, {}), over=N, top_k=1), f32)
)",
                                                         kModel, n, type, type, type, type, type));
      Values x;  // whole numbers, from the largest, with a pair of equal ones
      for (size_t b = 0; b < 20; ++b)
        for (size_t k = 0; k < n; ++k) x.push_back(static_cast<double>(k == 1 ? n : n - k));
      here.write("x.npy", x, {20, static_cast<int64_t>(n)});
      const Values sorted = here.run("sorted"), ranks = here.run("ranks"), most = here.run("most");
      const double exact = type == "bf16" && n > 256 ? 1 : 0;  // bf16 has whole numbers to 256
      CHECK(std::abs(sorted[0] - 1) <= exact);
      CHECK(std::abs(sorted[20 * (n - 1)] - static_cast<double>(n)) <= exact);
      CHECK(ranks[0] == static_cast<double>(n - 2));
      CHECK(ranks[1] == static_cast<double>(n - 1));
      CHECK(ranks[n - 1] == 0);
      CHECK(std::abs(most[20] - static_cast<double>(n)) <= exact);
      CHECK(here.run("some")[0] == 1.5);
      CHECK(std::abs(here.run("top")[0] - static_cast<double>(n)) <= exact);
    }
  }
}

TEST_CASE("a transposed convolution has an extra row and extra columns of its own number") {
  const ExportRuns here("formula-extra", fmt::format("{}export y(x: f32[1, 1, 2, 2]) = net(x)\n", kModel));
  here.write("x.npy", {1, 2, 3, 4}, {1, 1, 2, 2});
  const Values y = here.run("y");
  REQUIRE(y.size() == 24);
  for (size_t i = 0; i < 24; ++i) {
    const bool read = i / 6 % 2 == 0 && i % 6 % 3 == 0 && i / 6 <= 2 && i % 6 <= 3;
    CHECK((y[i] == y[7]) != read);  // elsewhere there is the bias
  }
}

TEST_CASE("a position of a formula is any formula of whole numbers, in values and gradients") {
  const ExportRuns here("formula-computed", R"(import std.nn (Dense)
dim B = 3, X = 4, S = 3
layer Scale(x: f32[N, X]) -> f32[N, X] {
  param w: f32[X] = ones()
  x * w
}
model net = Scale
export windows(x: f32[B, X], at: f32[B]) {
  first = cast(at, i32)
  y[n, i < 3] = net(x)[n, clamp(first[n], 0, 1) + i]
  y
}
export twice(x: f32[B, X]) {
  y[n, i < 8] = x[n, i / 2]
  y
}
export circle(x: f32[B, X]) {
  y[n, i < X] = x[n, (i + 3) % 4] + 10 * x[n, (2 * i + 1) % 4]
  y
}
export steps(x: f32[B, X]) = scan s < S with _h = 0.0 {
  y[n, i < 2] = x[n, s + i]
  yield y
}
export gradient(x: f32[B, X]) {
  y[n, i < X] = x[n, (i + 1) % 4] ^ 2 + 0 * x[n, i]
  grad(sum(y), wrt=x) - 2 * x
}
export remainders(x: f32[B, X]) = cast(cast(x, i32) % 3, f32) + 100 * cast(cast(x, i32) % -3, f32) + 10000 * cast(cast(x, i32) % 0, f32)
)");
  const Values x{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  here.write("x.npy", x, {3, 4});
  here.write("at.npy", {-5, 1, 7}, {3});
  CHECK(here.run("windows", "--input x=x.npy --input at=at.npy") == Values{0, 1, 2, 5, 6, 7, 9, 10, 11});
  const Values twice = here.run("twice"), circle = here.run("circle"), steps = here.run("steps");
  REQUIRE(twice.size() == 24);
  REQUIRE(circle.size() == 12);
  REQUIRE(steps.size() == 18);
  for (size_t n = 0; n < 3; ++n) {
    for (size_t i = 0; i < 8; ++i) CHECK(twice[n * 8 + i] == x[n * 4 + i / 2]);
    for (size_t i = 0; i < 4; ++i) CHECK(circle[n * 4 + i] == x[n * 4 + (i + 3) % 4] + 10 * x[n * 4 + (2 * i + 1) % 4]);
    for (size_t step = 0; step < 3; ++step)
      for (size_t i = 0; i < 2; ++i) CHECK(steps[(step * 3 + n) * 2 + i] == x[n * 4 + step + i]);
  }
  CHECK(here.run("gradient") == Values(12, 0));
  here.write("x.npy", {-7, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7}, {3, 4});
  const Values remainders = here.run("remainders");
  const int whole[] = {-7, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7};
  for (size_t i = 0; i < 12; ++i) CHECK(remainders[i] == whole[i] % 3 + 100 * (whole[i] % -3) + 10000 * whole[i]);
}

}  // namespace
}  // namespace smelt::test
