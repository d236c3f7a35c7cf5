// One element of an axis for each of the others, `x[n, t, label[n, t]]`, or several, `x[n, at[n, j], d]`, or one of two
// axes: their values, their gradients, and what they cost.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstring>

#include "api/smelt/compile.h"
#include "runtime/session.h"

namespace smelt::test {
namespace {

constexpr std::string_view kModel = R"(dim B <= 2, T = 2, K = 3, J = 3, S <= 4
layer None(x: f32[B, T, K]) -> f32[B, T, K] { x }
model _none = None
fn last_axis(x, y) {
  p[n, t] = x[n, t, y[n, t]]
  p
}
fn middle_axis(x, at) {
  p[n, k] = x[n, at[n], k]
  p
}
fn own_rows(x, at) {
  p[n, j, k] = x[n, at[n, j], k]
  p
}
fn own_elements(x, y) {
  p[j, t, n] = x[n, t, y[t, j, n]]
  p
}
fn two_places(x, y) {
  p[n] = x[n, y[n, 0], y[n, 1]]
  p
}
fn apart(x, y) {
  p[j, t] = x[y[j, 0], t, y[j, 1]]
  p
}
fn in_steps(x, y) {
  scan t < T with total = zeros([B]) {
    (xt, yt) = (x[t], y[t])
    p[n] = xt[n, yt[n]]
    total <- total * p + p
  }
}
export last(x: f32[B, T, K], y: ix<K>[B, T]) -> f32[B, T] = last_axis(x, y)
export last_slope(x: f32[B, T, K], y: ix<K>[B, T]) -> f32[B, T, K] = grad(sum(last_axis(x, y) ^ 2), wrt=x)
export last_curve(x: f32[B, T, K], y: ix<K>[B, T]) -> f32[B, T, K] {
  g = grad(sum(last_axis(x, y) ^ 3), wrt=x)
  grad(sum(g), wrt=x)
}
export middle(x: f32[B, T, K], at: ix<T>[B]) -> f32[B, K] = middle_axis(x, at)
export middle_slope(x: f32[B, T, K], at: ix<T>[B]) -> f32[B, T, K] = grad(sum(middle_axis(x, at) ^ 2), wrt=x)
export rows(x: f32[B, T, K], at: ix<T>[B, J]) -> f32[B, J, K] = own_rows(x, at)
export rows_slope(x: f32[B, T, K], at: ix<T>[B, J]) -> f32[B, T, K] = grad(sum(own_rows(x, at) ^ 2), wrt=x)
export rows_curve(x: f32[B, T, K], at: ix<T>[B, J]) -> f32[B, T, K] {
  g = grad(sum(own_rows(x, at) ^ 3), wrt=x)
  grad(sum(g), wrt=x)
}
export rows_turned(x: f32[B, T, K], at: ix<T>[J, B]) -> f32[K, J, B] {
  p[k, j, n] = x[n, at[j, n], k]
  p
}
export elements_slope(x: f32[B, T, K], y: ix<K>[T, J, B]) -> f32[B, T, K] = grad(sum(own_elements(x, y) ^ 2), wrt=x)
export run_time_slope(x: f32[B, S, K], at: i32[B]) -> f32[B, S, K] {
  p[n, k] = x[n, clamp(at, 0, 3)[n], k]
  grad(sum(p ^ 2), wrt=x)
}
export two(x: f32[B, T, K], y: ix<T>[B, 2]) -> f32[B] = two_places(x, y)
export two_slope(x: f32[B, T, K], y: ix<T>[B, 2]) -> f32[B, T, K] = grad(sum(two_places(x, y) ^ 2), wrt=x)
export two_apart_slope(x: f32[2, T, K], y: ix<T>[J, 2]) -> f32[2, T, K] = grad(sum(apart(x, y) ^ 2), wrt=x)
export two_in_steps(x: f32[B, T, K], y: ix<T>[B, 2]) -> f32[B, T, K] {
  s = scan t < T with s = zeros([B]) {
    p[n] = x[n, t, y[n, 1]] * x[n, y[n, 0], y[n, 1]]
    s <- s + p
  }
  grad(sum(s), wrt=x)
}
export steps_slope(x: f32[B, T, K], y: ix<K>[B, T]) -> f32[B, T, K] = grad(sum(in_steps(x, y)), wrt=x)
)";

class Picked {
 public:
  Picked() : model_(check_text("picked.smelt", std::string(kModel), {})) {
    REQUIRE_MESSAGE(model_.experiment, render(model_.diagnostics, *model_.sources));
    auto compiled = compile(model_, {});
    REQUIRE_MESSAGE(compiled, compiled.error().message);
    compiled_ = *std::move(compiled);
    auto session = Session::create(compiled_->program, compiled_->functions(), {});
    REQUIRE(session);
    session_ = *std::move(session);
    REQUIRE(session_->initialise());
  }

