// Functions of the library whose values a whole run has to show: sorts, divergences and distances at their extremes.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "tests/system/playground.h"

namespace smelt::test {
namespace {

using Row = std::array<double, 3>;

Row log_softmax(const Row& logits) {
  const long double most = std::ranges::max(logits);
  long double total = 0;
  for (const double z : logits) total += std::exp(z - most);
  Row result;
  for (size_t i = 0; i < 3; ++i) result[i] = static_cast<double>(logits[i] - most - std::log(total));
  return result;
}

/// kl(Categorical(l), Categorical(m)) and its gradients where l and m are small, large or -inf, in T.
template <typename T>
void check_divergence(const Playground& here, DType dtype, double tolerance) {
  constexpr double kLogits[] = {-INFINITY, -1000, -80, -5, 0, 0.25, 3, 20, 100, 1000};
  const std::string type = dtype == DType::F64 ? "f64" : "f32";
  here.model("dim B <= 1000, K = 3\n" + kScale + "export e(l: " + type + "[B, K], m: " + type +
             "[B, K]) {\n  d = kl(Categorical(l), Categorical(m))\n  concat(reshape(d, [B, 1]), grad(sum(d), wrt=l), "
             "grad(sum(d), wrt=m), axis=1)\n}\n");
  std::vector<Row> l, m;
  std::vector<T> flat_l, flat_m;
  for (size_t i = 0; i < 1000; ++i) {
    l.push_back({kLogits[i % 10], kLogits[i / 10 % 10], 0});
    m.push_back({kLogits[i / 100], kLogits[(i + i / 10) % 10], i % 3 == 0 ? -INFINITY : 0.5});
    if (m.back()[0] == -INFINITY && m.back()[1] == -INFINITY) m.back()[2] = 0;
    for (const double z : l.back()) flat_l.push_back(static_cast<T>(z));
    for (const double z : m.back()) flat_m.push_back(static_cast<T>(z));
  }
  write_array<T>(here.path + "/l.npy", dtype, {1000, 3}, flat_l);
  write_array<T>(here.path + "/m.npy", dtype, {1000, 3}, flat_m);
  const CommandResult result =
      here.run({"run", "m.smelt", "e", "--input", "l=l.npy", "--input", "m=m.npy", "-o", "o.npy", "--force"});
  REQUIRE_MESSAGE(result.exit_code == 0, result.err);
  const std::vector<double> found = read_array(here.path + "/o.npy");  // 7 of each row: the value, the gradients
  for (size_t i = 0; i < 1000; ++i) {
    const Row log_q = log_softmax(l[i]), log_p = log_softmax(m[i]);
    Row q, by_l, by_m;
    double expected = 0;
    for (size_t k = 0; k < 3; ++k) {
      q[k] = std::exp(log_q[k]) < std::numeric_limits<T>::denorm_min() / 2 ? 0 : std::exp(log_q[k]);
      if (q[k] > 0) expected += q[k] * (log_q[k] - log_p[k]);
      by_m[k] = std::exp(log_p[k]) - q[k];
    }
    double largest = 1;
    for (size_t k = 0; k < 3; ++k) {
      by_l[k] = q[k] > 0 ? q[k] * (log_q[k] - log_p[k] - expected) : 0;
      largest = std::max(largest, std::abs(by_l[k]));
    }
    CAPTURE(fmt::format("{} {} {}, {} {} {}", l[i][0], l[i][1], l[i][2], m[i][0], m[i][1], m[i][2]));
    const double value = found[7 * i];
    CHECK((value == expected || std::abs(value - expected) <= tolerance * (1e-3 + std::abs(expected))));
    for (size_t k = 0; k < 3; ++k) {
      CHECK(std::abs(found[7 * i + 4 + k] - by_m[k]) <= 300 * tolerance);
      if (expected < INFINITY) CHECK(std::abs(found[7 * i + 1 + k] - by_l[k]) <= 300 * tolerance * largest);
    }
  }
}

TEST_CASE("the divergence of categorical distributions is right for confident and for forbidden classes") {
  const Playground here("values_divergence");
  check_divergence<float>(here, DType::F32, 1e-6);
  check_divergence<double>(here, DType::F64, 1e-14);
}

TEST_CASE("the divergence of almost certain coins, and the entropy of certain ones, are numbers") {
  const Playground here("values_coins");
  here.model("dim B <= 8\n" + kScale +
             "export coins(x: f32[B], y: f32[B]) {\n  d = kl(Bernoulli(x), Bernoulli(y))\n  h = entropy(Bernoulli(x))\n"
             "  stack(d, grad(sum(d), wrt=y), h, grad(sum(h), wrt=x), axis=0)\n}\n");
  const auto values = [&](const std::vector<float>& x, const std::vector<float>& y) {
    write_array<float>(here.path + "/x.npy", DType::F32, {4}, x);
    write_array<float>(here.path + "/y.npy", DType::F32, {4}, y);
    const CommandResult result =
        here.run({"run", "m.smelt", "coins", "--input", "x=x.npy", "--input", "y=y.npy", "-o", "z.npy", "--force"});
    REQUIRE_MESSAGE(result.exit_code == 0, result.err);
    return read_array(here.path + "/z.npy");
  };
  const std::vector<double> almost = values({1000, -1000, 1e5F, -1e5F}, {1000, 1, -1e5F, 3e5F});
  const std::vector<double> expected{0, std::log1p(std::exp(1)), 1e5, 3e5, 0, 1 / (1 + std::exp(-1)), -1, 1};
  for (size_t i = 0; i < 16; ++i) {
    CAPTURE(i);
    CHECK(almost[i] == doctest::Approx(i < 8 ? expected[i] : 0).epsilon(1e-6));
  }
  const std::vector<double> certain = values({INFINITY, -INFINITY, 0, 0}, {0, 0, 0, 0});
  for (const size_t i : {8, 9, 12, 13}) CHECK(certain[i] == 0);
  // Of the divergence: log 2 of even odds, nothing of what is certain as well, no end where the other excludes it.
  CHECK(certain[0] == doctest::Approx(std::log(2)));
  CHECK(certain[1] == doctest::Approx(std::log(2)));
  CHECK(certain[4] == doctest::Approx(-0.5));
  CHECK(certain[5] == doctest::Approx(0.5));
  const std::vector<double> excluded = values({INFINITY, INFINITY, 0, 0}, {INFINITY, -INFINITY, INFINITY, -INFINITY});
  CHECK(excluded[0] == 0);
  CHECK(excluded[4] == 0);
  for (const size_t i : {1, 2, 3}) CHECK(excluded[i] >= 1e29);
}

TEST_CASE("smoothing of 0 or 1 leaves out what has no weight") {
  const Playground here("values_smoothing");
  here.model("dim B <= 2, K = 3\n" + kScale +
             "export e(x: f32[B, K], y: ix<K>[B]) = stack(smoothed_xent(x, y, over=K, smoothing=0), "
             "smoothed_xent(x, y, over=K, smoothing=1), softmax_xent(x, y, over=K), axis=0)\n");
  write_array<float>(here.path + "/x.npy", DType::F32, {2, 3}, {1, 2, -INFINITY, 1, 2, 3});
  write_array<int32_t>(here.path + "/y.npy", DType::I32, {2}, {0, 2});
  const CommandResult result =
      here.run({"run", "m.smelt", "e", "--input", "x=x.npy", "--input", "y=y.npy", "-o", "z.npy"});
  REQUIRE_MESSAGE(result.exit_code == 0, result.err);
  const std::vector<double> z = read_array(here.path + "/z.npy");
  CHECK(z[0] == doctest::Approx(std::log1p(std::exp(1))));
  CHECK(z[0] == z[4]);
  CHECK(z[1] == z[5]);
  CHECK(z[2] == INFINITY);
  CHECK(z[3] == doctest::Approx(z[5] + 1));
}

TEST_CASE("lengths of an edit distance are numbers or tensors, and at most what there is") {
  const Playground here("values_edits");
  here.model("dim B <= 4, M = B, S = 4, T <= 6, K = 3\n" + kScale +
             "export whole(a: ix<K>[B, S], b: ix<K>[B, T]) = edit_distance(a, b, 4, 9)\n"
             "export some(a: ix<K>[B, S], b: ix<K>[B, T], m: i32[M], n: i32[B]) = edit_distance(a, b, m, n)\n");
  write_array<int32_t>(here.path + "/a.npy", DType::I32, {3, 4}, {0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1});
  write_array<int32_t>(here.path + "/b.npy", DType::I32, {3, 5}, std::vector<int32_t>(15, 2));
  write_array<int32_t>(here.path + "/m.npy", DType::I32, {3}, {4, 4, -1});
  write_array<int32_t>(here.path + "/n.npy", DType::I32, {3}, {5, 6, 2});
  const std::vector<std::string> labels{"--input", "a=a.npy", "--input", "b=b.npy", "-o", "z.npy", "--force"};
  const auto values = [&](std::vector<std::string> line) {
    line.insert(line.end(), labels.begin(), labels.end());
    const CommandResult result = here.run(line);
    REQUIRE_MESSAGE(result.exit_code == 0, result.err);
    return read_array(here.path + "/z.npy");
  };
  CHECK(values({"run", "m.smelt", "whole"}) == std::vector<double>{4, 4, 4});
  CHECK(values({"run", "m.smelt", "some", "--input", "m=m.npy", "--input", "n=n.npy"}) == std::vector<double>{4, 4, 2});
}

/// For exports of rows.
const std::string kScaleRows =
    "layer L(x: f32[B, N]) -> f32[B, N] {\n  param w: f32 = ones()\n  x * w\n}\nmodel net = L\n";

TEST_CASE("a sort of many elements is a stable one, with its gradient, below and above the length of a network") {
  const Playground here("values_sort");
  using Case = std::pair<std::string_view, int64_t>;  // along a run-time dim, sizes below its bound
  for (const auto& [declared, n] :
       {Case{"= 1000", 1000}, {"= 2048", 2048}, {"= 3000", 3000}, {"<= 1300", 1000}, {"<= 4000", 3000}}) {
    here.model(fmt::format("dim B <= 4, N {}\n", declared) + kScaleRows +
               R"(export sorted(x: f32[B, N]) = sort(net(x), over=N)
export places(x: f32[B, N]) = rank(net(x), over=N)
export order(x: f32[B, N]) -> ix<N>[N, B] { argsort(net(x), over=N) }
export largest(x: f32[B, N]) = topk(net(x), 3, over=N)
export back(x: f32[B, N], v: f32[N, B]) = grad(sum(sort(net(x), over=N) * v), wrt=x)
)");
    constexpr int64_t kRows = 3;
    std::vector<float> x, v;
    for (int64_t i = 0; i < kRows * n; ++i) {
      x.push_back(static_cast<float>(i * i * 7919 % 701) - 300);  // with many ties
      v.push_back(static_cast<float>(i % 1013));
    }
    x[5] = INFINITY;
    x[7] = -INFINITY;
    write_array<float>(here.path + "/x.npy", DType::F32, {kRows, n}, x);
    write_array<float>(here.path + "/v.npy", DType::F32, {n, kRows}, v);
    std::vector<double> sorted(x.size()), places(x.size()), back(x.size()), stood(x.size()), largest;
    for (int64_t row = 0; row < kRows; ++row) {
      const auto at = [&](int64_t i) { return static_cast<size_t>(row * n + i); };
      std::vector<int64_t> order(static_cast<size_t>(n));
      std::iota(order.begin(), order.end(), 0);
      std::ranges::stable_sort(order, [&](int64_t a, int64_t b) { return x[at(a)] < x[at(b)]; });
      for (int64_t i = 0; i < n; ++i) {
        const int64_t from = order[static_cast<size_t>(i)];
        const auto place = static_cast<size_t>(i * kRows + row);
        sorted[place] = x[at(from)];
        stood[place] = static_cast<double>(from);
        places[at(from)] = static_cast<double>(i);
        back[at(from)] = v[place];
      }
    }
    const auto values = [&](const std::string& name, std::vector<std::string> more) {
      std::vector<std::string> line{"run", "m.smelt", name, "--input", "x=x.npy", "-o", "y.npy", "--force"};
      line.insert(line.end(), more.begin(), more.end());
      const CommandResult result = here.run(line);
      REQUIRE_MESSAGE(result.exit_code == 0, result.err);
      return read_array(here.path + "/y.npy");
    };
    CHECK(values("places", {}) == places);
    CHECK(values("order", {}) == stood);
    for (int64_t k = 1; k <= 3; ++k)
      for (int64_t row = 0; row < kRows; ++row) largest.push_back(sorted[static_cast<size_t>((n - k) * kRows + row)]);
    CHECK(values("largest", {}) == largest);
    CHECK(values("sorted", {"--threads", "2"}) == sorted);
    x[5] = 500;
    x[7] = -500;
    write_array<float>(here.path + "/x.npy", DType::F32, {kRows, n}, x);
    CHECK(values("back", {"--input", "v=v.npy"}) == back);
  }
}

/// Where a stable sort puts what: NaN is larger than all numbers and equal to itself.
bool sorted_before(float a, float b) { return a < b || (std::isnan(b) && !std::isnan(a)); }

bool same_numbers(const std::vector<double>& a, const std::vector<double>& b) {
  return std::ranges::equal(a, b, [](double x, double y) { return x == y || (std::isnan(x) && std::isnan(y)); });
}

TEST_CASE("a sort keeps each NaN, behind all numbers, and `topk` takes it first") {
  const Playground here("values_sort_nan");
  using Case = std::pair<std::string_view, int64_t>;  // along a run-time dim, sizes below its bound
  for (const auto& [declared, n] : {Case{"= 9", 9}, {"<= 14", 9}, {"= 300", 300}, {"<= 700", 300}}) {
    here.model(fmt::format("dim B <= 32, N {}\n", declared) + kScaleRows +
               R"(export pairs(x: f32[B, N]) = sort_by_pairs(net(x), over=N)
export network(x: f32[B, N]) = sort_by_network(net(x), over=N)
export rank_pairs(x: f32[B, N]) = rank_by_pairs(net(x), over=N)
export rank_network(x: f32[B, N]) = rank_by_network(net(x), over=N)
export order(x: f32[B, N]) -> ix<N>[N, B] { argsort(net(x), over=N) }
export largest(x: f32[B, N]) = topk(net(x), 7, over=N)
export back_pairs(x: f32[B, N], v: f32[N, B]) = grad(sum(where(v > 0, sort_by_pairs(x, over=N), 0) * v), wrt=x)
export back_network(x: f32[B, N], v: f32[N, B]) = grad(sum(where(v > 0, sort_by_network(x, over=N), 0) * v), wrt=x)
export chosen(x: f32[B, N]) = grad(sum(topk(x, 7, over=N)), wrt=x)
)");
    constexpr int64_t kRows = 20;
    constexpr float kSome[] = {NAN, INFINITY, -INFINITY, 2, -3, 0.5F, NAN};
    std::vector<float> x, v;
    for (int64_t row = 0; row < kRows; ++row)
      for (int64_t i = 0; i < n; ++i) {
        const auto some = static_cast<size_t>((row * 31 + i * i * 7 + i) % (row < 7 ? 7 : 40));
        x.push_back(row == 7 ? -INFINITY : some < std::size(kSome) ? kSome[some] : static_cast<float>(i % 13));
      }
    for (int64_t i = 0; i < n * kRows; ++i) v.push_back(static_cast<float>(1 + i % 1013));
    write_array<float>(here.path + "/x.npy", DType::F32, {kRows, n}, x);
    write_array<float>(here.path + "/v.npy", DType::F32, {n, kRows}, v);
    std::vector<double> sorted(x.size()), places(x.size()), stood(x.size()), back(x.size()), chosen(x.size(), 0);
    std::vector<double> largest(static_cast<size_t>(7 * kRows));
    for (int64_t row = 0; row < kRows; ++row) {
      const auto at = [&](int64_t i) { return static_cast<size_t>(row * n + i); };
      std::vector<int64_t> order(static_cast<size_t>(n));
      std::iota(order.begin(), order.end(), 0);
      std::ranges::stable_sort(order, [&](int64_t a, int64_t b) { return sorted_before(x[at(a)], x[at(b)]); });
      for (int64_t i = 0; i < n; ++i) {
        const int64_t from = order[static_cast<size_t>(i)];
        const auto place = static_cast<size_t>(i * kRows + row);
        sorted[place] = x[at(from)];
        stood[place] = static_cast<double>(from);
        places[at(from)] = static_cast<double>(i);
        back[at(from)] = v[place];
      }
      std::ranges::stable_sort(order, [&](int64_t a, int64_t b) { return sorted_before(x[at(b)], x[at(a)]); });
      for (int64_t k = 0; k < 7; ++k) {
        const int64_t from = order[static_cast<size_t>(k)];
        largest[static_cast<size_t>(k * kRows + row)] = x[at(from)];
        chosen[at(from)] = 1;
      }
    }
    for (const std::string precision : {"f32", "f64"}) {
      const auto values = [&](const std::string& name, std::vector<std::string> more) {
        std::vector<std::string> line{"run", "m.smelt", name,      "--input",     "x=x.npy",
                                      "-o",  "y.npy",   "--force", "--precision", precision};
        line.insert(line.end(), more.begin(), more.end());
        const CommandResult result = here.run(line);
        REQUIRE_MESSAGE(result.exit_code == 0, result.err);
        return read_array(here.path + "/y.npy");
      };
      CAPTURE(declared);
      CAPTURE(precision);
      CHECK(same_numbers(values("pairs", {}), sorted));
      CHECK(same_numbers(values("network", {}), sorted));
      CHECK(values("rank_pairs", {}) == places);
      CHECK(values("rank_network", {}) == places);
      CHECK(values("order", {}) == stood);
      CHECK(same_numbers(values("largest", {}), largest));
      CHECK(values("back_pairs", {"--input", "v=v.npy"}) == back);
      CHECK(values("back_network", {"--input", "v=v.npy"}) == back);
      CHECK(values("chosen", {}) == chosen);
    }
  }
}

TEST_CASE("more of the largest than a run-time dim has elements is an error at the call") {
  const Playground here("values_topk");
  here.model("dim B <= 4, N <= 9\n" + kScaleRows + R"(export largest(x: f32[B, N]) = topk(net(x), 3, over=N)
)");
  write_array<float>(here.path + "/x.npy", DType::F32, {2, 2}, {1, 2, 3, 4});
  const CommandResult result = here.run({"run", "m.smelt", "largest", "--input", "x=x.npy", "-o", "y.npy"});
  CHECK(result.exit_code == 3);
  CHECK_MESSAGE(result.err.find("`N` is 2 here, and the part of it that m.smelt:7:32 takes needs at least 3") !=
                    std::string::npos,
                result.err);
}

TEST_CASE("components of a mixture that all rows share, and weights that all rows share, have the axes of both") {
  const Playground here("values_mixtures");
  here.model("dim B = 4, K = 3\n" + kScale + R"(const means: f32[K] = stack(-1, 0, 2, over=K)
export shared(l: f32[B, K], x: f32[B]) {
  d = MixtureSameFamily(l, Normal(means, 0.001))
  z ~ d
  stack(log_prob(MixtureSameFamily(l, Normal(means, 1)), x), mean_of(d), floor(z + 0.5), axis=0)
}
export weighed(l: f32[K], m: f32[B, K], x: f32[B]) {
  d = MixtureSameFamily(l, Normal(m, 0.001))
  z ~ d
  stack(log_prob(MixtureSameFamily(l, Normal(m, 1)), x), mean_of(d), floor(z + 0.5), axis=0)
}
)");
  constexpr float kSure = 60;  // logits of rows that take one component each
  std::vector<float> logits(12, 0), means, x{0.5F, 1, 1.5F, -2};
  for (size_t b = 0; b < 3; ++b) logits[3 * b + b] = kSure;
  for (size_t b = 0; b < 4; ++b)
    for (const float m : {-1.F, 0.F, 2.F}) means.push_back(m + static_cast<float>(b));
  write_array<float>(here.path + "/l.npy", DType::F32, {4, 3}, logits);
  write_array<float>(here.path + "/w.npy", DType::F32, {3}, {0, kSure, 0});
  write_array<float>(here.path + "/m.npy", DType::F32, {4, 3}, means);
  write_array<float>(here.path + "/x.npy", DType::F32, {4}, x);
  const auto values = [&](const char* name, const std::string& l) {
    std::vector<std::string> line{"run", "m.smelt", name, "--input", "l=" + l, "--input", "x=x.npy", "-o", "z.npy"};
    if (std::string(name) == "weighed") line.insert(line.end(), {"--input", "m=m.npy"});
    line.push_back("--force");
    const CommandResult result = here.run(line);
    REQUIRE_MESSAGE(result.exit_code == 0, result.err);
    return read_array(here.path + "/z.npy");
  };
  const auto density = [](double d) { return -0.5 * d * d - 0.5 * std::log(2 * 3.14159265358979); };
  const std::vector<double> shared = values("shared", "l.npy"), weighed = values("weighed", "w.npy");
  const double chosen[] = {-1, 0, 2};
  for (size_t b = 0; b < 4; ++b) {
    CAPTURE(b);
    if (b < 3) {
      CHECK(shared[b] == doctest::Approx(density(x[b] - chosen[b])));
      CHECK(shared[4 + b] == doctest::Approx(chosen[b]));
      CHECK(shared[8 + b] == chosen[b]);
    }
    CHECK(weighed[b] == doctest::Approx(density(x[b] - static_cast<double>(b))));
    CHECK(weighed[4 + b] == doctest::Approx(b));
    CHECK(weighed[8 + b] == static_cast<double>(b));
  }
}

TEST_CASE("axes of labels that have no name stand beside the classes, also where they are as long") {
  const Playground here("values_nameless");
  here.model("dim Class = 4\n" + kScale + R"(
export hot(y: ix<Class>[4]) = cast(argmax(one_hot(y, over=Class), over=Class), f32) + 10 * sum(one_hot(y, over=Class), over=Class)
export masked(n: i32[4]) = sum(where(mask_of(n, over=Class), 1.0, 0.0), over=Class)
export number(y: ix<Class>[4]) = where(mask_of(2, over=Class), 1.0, 0.0)
export losses(s: f32[2, Class, 3], y: ix<Class>[2, 3]) = softmax_xent(s, y, over=Class)
export chosen(s: f32[2, 3, Class], y: ix<Class>[2, 3]) = log_prob(Categorical(s), y)
export centred(s: f32[2, 3, Class]) = s - mean(s, over=Class)
export largest(s: f32[2, 3, Class]) = topk(s, 1, over=Class)
export turned(a: f32[4, Class], b: f32[Class, 4]) = a - b
export sums(a: f32[4, Class]) = cumsum(a, over=Class)
export square(a: f32[Class, 4]) = a - zeros([Class, Class])
)");
  std::vector<float> scores;
  for (int i = 0; i < 24; ++i) scores.push_back(std::sin(1.7F * static_cast<float>(i * i)));
  write_array<float>(here.path + "/s.npy", DType::F32, {2, 4, 3}, scores);
  write_array<float>(here.path + "/t.npy", DType::F32, {2, 3, 4}, scores);
  write_array<int32_t>(here.path + "/y.npy", DType::I32, {2, 3}, {3, 0, 1, 2, 2, 0});
  write_array<int32_t>(here.path + "/l.npy", DType::I32, {4}, {2, 0, 3, 3});
  const auto run = [&](const std::vector<std::string>& line) {
    std::vector<std::string> all{"run", "m.smelt"};
    all.insert(all.end(), line.begin(), line.end());
    all.insert(all.end(), {"-o", "z.npy", "--force"});
    const CommandResult result = here.run(all);
    REQUIRE_MESSAGE(result.exit_code == 0, result.err);
    return read_array(here.path + "/z.npy");
  };
  CHECK(run({"hot", "--input", "y=l.npy"}) == std::vector<double>{12, 10, 13, 13});
  CHECK(run({"masked", "--input", "n=l.npy"}) == std::vector<double>{2, 0, 3, 3});
  CHECK(run({"number", "--input", "y=l.npy"}) == std::vector<double>{1, 1, 0, 0});
  const auto losses = run({"losses", "--input", "s=s.npy", "--input", "y=y.npy"});
  const auto chosen = run({"chosen", "--input", "s=t.npy", "--input", "y=y.npy"});
  const auto centred = run({"centred", "--input", "s=t.npy"}), largest = run({"largest", "--input", "s=t.npy"});
  std::vector<float> square(16), sums(16);
  for (size_t i = 0; i < 16; ++i) {
    square[i] = static_cast<float>(i * i);
    sums[i] = square[i] + (i % 4 == 0 ? 0 : sums[i - 1]);
  }
  write_array<float>(here.path + "/a.npy", DType::F32, {4, 4}, square);
  const auto turned = run({"turned", "--input", "a=a.npy", "--input", "b=a.npy"});
  CHECK(run({"sums", "--input", "a=a.npy"}) == std::vector<double>(sums.begin(), sums.end()));
  CHECK(run({"square", "--input", "a=a.npy"}) == std::vector<double>(square.begin(), square.end()));
  for (size_t i = 0; i < 4; ++i)
    for (size_t j = 0; j < 4; ++j) CHECK(turned[i * 4 + j] == square[i * 4 + j] - square[j * 4 + i]);
  const size_t label[] = {3, 0, 1, 2, 2, 0};
  for (size_t n = 0; n < 2; ++n) {
    for (size_t i = 0; i < 3; ++i) {
      CAPTURE(n);
      CAPTURE(i);
      double total[2] = {0, 0}, mean = 0, most = -2;
      for (size_t k = 0; k < 4; ++k) {
        const double here_last = scores[(n * 3 + i) * 4 + k];
        total[0] += std::exp(static_cast<double>(scores[(n * 4 + k) * 3 + i]));
        total[1] += std::exp(here_last);
        mean += here_last / 4;
        most = std::max(most, here_last);
      }
      const size_t row = n * 3 + i, y = label[row];
      CHECK(losses[row] == doctest::Approx(std::log(total[0]) - scores[(n * 4 + y) * 3 + i]));
      CHECK(chosen[row] == doctest::Approx(scores[row * 4 + y] - std::log(total[1])));
      CHECK(largest[row] == doctest::Approx(most));
      for (size_t k = 0; k < 4; ++k)
        CHECK(centred[row * 4 + k] == doctest::Approx(scores[row * 4 + k] - mean).epsilon(1e-5));
    }
  }
}

}  // namespace
}  // namespace smelt::test
