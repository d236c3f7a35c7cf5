// Formulas of the library against 50-digit arithmetic (tests/numeric/stored/formulas.json), over their whole range:
// values and derivatives that compiled f32 code computes.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "api/smelt/compile.h"
#include "runtime/session.h"
#include "tests/support/text_files.h"

namespace smelt::test {
namespace {

// Of the larger of the value and what the table gives beside it.
constexpr double kTolerance = 4e-6, kSteepTolerance = 4e-5;
constexpr double kDerivativeTolerance = 2e-5, kSteepDerivativeTolerance = 4e-4;
constexpr double kLargest = 3.4028234663852886e38;

std::string model_of(const nlohmann::json& table) {
  std::string text =
      "dim N <= 512, K = 3, J = 2\n"
      "fn two(a, b) = stack(a, b, axis=1, over=J)\n"
      "fn stacked(a, b, c) = where(index(K) == 0, a, where(index(K) == 1, b, c))\n"
      "fn first(x) = sum(where(index(K) == 0, x, 0), over=K)\n"
      "layer Unused(x: f32[N]) -> f32[N] {\n  param w: f32 = ones()\n  x * w\n}\nmodel unused = Unused\n";
  constexpr std::string_view kFeeds = "(a: f32[N], b: f32[N], c: f32[N], d: f32[N], y: ix<K>[N]) -> f32[N]";
  for (const nlohmann::json& row : table) {
    const std::string name = row["name"], expression = row["smelt"];
    text +=
        fmt::format("export v_{0}{1} = {2} + 0 * (unused(a * 0) + b * 0 + c * 0 + d * 0)\n", name, kFeeds, expression);
    text += fmt::format("export g_{0}{1} = grad(sum({2}), wrt=a)\n", name, kFeeds, expression);
  }
  return text;
}

std::vector<NamedTensor> feeds_of(const nlohmann::json& arguments) {
  const auto count = static_cast<int64_t>(arguments.size());
  std::vector<NamedTensor> feeds;
  for (size_t k = 0; k < 4; ++k) {
    auto tensor = HostTensor::zeros(DType::F32, {count});
    REQUIRE(tensor);
    auto* to = reinterpret_cast<float*>(tensor->data.data());
    for (size_t i = 0; i < arguments.size(); ++i)
      to[i] = k < arguments[i].size() ? static_cast<float>(arguments[i][k].get<double>()) : 0.0F;
    feeds.push_back({std::string(1, "abcd"[k]), std::move(*tensor)});
  }
  auto labels = HostTensor::zeros(DType::I32, {count});
  REQUIRE(labels);
  feeds.push_back({"y", std::move(*labels)});
  return feeds;
}

double number(const nlohmann::json& text) { return std::strtod(text.get<std::string>().c_str(), nullptr); }

/// Beyond the range of f32 infinity is right, below it what is near 0.
bool agrees(double got, double want, double beside, double tolerance, double tiny) {
  if (std::abs(want) > kLargest) return std::isinf(got) && (got > 0) == (want > 0);
  return std::abs(got - want) <= tolerance * std::max(std::abs(want), beside) + tiny;
}

/// Elements of the results of the entry at `points`; each is a call of its own where the formula is of all rows
/// together.
std::vector<double> results_at(Session& session, const Entry& entry, const nlohmann::json& row) {
  std::vector<double> found;
  const auto add = [&](const nlohmann::json& points) {
    const auto results = session.run(entry, feeds_of(points));
    REQUIRE_MESSAGE(results, results.error().message);
    for (size_t i = 0; i < points.size(); ++i) found.push_back(element((*results)[0].tensor, static_cast<int64_t>(i)));
  };
  if (!row["alone"].get<bool>()) {
    add(row["arguments"]);
    return found;
  }
  for (const nlohmann::json& point : row["arguments"]) add(nlohmann::json::array({point}));
  return found;
}

void compare(Session& session, const nlohmann::json& row, bool derivative) {
  const std::string name = (derivative ? "g_" : "v_") + row["name"].get<std::string>();
  const Entry* entry = session.program().find(FunctionKind::Export, name);
  REQUIRE(entry != nullptr);
  const std::vector<double> results = results_at(session, *entry, row);
  const double tiny = row["tiny"];
  const double tolerance = derivative ? (row["steep"] ? kSteepDerivativeTolerance : kDerivativeTolerance)
                                      : (row["steep"] ? kSteepTolerance : kTolerance);
  for (size_t i = 0; i < row["arguments"].size(); ++i) {
    if (derivative && std::abs(number(row["values"][i])) > kLargest) continue;
    const double want = number(row[derivative ? "derivatives" : "values"][i]);
    const double beside = number(row[derivative ? "grad_of" : "of"][i]);
    const double got = results[i];
    CHECK_MESSAGE(agrees(got, want, beside, tolerance, tiny),
                  fmt::format("{} at {}: {:.9g}, want {:.9g}", name, row["arguments"][i].dump(), got, want));
  }
}

TEST_CASE("library formulas agree with 50-digit arithmetic, extremes included") {
  const nlohmann::json table = nlohmann::json::parse(read_text(source_path("tests/numeric/stored/formulas.json")));
  CheckedModel model = check_text("formulas.smelt", model_of(table), {});
  REQUIRE_MESSAGE(model.experiment, render(model.diagnostics, *model.sources));
  const auto compiled = compile(model, {});
  REQUIRE_MESSAGE(compiled, compiled.error().message);
  auto session = Session::create((*compiled)->program, (*compiled)->functions(), {});
  REQUIRE(session);
  REQUIRE((*session)->initialise());
  for (const nlohmann::json& row : table) {
    compare(**session, row, false);
    compare(**session, row, true);
  }
}

}  // namespace
}  // namespace smelt::test
