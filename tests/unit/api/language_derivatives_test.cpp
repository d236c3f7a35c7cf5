// Derivatives as expressions of the language: in exports, nested to the third order, per example, with custom adjoints.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "api/smelt/compile.h"
#include "runtime/session.h"

namespace smelt::test {
namespace {

constexpr std::string_view kModel = R"(dim B <= 4, X = 3, Y = 3
fn rounded(x) = floor(x)
  vjp(y, ct) = 2 * ct
fn scaled(x, factor) = x * factor
  vjp(_y, ct) = (-factor * ct, none)
layer None(x: f32[B, X]) -> f32[B, X] { x }
model _none = None

export third(x: f32[B, X]) -> f32[B, X] {
  e = sum(x ^ 4, over=X)
  first = grad(e, wrt=x)
  second = grad(sum(first, over=X), wrt=x)
  grad(sum(second, over=X), wrt=x)
}
export third_forward(x: f32[B, X]) -> f32[B, X] {
  one = ones_like(x)
  jvp(jvp(jvp(x ^ 4, wrt=x, along=one), wrt=x, along=one), wrt=x, along=one)
}
export of_reshaped(x: f32[B, X]) -> f32[B, X, 1] {
  p = reshape(x, [B, X, 1])
  grad(sum(reshape(p, [B, 1, X]) ^ 2), wrt=p)
}
export custom(x: f32[B, X]) -> f32[B, X] = grad(sum(rounded(x) * x), wrt=x)
export custom_twice(x: f32[B, X]) -> f32[B, X] {
  g = grad(sum(rounded(x) ^ 2), wrt=x)
  grad(sum(g), wrt=x)
}
export custom_forward(x: f32[B, X]) -> f32[B, X] = jvp(rounded(x), wrt=x, along=x)
export reversed(x: f32[B, X]) -> f32[B, X] = grad(sum(scaled(x, 5) ^ 2), wrt=x)
export through(x: f32[B, X]) -> f32[B, X] = straight_through(x, floor(x))
export through_slope(x: f32[B, X]) -> f32[B, X] = grad(sum(straight_through(x, floor(x)) ^ 2), wrt=x)
export norm_orders(x: f32[B, X]) -> f32[B, X] {
  z = x - x
  first = grad(norm(z, over=X), wrt=z)
  second = grad(sum(first, over=X), wrt=z)
  norm(z, over=X) + first + second + grad(sum(second, over=X), wrt=z)
}
export norm_slope(x: f32[B, X]) -> f32[B, X] = grad(norm(x, over=X), wrt=x)
export masked(x: f32[B, X]) -> f32[B, X] {
  e = sum(where(x > 2, sqrt(x - 2) * log(x - 2), 0), over=X)
  first = grad(e, wrt=x)
  first + grad(sum(first, over=X), wrt=x)
}
export stopped_step(x: f32[B, X]) -> f32[B, X] = grad(sum(scan t < 1 with h = x { h <- stop(h) * h }), wrt=x)
export custom_steps(x: f32[B, X]) -> f32[B, X] = grad(sum(scan t < 2 with h = x { h <- rounded(h) }), wrt=x)
export custom_steps_twice(x: f32[B, X]) -> f32[B, X] {
  g = grad(sum((scan t < 1 with h = x { h <- rounded(h) }) ^ 2), wrt=x)
  grad(sum(g), wrt=x)
}
export through_steps(x: f32[B, X]) -> f32[B, X] =
  grad(sum(scan t < 2 with h = x { yield scan s < 2 with g = h { g <- straight_through(g, floor(g)) } }), wrt=x)
export of_several(x: f32[B, X]) -> f32[B, X] {
  y = x * 3
  (gx, gy) = grad(sum(x * y ^ 2), wrt=(x, y))
  gx * 1000 + gy
}
export diagonal(x: f32[B, X]) -> f32[B, X] {
  m[i < 3, j < 4] = x[0, i] * (1.0 + cast(j, f32))
  grad(sum[j < 3] x[1, j] * m[j, j], wrt=x)
}
export products(x: f32[B, X]) -> f32[B] {
  p[n] = prod[j < 2, k] x[n, k]
  p
}
export largest_before(x: f32[B, X]) -> f32[X] {
  m[k] = max[n < B] x?[n - 1, k]
  m
}
export aligned(x: f32[X, Y], y: f32[Y, X]) -> f32[X, Y] = x + y
)";

/// The model compiled once; exports run on x = 1, 2, 3, .. of [2, 3], or what is given.
struct Exports {
  CheckedModel model;
  std::unique_ptr<CompiledModel> compiled;
  std::unique_ptr<Session> session;

  Exports() {
    ModelOptions options;
    options.precision = DType::F64;
    model = check_text("exports.smelt", std::string(kModel), options);
    REQUIRE_MESSAGE(model.experiment, render(model.diagnostics, *model.sources));
    auto made = compile(model, options);
    REQUIRE(made);
    compiled = std::move(*made);
    auto started = Session::create(compiled->program, compiled->functions(), {});
    REQUIRE(started);
    session = std::move(*started);
    REQUIRE(session->initialise());
  }

