// Numbers outside of what an argument can be are refused while compiling, at the line of the user.
#include <doctest/doctest.h>

#include <string>
#include <utility>

#include "tests/unit/frontend/built_experiment.h"

namespace smelt {
namespace {

using Pair = std::pair<const char*, const char*>;  // what is written, and a part of the message

const std::string kNets =
    "dim B <= 4, C = 4, K = 4, P = 6\nlayer Scale(x: f32[B, C]) -> f32[B, C] { param w: f32 = ones()\n  x * w }\n"
    "layer Next(x: ix<K>[N, Q]) -> f32[N, Q, K] { param t: f32[K, K] = ones()\n"
    "  y[n, q, k] = sum[j] where(x[n, q] == j, 1.0, 0.0) * t[j, k]\n  y }\nmodel net = Scale\nmodel lm = Next\n";

void check_refused(const std::string& text, const Pair& pair) {
  const test::Built built(text);
  CAPTURE(built.messages);
  CAPTURE(pair.first);
  CHECK(built.messages.find(pair.second) != std::string::npos);
  const size_t place = built.messages.find("-->");
  REQUIRE(place != std::string::npos);
  CHECK(built.messages.find("models/t.smelt", place) == place + 4);  // first of all, the user's file
  CHECK(built.messages.find("error", 1) == std::string::npos);       // one error
}

TEST_CASE("arguments of library functions have ranges") {
  for (const Pair& pair : {Pair{"huber(net(x), x, delta = 0)", "`delta` is 0"},
                           {"draw(net(x), temperature = -1)", "`temperature` is -1"},
                           {"draw(net(x), top_k = 0)", "`top_k` is 0; it has to be a whole number from 1"},
                           {"draw(net(x), top_k = 2.5)", "`top_k` is 2.5; it has to be a whole number from 1"},
                           {"keep_top(net(x), over=C, top_k = 2.5)", "`top_k` is 2.5"},
                           {"draw(net(x), top_p = 1.5)", "`top_p` is 1.5; it has to be above 0 and at most 1"},
                           {"keep_top(net(x), over=C, top_p = 0)", "`top_p` is 0"},
                           {"generate(lm, p, 8, temperature = -0.5)", "`temperature` is -0.5"},
                           {"generate_pages(lm, p, 8, 2, top_k = -3)", "`top_k` is -3"},
                           {"mu_law(net(x), 0)", "`mu` is 0; it has to be above 0"},
                           {"mu_law_inverse(net(x), mu = -1)", "`mu` is -1"},
                           {"spectrogram(net(x), 4, 2, eps = -1)", "`eps` is -1"},
                           {"log_mel(net(x), 4, 2, -8000, 3)", "`rate` is -8000"},
                           {"mel_filters(4, 8000, 3, low = 5000, high = 100)", "from 5000 to 100 hertz"},
                           {"smoothed_xent(net(x), y, over=C, smoothing = 1.5)", "smoothing = 1.5"}})
    check_refused(kNets + "export run(x: f32[B, C], y: ix<C>[B], p: ix<K>[B, P]) = " + pair.first + "\n", pair);
}

TEST_CASE("draws and start values have ranges") {
  for (const Pair& pair : {Pair{"Normal(0, -1)", "a standard deviation is at least 0, not -1"},
                           {"LogNormal(0, -1)", "a standard deviation is at least 0, not -1"},
                           {"TruncatedNormal(0, -2)", "a standard deviation is at least 0, not -2"},
                           {"Laplace(0, -1)", "a scale is at least 0, not -1"},
                           {"Uniform(1, 0)", "`Uniform` from 1 to 0: the low end is above the high end"}}) {
    check_refused(kNets + "export run(x: f32[B, C]) {\n  z ~ " + pair.first + "[B, C]\n  z * net(x)\n}\n", pair);
    check_refused(test::model("  param W: f32[X, H] ~ " + std::string(pair.first) + "\n  x @ W"), pair);
  }
  for (const Pair& pair : {Pair{"he_normal(fan_in = -3)", "`fan_in` is -3"},
                           {"glorot_uniform(fan_in = 0, fan_out = 0)", "`fan_in` is 0"},
                           {"glorot_normal(fan_in = 3, fan_out = -1)", "`fan_out` is -1"}})
    check_refused(test::model("  param W: f32[X, H] ~ " + std::string(pair.first) + "\n  x @ W"), pair);
}

TEST_CASE("options of layers, and of functions of pictures, have ranges") {
  for (const Pair& pair :
       {Pair{"GroupNorm{2, eps = -1}", "GroupNorm: eps = -1 is not in [0, inf)"},
        {"BatchNorm{eps = inf}", "BatchNorm: eps = inf is not in [0, inf)"},
        {"InstanceNorm{eps = -1}", "InstanceNorm: eps = -1 is not in [0, inf)"},
        {"random_flip(p = 2)", "`p` is 2; it has to be in [0, 1]"},
        {"random_flip(p = -0.5)", "`p` is -0.5"},
        {"random_shift(by = 1.5)", "by = 1.5 is no whole number"},
        {"random_brightness(by = -1)", "`by` is -1; it has to be in [0, 1]"},
        {"random_crop(6, 5)", "random_crop: 6 x 5 is not in 5 x 5"},
        {"random_crop(0, 5)", "random_crop: 0 x 5 is not in 5 x 5"},
        {"crop(-1, 0, 2, 2)", "crop: 2 x 2 from (-1, 0) on is not in 5 x 5"},
        {"Conv2d{4, k=1, reparam=SpectralNorm{iterations = 1.5}}", "iterations = 1.5 is no whole number from 1"},
        {"Conv2d{4, k=1, reparam=SpectralNorm{eps = -1}}", "SpectralNorm: eps = -1 is not in [0, inf)"}})
    check_refused(
        "import std.nn (BatchNorm, Conv2d, GroupNorm, InstanceNorm, SpectralNorm)\ndim B <= 4, C = 4, H = 5, W = 5\n"
        "layer Net(x: f32[B, C, H, W]) -> f32[B, C, H, W] {\n  x |> Conv2d{4, k=1} |> " +
            std::string(pair.first) + "\n}\nmodel net = Net\nexport run(x: f32[B, C, H, W]) = net(x)\n",
        pair);
  check_refused(
      "import std.sequence (SinusoidalPositions)\ndim B <= 4, T = 3, D = 4\nlayer Net(x: f32[B, T, D]) -> f32[B, T, D] "
      "{ x |> SinusoidalPositions{base = 0} }\nmodel net = Net\nexport run(x: f32[B, T, D]) = net(x)\n",
      {"SinusoidalPositions{base = 0}", "base = 0 is not in (0, inf)"});
}

TEST_CASE("numbers of schedules have ranges, and those of a user's own schedule only where it divides") {
  const auto with_rate = [](const std::string& rate, const std::string& more = "") {
    std::string text = test::model("  x |> out: Dense{H}", more + test::kTraining);
    return text.replace(text.find("lr = 0.1"), 8, "lr = " + rate);
  };
  for (const Pair& pair : {Pair{"cyclic(0.1, 1, rise = 2)", "`rise` is 2; it has to be above 0 and at most 1"},
                           {"step(0.1, 3, -1)", "`factor` is -1; it has to be at least 0"},
                           {"exponential(0.1, -2)", "`rate` is -2"},
                           {"polynomial(0.1, 0, -1)", "`power` is -1; it has to be above 0"},
                           {"warmup(0)", "`steps` is 0; it has to be above 0"}})
    check_refused(with_rate(pair.first), pair);
  CHECK(test::Built(with_rate("mine(0.1, -2)", "fn mine(a, rate, i, n) = a * exp(rate * i)\n")).messages == "");
}

TEST_CASE("what the run computes is not known while compiling") {
  const test::Built built(kNets + "export run(x: f32[B, C], heat: f32) = draw(net(x), temperature = heat)\n");
  CHECK(built.messages.find("error") == std::string::npos);
}

}  // namespace
}  // namespace smelt
