// Cholesky factors and triangular solves of std/linalg.smelt against Eigen's, and MultivariateNormal against stored
// results of PyTorch (tests/numeric/stored/multivariate.json), with gradients, all in f64.
#define EIGEN_DONT_VECTORIZE  // gcc 12 does not compile Eigen's prefetches with -Og, and an oracle need not be fast

#include <doctest/doctest.h>

#include <Eigen/Dense>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <random>

#include "api/smelt/compile.h"
#include "runtime/session.h"
#include "tests/support/text_files.h"

namespace smelt::test {
namespace {

constexpr std::string_view kModel = R"(dim B <= 3, X = 4, Y = X, K = 2, N = 24, M = N
layer None(x: f32[B, X]) -> f32[B, X] { x }
model _none = None
export factor(a: f32[B, X, Y]) -> f32[B, X, Y] = cholesky(a, row=X, column=Y)
export large(a: f32[N, M]) -> f32[N, M] = cholesky(a, row=N, column=M)
export lower(l: f32[B, X, Y], b: f32[B, X]) -> f32[B, Y] = solve_lower(l, b, row=X, column=Y)
export several(l: f32[X, Y], b: f32[X, K]) -> f32[K, Y] = solve_lower(l, b, row=X, column=Y)
export upper(u: f32[X, Y], b: f32[X, K]) -> f32[K, Y] = solve_upper(u, b, row=X, column=Y)
export transposed(l: f32[X, Y], b: f32[Y, K]) -> f32[K, X] = solve_upper(l, b, row=Y, column=X)

fn near(mean, chol) = MultivariateNormal(mean, chol)
export log_prob_of(x: f32[B, X], mean: f32[B, X], chol: f32[B, X, Y]) -> f32[B] = log_prob(near(mean, chol), x)
export entropy_of(mean: f32[B, X], chol: f32[B, X, Y]) -> f32[B] = entropy(near(mean, chol))
export kl_of(mean: f32[B, X], chol: f32[B, X, Y], other_mean: f32[X], other_chol: f32[X, Y]) -> f32[B] =
  kl(near(mean, chol), near(other_mean, other_chol))
export log_prob_by_x(x: f32[B, X], mean: f32[B, X], chol: f32[B, X, Y]) -> f32[B, X] =
  grad(sum(log_prob(near(mean, chol), x)), wrt=x)
export log_prob_by_chol(x: f32[B, X], mean: f32[B, X], chol: f32[B, X, Y]) -> f32[B, X, Y] =
  grad(sum(log_prob(near(mean, chol), x)), wrt=chol)
export entropy_by_chol(mean: f32[B, X], chol: f32[B, X, Y]) -> f32[B, X, Y] = grad(sum(entropy(near(mean, chol))), wrt=chol)
export kl_by_mean(mean: f32[B, X], chol: f32[B, X, Y], other_mean: f32[X], other_chol: f32[X, Y]) -> f32[B, X] =
  grad(sum(kl(near(mean, chol), near(other_mean, other_chol))), wrt=mean)
export kl_by_chol(mean: f32[B, X], chol: f32[B, X, Y], other_mean: f32[X], other_chol: f32[X, Y]) -> f32[B, X, Y] =
  grad(sum(kl(near(mean, chol), near(other_mean, other_chol))), wrt=chol)
export moments_of(mean: f32[X], chol: f32[X, Y]) -> f32[X, Y] {
  z ~ near(mean, chol) over N
  c = z - mean
  contract(c, c as [N, Y], over=N) / capacity(N)
}
export slope(mean: f32[X], chol: f32[X, Y]) -> f32[X] {
  z ~ near(mean, chol)
  grad(sum(z), wrt=mean)
}
)";

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Values = std::vector<double>;

struct Feed {
  const char* name;
  std::vector<int64_t> shape;
  Values values;
};

class Model {
 public:
  Model() {
    ModelOptions options;
    options.precision = DType::F64;
    model_ = check_text("linalg.smelt", std::string(kModel), options);
    REQUIRE_MESSAGE(model_.experiment, render(model_.diagnostics, *model_.sources));
    auto made = compile(model_, options);
    REQUIRE(made);
    compiled_ = std::move(*made);
    auto started = Session::create(compiled_->program, compiled_->functions(), {.seed = 3});
    REQUIRE(started);
    session_ = std::move(*started);
    REQUIRE(session_->initialise());
  }

