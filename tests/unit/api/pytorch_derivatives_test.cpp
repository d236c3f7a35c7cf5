// First and second derivatives in f64 against stored results of PyTorch: each line of
// tests/numeric/stored/derivative_cases.json as an export, compiled together.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "api/smelt/compile.h"
#include "runtime/session.h"
#include "tests/numeric/formula.h"

namespace smelt::test {
namespace {

constexpr double kTolerance = 1e-10;  // |a - b| / max(1, |b|)

nlohmann::json read_stored(const std::string& name) {
  std::ifstream file(std::string(SMELT_SOURCE_DIR) + "/tests/numeric/stored/" + name);
  REQUIRE(file);
  return nlohmann::json::parse(file);
}

/// gx, gp of sum(w * e), and of their product with the direction v, u the gradients again: one after the other.
constexpr std::string_view kHead = R"(dim Row = 4, H = 3, K = H, Four = 4
fn normal(x) {
  (m, v) = moments(x, over=H)
  (x - m) * rsqrt(v + 1e-5)
}
fn normal_over_rows(x) {
  (m, v) = moments(x, over=Row)
  (x - m) * rsqrt(v + 1e-5)
}
fn pick(k, e) = where(index(Four) == k, e, 0)
layer None(x: f32[Row, H]) -> f32[Row, H] { x }
model _none = None
)";

std::string export_of(const nlohmann::json& line) {
  return fmt::format(
      R"(export {0}(x: f32[Row, H], p: f32[Row, H], w: f32[Row, H], v: f32[Row, H], u: f32[Row, H]) -> f32[Four, Row, H] {{
  loss = sum(w * ({1})) + 0 * (sum(x) + sum(p))
  gx = grad(loss, wrt=x)
  gp = grad(loss, wrt=p)
  along = sum(gx * v) + sum(gp * u) + 0 * (sum(x) + sum(p))
  pick(0, gx) + pick(1, gp) + pick(2, grad(along, wrt=x)) + pick(3, grad(along, wrt=p))
}}
)",
      line["name"].get<std::string>() + "_", line["smelt"].get<std::string>());
}

std::vector<NamedTensor> inputs() {
  const char* const names[] = {"x", "p", "w", "v", "u"};
  std::vector<NamedTensor> list;
  for (uint32_t k = 0; k < 5; ++k) {
    std::vector<double> values = numeric::uniform(numeric::kDerivative + k, 12, k == 0 ? 2.0 : 1.0);
    for (double& value : values) value += k == 1 ? 1.25 : 0;
    Result<HostTensor> tensor = HostTensor::zeros(DType::F64, {4, 3});
    REQUIRE(tensor);
    std::memcpy(tensor->data.data(), values.data(), 12 * sizeof(double));
    list.push_back({names[k], std::move(*tensor)});
  }
  return list;
}

TEST_CASE("first and second derivatives agree with those of PyTorch to 1e-10") {
  const nlohmann::json lines = read_stored("derivative_cases.json"), stored = read_stored("derivatives.json")["cases"];
  std::string text(kHead);
  for (const nlohmann::json& line : lines) text += export_of(line);
  ModelOptions options;
  options.precision = DType::F64;
  const CheckedModel model = check_text("derivatives.smelt", text, options);
  REQUIRE_MESSAGE(model.experiment, render(model.diagnostics, *model.sources));
  const auto compiled = compile(model, options);
  REQUIRE(compiled);
  auto session = Session::create((*compiled)->program, (*compiled)->functions(), {});
  REQUIRE(session);
  REQUIRE((*session)->initialise());
  const std::vector<NamedTensor> feeds = inputs();
  double worst = 0;
  for (const nlohmann::json& line : lines) {
    const std::string name = line["name"];
    const auto results = (*session)->run(*(*compiled)->program.find(FunctionKind::Export, name + "_"), feeds);
    REQUIRE_MESSAGE(results, name);
    const std::span<const double> ours = results->at(0).tensor.as<double>();
    size_t at = 0;
    for (const char* const order : {"gradient", "hessian"}) {
      for (const nlohmann::json& part : stored[name][order]) {
        for (const double theirs : part) {
          const double error = std::abs(ours[at] - theirs) / std::max(1.0, std::abs(theirs));
          CHECK_MESSAGE(error <= kTolerance,
                        fmt::format("{} {} number {}: {} is not {}", name, order, at, ours[at], theirs));
          worst = std::max(worst, error);
          ++at;
        }
      }
    }
  }
  MESSAGE(fmt::format("{} cases, worst error {:.1e}", lines.size(), worst));
}

}  // namespace
}  // namespace smelt::test
