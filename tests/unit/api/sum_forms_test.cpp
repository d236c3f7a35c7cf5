// Sums that have a form of their own because of their shapes: the values are those of the plain one, on any number of
// threads. Large ones of few columns are made in two steps; products of matrices side by side run along all of them.
#include <doctest/doctest.h>

#include <algorithm>
#include <span>

#include "api/smelt/compile.h"
#include "runtime/session.h"
#include "runtime/thread_pool.h"

namespace smelt::test {
namespace {

constexpr int64_t kRows = 70, kSide = 40, kColumns = 10;
constexpr std::string_view kModel = R"(dim B <= 70, H = 40, W = 40, C = 10
layer None(x: f32[B, H, W, C]) -> f32[B, H, W, C] { x }
model _none = None
export total(x: f32[B, H, W, C]) -> f32[C] = sum(x, over=(B, H, W))
export most(x: f32[B, H, W, C]) -> f32[C] = max(x, over=(B, H, W))
)";

constexpr int64_t kPictures = 9, kFrom = 33, kTo = 20;
constexpr std::string_view kProducts = R"(dim N <= 9, K = 33, O = 20, M = 40, F = 8
layer None(x: f32[N, K, M]) -> f32[N, K, M] { x }
model _none = None
export many(x: f32[N, K, M], w: f32[K, O, M]) -> f32[N, O, M] {
  z[n, o, m] = sum[k] x[n, k, m] * w[k, o, m]
  z
}
export few(x: f32[N, K, F], w: f32[K, O, F]) -> f32[N, O, F] {
  z[n, o, m] = sum[k] x[n, k, m] * w[k, o, m]
  z
}
)";

struct Columns {
  std::vector<float> total = std::vector<float>(kColumns), most = std::vector<float>(kColumns, -1e9F);
};

/// Whole numbers whose sums f32 has, negative ones among them.
float element(int64_t at) { return static_cast<float>(at * 31 % 17 - 5); }

Columns expected() {
  Columns columns;
  for (int64_t at = 0; at < kRows * kSide * kSide * kColumns; ++at) {
    const auto column = static_cast<size_t>(at % kColumns);
    columns.total[column] += element(at);
    columns.most[column] = std::max(columns.most[column], element(at));
  }
  return columns;
}

NamedTensor whole_numbers(std::string name, std::vector<int64_t> shape) {
  auto x = HostTensor::zeros(DType::F32, std::move(shape));
  REQUIRE(x);
  const auto values = std::span(reinterpret_cast<float*>(x->data.data()), x->data.size() / sizeof(float));
  for (size_t at = 0; at < values.size(); ++at) values[at] = element(static_cast<int64_t>(at));
  return {std::move(name), *std::move(x)};
}

std::vector<float> result_of(Session& session, std::string_view name) {
  std::vector<NamedTensor> feeds;
  feeds.push_back(whole_numbers("x", {kRows, kSide, kSide, kColumns}));
  const auto results = session.run(*session.program().find(FunctionKind::Export, name), feeds);
  REQUIRE_MESSAGE(results, results.error().message);
  const auto found = (*results)[0].tensor.as<float>();
  return {found.begin(), found.end()};
}

std::vector<float> product_of(int64_t places) {
  std::vector<float> z(static_cast<size_t>(kPictures * kTo * places));
  for (int64_t n = 0; n < kPictures; ++n) {
    for (int64_t k = 0; k < kFrom; ++k) {
      for (int64_t o = 0; o < kTo; ++o) {
        for (int64_t m = 0; m < places; ++m)
          z[static_cast<size_t>((n * kTo + o) * places + m)] +=
              element((n * kFrom + k) * places + m) * element((k * kTo + o) * places + m);
      }
    }
  }
  return z;
}

TEST_CASE("products of matrices that lie side by side, many and few of them") {
  const CheckedModel model = check_text("products.smelt", std::string(kProducts), {});
  REQUIRE_MESSAGE(model.experiment, render(model.diagnostics, *model.sources));
  const auto compiled = compile(model, {});
  REQUIRE(compiled);
  auto session = Session::create((*compiled)->program, (*compiled)->functions(), {});
  REQUIRE(session);
  REQUIRE((*session)->initialise());
  for (const auto& [name, places] : {std::pair("many", 40), std::pair("few", 8)}) {
    std::vector<NamedTensor> feeds;
    feeds.push_back(whole_numbers("x", {kPictures, kFrom, places}));
    feeds.push_back(whole_numbers("w", {kFrom, kTo, places}));
    const auto results = (*session)->run(*(*session)->program().find(FunctionKind::Export, name), feeds);
    REQUIRE_MESSAGE(results, results.error().message);
    CHECK(std::ranges::equal((*results)[0].tensor.as<float>(), product_of(places)));
  }
}

TEST_CASE("large sums and maxima of few columns, on one thread and on three") {
  const CheckedModel model = check_text("sums.smelt", std::string(kModel), {});
  REQUIRE_MESSAGE(model.experiment, render(model.diagnostics, *model.sources));
  const auto compiled = compile(model, {});
  REQUIRE(compiled);
  const Columns want = expected();
  for (const int threads : {1, 3}) {
    const auto pool = *ThreadPool::create(threads);
    auto session = Session::create((*compiled)->program, (*compiled)->functions(), {.threads = pool->threads()});
    REQUIRE(session);
    REQUIRE((*session)->initialise());
    CHECK(result_of(**session, "total") == want.total);
    CHECK(result_of(**session, "most") == want.most);
  }
}

}  // namespace
}  // namespace smelt::test