  Values run(std::string_view name, const std::vector<Feed>& given, int64_t number = 0) {
    const Entry* entry = compiled_->program.find(FunctionKind::Export, name);
    REQUIRE_MESSAGE(entry != nullptr, name);
    std::vector<NamedTensor> feeds;
    for (const Feed& feed : given) {
      Result<HostTensor> tensor = HostTensor::zeros(DType::F64, feed.shape);
      REQUIRE(tensor);
      REQUIRE(tensor->data.size() == feed.values.size() * sizeof(double));
      std::memcpy(tensor->data.data(), feed.values.data(), feed.values.size() * sizeof(double));
      feeds.push_back({feed.name, std::move(*tensor)});
    }
    const auto results = session_->run(*entry, feeds, {.sizes = {}, .first_run = number});
    REQUIRE_MESSAGE(results, name);
    const auto values = results->at(0).tensor.as<double>();
    return {values.begin(), values.end()};
  }

 private:
  CheckedModel model_;
  std::unique_ptr<CompiledModel> compiled_;
  std::unique_ptr<Session> session_;
};

Matrix random_matrix(int64_t rows, int64_t columns, uint32_t seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<double> normal;
  Matrix m(rows, columns);
  for (Eigen::Index i = 0; i < m.size(); ++i) m.data()[i] = normal(engine);
  return m;
}

Matrix positive_definite(int64_t size, uint32_t seed) {
  const Matrix m = random_matrix(size, size, seed);
  return m * m.transpose() + 0.1 * Matrix::Identity(size, size);
}

Matrix factor_of(const Matrix& a) { return Eigen::LLT<Matrix>(a).matrixL(); }

Values list(const Matrix& m) { return {m.data(), m.data() + m.size()}; }

Values joined(std::initializer_list<Matrix> parts) {
  Values all;
  for (const Matrix& part : parts) all.insert(all.end(), part.data(), part.data() + part.size());
  return all;
}

void check_near(const Values& actual, const Values& expected, double tolerance) {
  REQUIRE(actual.size() == expected.size());
  double largest = 1;
  for (const double value : expected) largest = std::max(largest, std::abs(value));
  for (size_t i = 0; i < actual.size(); ++i) {
    CAPTURE(i);
    CHECK(std::abs(actual[i] - expected[i]) <= tolerance * largest);
  }
}

TEST_CASE("Cholesky factors are those of Eigen") {
  Model model;
  const Matrix a = positive_definite(4, 1), b = positive_definite(4, 2);
  check_near(model.run("factor", {{"a", {2, 4, 4}, joined({a, b})}}), joined({factor_of(a), factor_of(b)}), 1e-12);
  const Matrix large = positive_definite(24, 3);
  check_near(model.run("large", {{"a", {24, 24}, list(large)}}), list(factor_of(large)), 1e-12);
}

TEST_CASE("a matrix that is not positive definite gives NaN from the column at which that shows") {
  Model model;
  Matrix a = positive_definite(4, 1);
  const Matrix good = factor_of(a);
  a(2, 2) = -1;
  const Values values = model.run("factor", {{"a", {2, 4, 4}, joined({a, positive_definite(4, 2)})}});
  for (Eigen::Index i = 0; i < 4; ++i) {
    for (Eigen::Index j = 0; j < 4; ++j) {
      CAPTURE(i);
      CAPTURE(j);
      const double value = values[static_cast<size_t>(4 * i + j)];
      if (j < 2) CHECK(value == doctest::Approx(good(i, j)).epsilon(1e-12));
      if (j >= 2) CHECK(std::isnan(value) == (i >= j));
    }
  }
  for (size_t i = 16; i < 32; ++i) CHECK(std::isfinite(values[i]));  // the other matrix
}

TEST_CASE("the upper triangle of what is factored is not read") {
  Model model;
  const Matrix a = positive_definite(4, 1);
  Matrix lower = a;
  for (Eigen::Index i = 0; i < 4; ++i)
    for (Eigen::Index j = i + 1; j < 4; ++j) lower(i, j) = 1e6;
  check_near(model.run("factor", {{"a", {1, 4, 4}, list(lower)}}), list(factor_of(a)), 1e-12);
}

TEST_CASE("triangular solves are those of Eigen") {
  Model model;
  const Matrix l = factor_of(positive_definite(4, 1)), m = factor_of(positive_definite(4, 2));
  const Matrix b = random_matrix(2, 4, 5), c = random_matrix(4, 2, 6), u = l.transpose();
  const Matrix first = l.triangularView<Eigen::Lower>().solve(Matrix(b.row(0).transpose()));
  const Matrix second = m.triangularView<Eigen::Lower>().solve(Matrix(b.row(1).transpose()));
  check_near(model.run("lower", {{"l", {2, 4, 4}, joined({l, m})}, {"b", {2, 4}, list(b)}}), joined({first, second}),
             1e-12);
  const Matrix several = Matrix(l.triangularView<Eigen::Lower>().solve(c)).transpose();
  check_near(model.run("several", {{"l", {4, 4}, list(l)}, {"b", {4, 2}, list(c)}}), list(several), 1e-12);
  const Matrix upper = Matrix(u.triangularView<Eigen::Upper>().solve(c)).transpose();
  check_near(model.run("upper", {{"u", {4, 4}, list(u)}, {"b", {4, 2}, list(c)}}), list(upper), 1e-12);
  check_near(model.run("transposed", {{"l", {4, 4}, list(l)}, {"b", {4, 2}, list(c)}}), list(upper), 1e-12);
}

TEST_CASE("MultivariateNormal is PyTorch's") {
  Model model;
  const nlohmann::json stored = nlohmann::json::parse(read_text(source_path("tests/numeric/stored/multivariate.json")));
  const auto at = [&](const char* name) { return stored[name].get<Values>(); };
  const Feed x{"x", {3, 4}, at("x")}, mean{"mean", {3, 4}, at("mean")}, chol{"chol", {3, 4, 4}, at("chol")};
  const Feed other_mean{"other_mean", {4}, at("other_mean")}, other_chol{"other_chol", {4, 4}, at("other_chol")};
  check_near(model.run("log_prob_of", {x, mean, chol}), at("log_prob"), 1e-12);
  check_near(model.run("entropy_of", {mean, chol}), at("entropy"), 1e-12);
  check_near(model.run("kl_of", {mean, chol, other_mean, other_chol}), at("kl"), 1e-12);
  check_near(model.run("log_prob_by_x", {x, mean, chol}), at("log_prob_by_x"), 1e-10);
  check_near(model.run("log_prob_by_chol", {x, mean, chol}), at("log_prob_by_chol"), 1e-10);
  check_near(model.run("entropy_by_chol", {mean, chol}), at("entropy_by_chol"), 1e-10);
  check_near(model.run("kl_by_mean", {mean, chol, other_mean, other_chol}), at("kl_by_mean"), 1e-10);
  check_near(model.run("kl_by_chol", {mean, chol, other_mean, other_chol}), at("kl_by_chol"), 1e-10);
}

TEST_CASE("draws of a MultivariateNormal have its covariance, and a gradient by its mean") {
  Model model;
  const Matrix a = positive_definite(4, 1), l = factor_of(a);
  const Feed mean{"mean", {4}, {1, -2, 3, 0.5}}, chol{"chol", {4, 4}, list(l)};
  Matrix total = Matrix::Zero(4, 4);
  constexpr int kRuns = 200;
  for (int run = 0; run < kRuns; ++run) {
    const Values each = model.run("moments_of", {mean, chol}, run);
    total += Eigen::Map<const Matrix>(each.data(), 4, 4) / kRuns;
  }
  check_near(list(total), list(a), 0.06);  // 4,800 draws
  CHECK(model.run("slope", {mean, chol}) == Values{1, 1, 1, 1});
}

}  // namespace
}  // namespace smelt::test
