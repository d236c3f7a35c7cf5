// The library: everything in it builds, and shows its source.
#include <doctest/doctest.h>

#include "frontend/library.h"
#include "frontend/library_reference.h"
#include "tests/unit/frontend/built_experiment.h"

namespace smelt::test {
namespace {

TEST_CASE("every library optimiser and activation builds") {
  for (const char* optimiser :
       {"sgd(lr = 0.1, momentum = 0.9, nesterov = true)", "adam()", "adamw(weight_decay = 0.1)",
        "rmsprop(momentum = 0.9)", "adagrad(weight_decay = 0.1)", "adadelta()", "lion()", "lamb(weight_decay = 0.1)"}) {
    std::string text = model("  x |> out: Dense{H}", kTraining);
    text.replace(text.find("sgd(lr = 0.1)"), 13, optimiser);
    const Built built(text);
    CAPTURE(optimiser);
    CHECK(built.messages == "");
  }
  for (const char* act : {"identity", "relu", "leaky_relu", "elu", "selu", "silu", "mish", "softplus", "softsign",
                          "sigmoid", "hard_sigmoid", "tanh", "gelu", "erf", "normal_cdf", "gelu_tanh"}) {
    CAPTURE(act);
    CHECK(Built(model(std::string("  x |> ln: LayerNorm{X} |> a: Dense{5, act=") + act +
                      "} |> Dropout{0.1} |> out: Dense{H}"))
              .messages == "");
  }
  for (const char* schedule : {"constant(0.1)", "step(0.1, 10, 0.5)", "exponential(0.1, 0.99)", "cosine(0.1, 0)",
                               "linear(0.1, 0)", "linear(0.1, 0, over = 0.5)", "polynomial(0.1, 0, 2)",
                               "0.1 * warmup(5)", "cyclic(0, 0.1)", "one_cycle(0.1)", "0.1 * swa(0.5)"}) {
    std::string text = model("  x |> out: Dense{H}", kTraining);
    text.replace(text.find("lr = 0.1"), 8, std::string("lr = ") + schedule);
    CAPTURE(schedule);
    CHECK(Built(text).messages == "");
  }
}

TEST_CASE("distributions know their densities, divergences and means") {
  for (const char* value :
       {"mean(log_prob(Normal(0, 1), x))", "mean(log_prob(Normal(x, 2), x))",
        "mean(kl(Normal(mean = x, logvar = x), Normal(0, 1)))", "mean(kl(Normal(x, 2), Normal(mean = 0, logvar = x)))",
        "mean(entropy(Bernoulli(x)))", "mean(kl(Bernoulli(x), Bernoulli(0)))", "mean(mean_of(Uniform(0, 1)[B, X]))",
        "mean(log_prob(Uniform(-1, 1), x))"}) {
    CAPTURE(value);
    CHECK(Built(model("  x |> out: Dense{H}",
                      std::string("export run(x: f32[B, X]) = ") + value + "\nexport net_of(x: f32[B, X]) = net(x)\n"))
              .messages == "");
  }
}

TEST_CASE("the library shows its source") {
  const auto dense = show_library("std.nn.Dense");
  REQUIRE(dense);
  CHECK(dense->starts_with("# y = act(x @ W + b)\nlayer Dense{"));
  CHECK(show_library("std.optim")->find("optimiser adam(") != std::string::npos);
  CHECK(!show_library("std.nn.Dens"));
  CHECK(!show_library("nn"));
  for (const std::string& name : library_names()) CHECK(show_library(name).has_value());
}

TEST_CASE("what only the library needs is listed and suggested nowhere, and works where its text is copied") {
  for (const LibraryEntry& entry : library_entries()) CHECK_MESSAGE(entry.name[0] != '_', entry.name);
  const Built misspelt(model("  x |> out: Dense{H}", "export run(x: f32[B, X]) = digit(4) * net(x)\n"));
  CHECK(misspelt.messages.find("unknown name `digit`") != std::string::npos);
  CHECK_MESSAGE(misspelt.messages.find("_digits") == std::string::npos, misspelt.messages);
  const Built copied(model("  x |> out: Dense{H}", "export run(x: f32[B, X]) = _digits(4) * net(x)\n"));
  CHECK(copied.messages == "");
}

}  // namespace
}  // namespace smelt::test
