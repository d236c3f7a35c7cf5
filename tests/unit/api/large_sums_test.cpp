// Sums that are made in two steps because they are large and have few columns: the values of one step, on any number of
// threads.
#include <doctest/doctest.h>

#include <algorithm>

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

std::vector<float> result_of(Session& session, std::string_view name) {
  auto x = HostTensor::zeros(DType::F32, {kRows, kSide, kSide, kColumns});
  REQUIRE(x);
  auto* values = reinterpret_cast<float*>(x->data.data());
  for (int64_t at = 0; at < kRows * kSide * kSide * kColumns; ++at) values[at] = element(at);
  std::vector<NamedTensor> feeds;
  feeds.push_back({"x", *std::move(x)});
  const auto results = session.run(*session.program().find(FunctionKind::Export, name), feeds);
  REQUIRE_MESSAGE(results, results.error().message);
  const auto found = (*results)[0].tensor.as<float>();
  return {found.begin(), found.end()};
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