  struct Feed {
    const char* name;
    std::vector<int64_t> shape;
    std::vector<double> values;
  };

  std::vector<double> run(std::string_view name, const std::vector<Feed>& given) {
    const Entry* entry = compiled->program.find(FunctionKind::Export, name);
    REQUIRE_MESSAGE(entry != nullptr, name);
    std::vector<NamedTensor> feeds;
    for (const Feed& feed : given) {
      Result<HostTensor> tensor = HostTensor::zeros(DType::F64, feed.shape);
      REQUIRE(tensor);
      std::memcpy(tensor->data.data(), feed.values.data(), feed.values.size() * sizeof(double));
      feeds.push_back({feed.name, std::move(*tensor)});
    }
    const auto results = session->run(*entry, feeds);
    REQUIRE_MESSAGE(results, name);
    const auto values = results->at(0).tensor.as<double>();
    return {values.begin(), values.end()};
  }

  std::vector<double> at(std::string_view name, const std::vector<double>& x = {1.5, 2.5, 3.5, 4.5, 5.5, 6.5}) {
    return run(name, {{"x", {2, 3}, x}});
  }
};

TEST_CASE("derivatives in exports are those of the formulas") {
  Exports exports;
  using Values = std::vector<double>;
  CHECK(exports.at("third") == Values{36, 60, 84, 108, 132, 156});  // 24 x
  CHECK(exports.at("third_forward") == Values{36, 60, 84, 108, 132, 156});
  CHECK(exports.at("of_reshaped") == Values{3, 5, 7, 9, 11, 13});  // the reshape of a reshape leads around p
  CHECK(exports.at("custom") == Values{1 + 3, 2 + 5, 3 + 7, 4 + 9, 5 + 11, 6 + 13});  // floor(x) + 2 x
  CHECK(exports.at("custom_twice") == Values{8, 8, 8, 8, 8, 8});
  CHECK(exports.at("custom_forward") == Values{3, 5, 7, 9, 11, 13});
  CHECK(exports.at("reversed") == Values{-75, -125, -175, -225, -275, -325});  // 2 * 5 x * -5
  CHECK(exports.at("through") == Values{1, 2, 3, 4, 5, 6});
  CHECK(exports.at("through_slope") == Values{2, 4, 6, 8, 10, 12});
}

TEST_CASE("in the steps of a loop, too, `stop` ends a gradient and a clause `vjp` replaces it") {
  Exports exports;
  using Values = std::vector<double>;
  CHECK(exports.at("stopped_step") == Values{1.5, 2.5, 3.5, 4.5, 5.5, 6.5});
  CHECK(exports.at("custom_steps") == Values{4, 4, 4, 4, 4, 4});
  CHECK(exports.at("custom_steps_twice") == Values{8, 8, 8, 8, 8, 8});
  CHECK(exports.at("through_steps") == Values{2, 2, 2, 2, 2, 2});
}

TEST_CASE("formulas: an index that is read twice, one that is not read, and what lies outside of a run-time dim") {
  Exports exports;
  using Values = std::vector<double>;
  CHECK(exports.at("diagonal") == Values{4.5, 11, 19.5, 1.5, 5, 10.5});
  CHECK(exports.at("of_several") == Values{60763.5, 168787.5, 330823.5, 546871.5, 816931.5, 1141003.5});  // 27006 x^2
  CHECK(exports.at("products", {1, 2, 3, -1, 2, -3}) == Values{36, 36});
  CHECK(exports.at("largest_before", {-1, -2, -3, 4, 5, 6}) == Values{-1, -2, -3});
}

TEST_CASE("norm at 0 and branches that are not taken have derivatives of any order") {
  Exports exports;
  CHECK(exports.at("norm_orders") == std::vector<double>(6, 0));
  const std::vector<double> slope = exports.at("norm_slope", {0, 0, 0, 3, 0, 4});
  const double unit[] = {0, 0, 0, 0.6, 0, 0.8};
  for (size_t i = 0; i < 6; ++i) CHECK(slope[i] == doctest::Approx(unit[i]).epsilon(1e-14));
  for (const double value : exports.at("masked", {2, 1, 0, -1, 2, 2})) CHECK(value == 0);
  for (const double value : exports.at("masked", {3, 4, 5, 6, 7, 8})) CHECK((std::isfinite(value) && value != 0));
}

TEST_CASE("operands with equal axes in another order line up by name") {
  Exports exports;
  const std::vector<double> zero(9, 0), counted = {0, 1, 2, 3, 4, 5, 6, 7, 8};
  const auto sum = [&](const std::vector<double>& x, const std::vector<double>& y) {
    return exports.run("aligned", {{"x", {3, 3}, x}, {"y", {3, 3}, y}});
  };
  CHECK(sum(counted, zero) == counted);
  CHECK(sum(zero, counted) == std::vector<double>{0, 3, 6, 1, 4, 7, 2, 5, 8});
}

}  // namespace
}  // namespace smelt::test
