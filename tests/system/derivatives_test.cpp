// Examples whose losses hold derivatives, trained to what they are for; and `smelt gradcheck`.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "runtime/files/npy.h"
#include "tests/system/run_command.h"

namespace smelt::test {
namespace {

std::string trained(std::string_view model, std::vector<std::string> flags) {
  const std::string run = fresh_directory(fmt::format("derivatives-{}", model)) + "/run";
  std::vector<std::string> arguments = {"train", example(model), "-o", run, "--threads", "1"};
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  const CommandResult result = run_smelt(arguments);
  REQUIRE_MESSAGE(result.exit_code == 0, result.err);
  return run;
}

/// What an export makes of `count` draws.
std::vector<float> sampled(const std::string& run, const std::string& name, int count) {
  const std::string file = run + "/" + name + ".npy";
  const CommandResult result =
      run_smelt({"sample", run, name, "-n", fmt::format("{}", count), "-o", file, "--threads", "1"});
  REQUIRE_MESSAGE(result.exit_code == 0, result.err);
  const Result<NpyFile> read = read_npy(file);
  REQUIRE(read);
  const auto values = read->tensor.as<float>();
  return {values.begin(), values.end()};
}

TEST_CASE("1,000 steps of WGAN-GP cover all eight modes of the ring") {
  const std::string run = trained("wgan_gp", {"--steps", "1000"});
  const std::vector<float> shares = sampled(run, "coverage", 256);
  REQUIRE(shares.size() == 8);
  float total = 0;
  for (size_t mode = 0; mode < 8; ++mode) {
    CHECK_MESSAGE(shares[mode] > 0.02F, fmt::format("mode {} has {:.1f} % of the points", mode, 100 * shares[mode]));
    total += shares[mode];
  }
  CHECK_MESSAGE(total > 0.5F,
                fmt::format("{:.0f} % of the points are within four standard deviations of a mode", 100 * total));
}

TEST_CASE("a network solves Poisson's equation to 2e-3") {
  const std::string run = trained("poisson", {});
  const std::vector<float> errors = sampled(run, "error", 256);
  const float worst = std::abs(*std::ranges::max_element(errors, {}, [](float error) { return std::abs(error); }));
  CHECK_MESSAGE(worst < 2e-3F, fmt::format("worst error {}", worst));
}

TEST_CASE("WGAN-GP on pictures: the penalty holds the slope, and the critic tells") {
  if (skip_without_data()) return;
  const std::string run = trained("wgan_gp_fashion", {"--data", "fashion=" + unpacked_data(), "--steps", "40"});
  const std::vector<double> losses = logged_losses(run, "critic");
  REQUIRE(losses.size() == 200);
  for (const double loss : losses) REQUIRE(std::isfinite(loss));
  CHECK(losses.back() < 0);  // the gap is larger than the penalty
}

TEST_CASE("`precision f64` in the file trains the same bits as --precision f64") {
  const std::string directory = fresh_directory("precision");
  std::string text = read_text_file(example("poisson"));
  write_text_file(directory + "/flag.smelt", text);
  write_text_file(directory + "/file.smelt", text.insert(text.find("train {") + 7, "\n  precision f64\n"));
  const auto last = [&](const std::string& model, const std::string& run, const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"train", directory + "/" + model, "--steps", "3", "--threads", "1",
                                          "-o",    directory + "/" + run};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const CommandResult result = run_smelt(arguments);
    REQUIRE_MESSAGE(result.exit_code == 0, result.err);
    return directory + "/" + run + "/checkpoints/step-3.safetensors";
  };
  const std::string from_file = last("file.smelt", "a", {}),
                    from_flag = last("flag.smelt", "b", {"--precision", "f64"});
  CHECK(difference(from_file, from_flag) == "");
  CHECK(difference(last("file.smelt", "c", {"--precision", "f32"}), last("flag.smelt", "d", {})) == "");
  CHECK(difference(from_file, directory + "/d/checkpoints/step-3.safetensors").find("another type") !=
        std::string::npos);
}

TEST_CASE("gradcheck passes what is right, in both orders") {
  for (const char* order : {"1", "2"}) {
    const CommandResult result =
        run_smelt({"gradcheck", example("poisson"), "--order", order, "--json", "--threads", "1"});
    CHECK_MESSAGE(result.exit_code == 0, result.err);
    const nlohmann::json report = nlohmann::json::parse(result.out);
    CHECK(report["ok"] == true);
    const nlohmann::json& rows = report["objectives"][0]["rows"];
    REQUIRE(rows.size() == 6);
    CHECK(rows[0]["path"] == "u.fc.0.W");
    CHECK(rows[0]["directions"] == 0);  // 64 entries, each on its own
    CHECK(rows[2]["directions"] == 8);
    CHECK(rows[0]["declared"].get<std::string>().find("poisson.smelt:9:") != std::string::npos);
  }
}

TEST_CASE("Cholesky factors and triangular solves pass it, in both orders") {
  const std::string file = fresh_directory("gradcheck-linalg") + "/linalg.smelt";
  write_text_file(file, R"(dim B <= 8, X = 4, Y = X, K = 3
layer Net(x: f32[B, X]) -> f32[B, X] {
  param w: f32[X, K] ~ Normal(0, 1)
  param b: f32[X] ~ Normal(0, 1)
  covariance = where(index(X) == index(Y), 0.5, 0) + contract(w, w as [Y, K], over=K)
  l = cholesky(covariance, row=X, column=Y)
  z = solve_lower(l, x * b, row=X, column=Y)
  solve_upper(l, z, row=Y, column=X) + log(sum(where(index(X) == index(Y), l, 0), over=Y))
}
model net = Net
data points {
  train = npy("x.npy")
  x: f32[X] = field(0)
}
objective loss(x: f32[B, X]) updates net { mean(net(x) ^ 2) }
train {
  data points
  batch B = 8
  steps 10
  step loss with sgd(lr = 0.1)
}
)");
  for (const char* order : {"1", "2"}) {
    const CommandResult result = run_smelt({"gradcheck", file, "--order", order, "--threads", "1"});
    CHECK_MESSAGE(result.exit_code == 0, result.out << result.err);
  }
}

TEST_CASE("gradcheck finds the derivative between kinks that are near each other") {
  const std::string file = fresh_directory("gradcheck-kinks") + "/kinks.smelt";
  // Kinks 4e-6 apart around the start, as those of pictures of rectified values are.
  write_text_file(file, R"(dim B <= 2, K = 131072
layer Net(x: f32[B]) -> f32[B, K] {
  param w: f32 = zeros()
  y[n, k < K] = relu(w + (cast(k, f32) - 65535.5) * 4e-6) * cos(cast(k, f32)) + 0 * x[n]
  y
}
model net = Net
objective loss(x: f32[B]) updates net { mean(net(x)) }
data d {
  train = npy("x.npy")
  x: f32 = field(0)
}
train {
  data d
  batch B = 2
  steps 1
  seed 1
  step loss with sgd(lr = 0.1)
}
)");
  const CommandResult result = run_smelt({"gradcheck", file, "--threads", "1"});
  CHECK_MESSAGE(result.exit_code == 0, result.out, result.err);
}

TEST_CASE("formulas that read an index at several places, some outside, have derivatives of both orders") {
  const std::string file = fresh_directory("gradcheck-formulas") + "/windows.smelt";
  write_text_file(file, R"(dim B = 2, N = 4
layer Net() -> f32[N, N] {
  param w: f32[4, 5, 4] ~ Normal(0, 1)
  param v: f32[3, 2] ~ Normal(0, 1)
  y[i < N, j < N] = w?[i, i + j, j] * (1 + v?[i, i] * v?[j - 1, j])
  sin(y)
}
model net = Net
objective loss() updates net { sum(net() ^ 2) }
train {
  batch B = 2
  steps 1
  step loss with sgd(lr = 0.1)
}
)");
  for (const char* order : {"1", "2"}) {
    const CommandResult result = run_smelt({"gradcheck", file, "--order", order, "--threads", "1"});
    CHECK_MESSAGE(result.exit_code == 0, result.out, result.err);
  }
}

TEST_CASE("gradcheck of a loss that is no number says so, and compares nothing") {
  const std::string file = fresh_directory("gradcheck-nan") + "/nan.smelt";
  write_text_file(file, R"(dim B = 4
layer Net() -> f32[3] {
  param w: f32[3] ~ Normal(0, 1)
  relu(w - 100)
}
model net = Net
objective loss() updates net { sum(net() / sqrt(sum(net() ^ 2))) }
train {
  batch B = 4
  steps 1
  step loss with sgd(lr = 0.1)
}
)");
  const CommandResult result = run_smelt({"gradcheck", file, "--threads", "1"});
  CHECK_MESSAGE(result.exit_code == 6, result.out, result.err);
  CHECK(result.err.find("the loss of `loss` is NaN") != std::string::npos);
  CHECK(result.out.empty());
}

TEST_CASE("gradcheck takes the digits that a large loss has not for no error") {
  const std::string file = fresh_directory("gradcheck-large") + "/large.smelt";
  write_text_file(file, R"(dim B = 4
layer Net() -> f32[3] {
  param w: f32[3] ~ Normal(0, 1)
  tanh(w)
}
model net = Net
objective loss() updates net { sum(net() ^ 2) + 130_000_000 }
train {
  batch B = 4
  steps 1
  step loss with sgd(lr = 0.1)
}
)");
  const CommandResult result = run_smelt({"gradcheck", file, "--threads", "1"});
  CHECK_MESSAGE(result.exit_code == 0, result.out, result.err);
}

TEST_CASE("gradcheck names the parameter whose gradient is wrong, and its line") {
  const std::string file = fresh_directory("gradcheck") + "/wrong.smelt";
  write_text_file(file, R"(dim B = 4, X = 3
fn cube(x) = x ^ 3
  vjp(y, ct) = 2 * x ^ 2 * ct           # not 3
layer Net(t: f32[B]) -> f32[B] {
  param good: f32[X] ~ Normal(0, 1)
  param bad: f32[X] ~ Normal(0, 1)
  t * (sum(good ^ 2) + sum(cube(bad)))
}
model net = Net
objective loss() updates net {
  t ~ Uniform(1, 2)[B]
  mean(net(t))
}
train {
  batch B = 4
  steps 1
  step loss with sgd(lr = 0.1)
}
)");
  const CommandResult result = run_smelt({"gradcheck", file, "--threads", "1"});
  CHECK(result.exit_code == 7);
  CHECK_MESSAGE(
      result.err.find("wrong.smelt:6:9: the gradient of `loss` with respect to `net.bad` at [") != std::string::npos,
      result.err);
  CHECK(run_smelt({"gradcheck", file, "--order", "3"}).exit_code == 2);
  CHECK(run_smelt({"gradcheck", file, "--precision", "f32"}).exit_code == 2);
  CHECK(run_smelt({"gradcheck", file, "--objective", "none"}).exit_code == 2);
}

}  // namespace
}  // namespace smelt::test
