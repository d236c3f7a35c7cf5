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
layer Up(x: f32[N, 1, 2, 2]) -> f32[N, 1, 3, 4] { x |> up: ConvT2d{1, k=1, stride=(2, 3)} }
model net = Up
)";

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

}  // namespace
}  // namespace smelt::test