  /// Of x = 1, 2, 3, .. as [2, 2, 3].
  std::vector<double> run(std::string_view name, const std::string& feed, const std::vector<int32_t>& labels,
                          std::vector<int64_t> shape) {
    auto x = HostTensor::zeros(DType::F32, {2, 2, 3});
    auto y = HostTensor::zeros(DType::I32, std::move(shape));
    REQUIRE((x && y));
    for (int k = 0; k < 12; ++k) reinterpret_cast<float*>(x->data.data())[k] = static_cast<float>(k + 1);
    std::memcpy(y->data.data(), labels.data(), labels.size() * sizeof(int32_t));
    std::vector<NamedTensor> feeds;
    feeds.push_back({"x", *std::move(x)});
    feeds.push_back({feed, *std::move(y)});
    const auto results = session_->run(*compiled_->program.find(FunctionKind::Export, name), feeds);
    REQUIRE_MESSAGE(results, results.error().message);
    const auto values = (*results)[0].tensor.as<float>();
    return {values.begin(), values.end()};
  }

  const CompiledProgram& program() const { return compiled_->program; }

 private:
  CheckedModel model_;
  std::unique_ptr<CompiledModel> compiled_;
  std::unique_ptr<Session> session_;
};

using Values = std::vector<double>;

TEST_CASE_FIXTURE(Picked, "elements at labels have their values, and the gradient is where they are") {
  const std::vector<int32_t> y{0, 2, 1, 1};
  CHECK(run("last", "y", y, {2, 2}) == Values{1, 6, 8, 11});
  CHECK(run("last_slope", "y", y, {2, 2}) == Values{2, 0, 0, 0, 0, 12, 0, 16, 0, 0, 22, 0});
  CHECK(run("last_curve", "y", y, {2, 2}) == Values{6, 0, 0, 0, 0, 36, 0, 48, 0, 0, 66, 0});
  CHECK(run("middle", "at", {1, 0}, {2}) == Values{4, 5, 6, 7, 8, 9});
  CHECK(run("middle_slope", "at", {1, 0}, {2}) == Values{0, 0, 0, 8, 10, 12, 14, 16, 18, 0, 0, 0});
  CHECK(run("run_time_slope", "at", {3, 0}, {2}) == Values{0, 0, 0, 8, 10, 12, 14, 16, 18, 0, 0, 0});  // the last one
  // total = p0 * p1 + p1
  CHECK(run("steps_slope", "y", y, {2, 2}) == Values{6, 0, 0, 0, 0, 2, 0, 11, 0, 0, 9, 0});
}

TEST_CASE_FIXTURE(Picked, "each row has rows at labels of its own, and they are no matter of the other rows") {
  const std::vector<int32_t> at{0, 1, 1, 1, 0, 0};
  CHECK(run("rows", "at", at, {2, 3}) == Values{1, 2, 3, 4, 5, 6, 4, 5, 6, 10, 11, 12, 7, 8, 9, 7, 8, 9});
  CHECK(run("rows_slope", "at", at, {2, 3}) == Values{2, 4, 6, 16, 20, 24, 28, 32, 36, 20, 22, 24});
  CHECK(run("rows_curve", "at", at, {2, 3}) == Values{6, 12, 18, 48, 60, 72, 84, 96, 108, 60, 66, 72});
  CHECK(run("rows_turned", "at", {0, 1, 1, 0, 1, 0}, {3, 2}) ==
        Values{1, 10, 4, 7, 4, 7, 2, 11, 5, 8, 5, 8, 3, 12, 6, 9, 6, 9});
  const std::vector<int32_t> y{0, 2, 0, 0, 2, 0, 1, 0, 1, 1, 1, 2};  // [t, j, n]
  CHECK(run("elements_slope", "y", y, {2, 3, 2}) == Values{4, 0, 6, 0, 30, 0, 28, 0, 18, 20, 22, 24});
  CHECK(program().find(FunctionKind::Export, "rows")->couplings.empty());
}

TEST_CASE_FIXTURE(Picked, "labels along two axes choose one element") {
  const std::vector<int32_t> y{0, 1, 1, 0};
  CHECK(run("two", "y", y, {2, 2}) == Values{2, 10});
  CHECK(run("two_slope", "y", y, {2, 2}) == Values{0, 4, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0});
  const std::vector<int32_t> apart{0, 1, 1, 0, 0, 1};
  CHECK(run("two_apart_slope", "y", apart, {3, 2}) == Values{0, 8, 0, 0, 20, 0, 14, 0, 0, 20, 0, 0});
  // x[0, t, 1] is 2 and 5, of which the first is chosen; x[1, t, 0] is 7 and 10, of which the second is
  CHECK(run("two_in_steps", "y", y, {2, 2}) == Values{0, 2 + 7, 0, 0, 2, 0, 10, 0, 0, 10 + 17, 0, 0});
}

TEST_CASE("picking an element takes no memory that grows with the square of the rows") {
  const auto arena_of = [](int rows) {
    const std::string text = fmt::format(R"(dim B <= {}, K = 16
layer Scale(x: f32[B, K]) -> f32[B, K] {{
  param w: f32[K] = ones()
  x * w
}}
model scale = Scale
export slope(x: f32[B, K], y: ix<K>[B]) -> f32[B, K] {{
  h = tanh(scale(x))
  p[n] = h[n, y[n]]
  grad(sum(p ^ 2), wrt=x)
}}
)",
                                         rows);
    CheckedModel model = check_text("picked.smelt", text, {});
    REQUIRE_MESSAGE(model.experiment, render(model.diagnostics, *model.sources));
    const auto program = compile_program(model, {});
    REQUIRE(program);
    return program->arena_bytes;
  };
  CHECK(arena_of(4096) <= 5 * arena_of(1024));
}

}  // namespace
}  // namespace smelt::test
