// Something that makes a NaN or an infinity is planted in a small model, at one place after the other: forward,
// backward, in the optimiser, in a state, in the data. Each time the message has to name operation, place, step, tensor
// and ranges.
#include "tests/system/nan_fixture.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "api/smelt/disable_pass.h"
#include "runtime/run_directory.h"
#include "tests/support/text_files.h"

namespace smelt::test {
namespace {

struct Site {
  std::string name;
  Planted planted;
  std::string text;                   // what is underlined
  std::vector<std::string> contains;  // of the message
};

const std::string kForward = "in the forward pass of objective `loss`",
                  kBackward = "in the gradient of this expression", kUpdate = "in the update of";

std::string optimiser(const std::string& rule) {
  return "optimiser mine(lr) for (p, g, t) {\n  p <- p - lr * (" + rule + ")\n}\n";
}

const std::vector<Site>& sites() {
  static const std::vector<Site> all = {
      // Forward, in the objective.
      {"log_zero",
       {.body = "mean((y - log(x))^2)"},
       "log(x)",
       {"`log` gives -inf", "-inf at [0, 1]", "-0.75 to 4; 0 there", kForward}},
      {"log_relu", {.body = "mean(log(relu(y * 0)))"}, "log(relu(y * 0))", {"`log` gives -inf", "24 of 24", kForward}},
      {"zero_by_zero",
       {.body = "z = y * 0\n  mean(z / abs(z))"},
       "z / abs(z)",
       {"`div` gives nan", "at [0, 0]", kForward}},
      {"one_by_zero", {.body = "mean(y + 1 / x)"}, "1 / x", {"`div` gives inf", "inf at [0, 1]", kForward}},
      {"exp_overflow", {.body = "mean(y * exp(x * 100))"}, "exp(x * 100)", {"`exp` gives inf", "-75 to 400", kForward}},
      {"exp_later_step",
       {.body = "mean(exp(abs(y) * 50))", .step = "sgd(lr = 1)"},
       "exp(abs(y) * 50)",
       {"`exp` gives inf", kForward}},
      {"sqrt_negative",
       {.body = "mean(y * sqrt(x))"},
       "sqrt(x)",
       {"`sqrt` gives nan", "nan at [0, 2]", "-0.75 there", kForward}},
      {"rsqrt_zero", {.body = "mean(y * rsqrt(relu(x)))"}, "rsqrt(relu(x))", {"gives inf", "inf at [0, 1]", kForward}},
      {"log1p_minus_one",
       {.body = "mean(y * log1p(x - 1.5))"},
       "log1p(x - 1.5)",
       {"`log1p` gives -inf", "-1 there", kForward}},
      {"expm1_overflow", {.body = "mean(y * expm1(x * 100))"}, "expm1(x * 100)", {"`expm1` gives inf", kForward}},
      {"square_overflow", {.body = "mean(y * (x * 1e20)^2)"}, "(x * 1e20)^2", {"gives inf", kForward}},
      {"product_overflow",
       {.body = "mean(y * (x * 1e20 * (x * 1e20)))"},
       "x * 1e20 * (x * 1e20)",
       {"gives inf", kForward}},
      {"sum_overflow",
       {.body = "sum(y * 0 + 3e38)"},
       "sum(y * 0 + 3e38)",
       {"`reduce_sum` gives inf", "always 3e+38", kForward}},
      {"cast_overflow",
       {.body = "mean(y * cast(cast(x, f64) * 1e200, f32))"},
       "cast(cast(x, f64) * 1e200, f32)",
       {"`cast` gives inf", kForward}},
      {"infinite_number", {.body = "mean(y * (inf * x))"}, "inf * x", {"`mul` gives", kForward}},
      {"not_the_branch",
       {.body = "mean(where(x > 10, log(x), y) + log(x * 0))"},
       "log(x * 0)",
       {"`log` gives -inf", kForward}},
      {"not_the_infinity_that_vanishes",
       {.body = "mean(y / (1 + exp(x * 100)) + sqrt(x - 2))"},
       "sqrt(x - 2)",
       {"`sqrt` gives nan", kForward}},
      // Forward, in layers and in the library.
      {"in_a_function",
       {.declarations = "fn damped(v) = log(v * 0)\n", .body = "mean(y * damped(abs(x) + 1))"},
       "log(v * 0)",
       {"`log` gives -inf", kForward}},
      {"in_a_layer",
       {.net = "log(x * 0) |> out: Dense{N}", .body = "mean(y)"},
       "log(x * 0)",
       {"`log` gives -inf", kForward}},
      {"activation",
       {.net = "x |> hidden: Dense{4, act=log} |> out: Dense{N}", .body = "mean(y)"},
       "Dense{4, act=log}",
       {"`log` gives", "std/nn.smelt", kForward}},
      {"scaled_input",
       {.net = "x * 1e38 |> hidden: Dense{4} |> out: Dense{N}", .body = "mean(y)"},
       "x * 1e38",
       {"`mul` gives inf", "inf at [4, 1]", kForward}},
      {"second_layer",
       {.net = "h = x |> hidden: Dense{4}\n  h * 1e20 * (h * 1e20) |> out: Dense{N}", .body = "mean(y)"},
       "h * 1e20 * (h * 1e20)",
       {"gives inf", kForward}},
      {"density",
       {.body = "mean(log_prob(Normal(mean = y, std = relu(x)), x))"},
       "log_prob(Normal(mean = y, std = relu(x)), x)",
       {"`log` gives -inf", kForward}},
      {"divergence",
       {.body = "mean(kl(Normal(mean = y, logvar = x * 100), Normal(0, 1)))"},
       "kl(Normal(mean = y, logvar = x * 100), Normal(0, 1))",
       {"`expm1` gives inf", "std/dist.smelt", kForward}},
      // Backward.
      {"gradient_of_sqrt",
       {.body = "mean(sqrt(abs(y * 0)))"},
       "sqrt(abs(y * 0))",
       {"gives inf", "inf at [0, 0]", kBackward}},
      {"gradient_of_root_of_sum",
       {.body = "mean(sqrt(sum((y * 0)^2, over=N)))"},
       "sqrt(sum((y * 0)^2, over=N))",
       {"gives inf", kBackward}},
      {"gradient_of_activation",
       {.net = "x * 0 |> hidden: Dense{4, act=sqrt} |> out: Dense{N}", .body = "mean(y)"},
       "Dense{4, act=sqrt}",
       {"`div` gives", "std/nn.smelt", kBackward}},
      {"gradient_of_power", {.body = "mean(abs(y * 0)^0.5)"}, "abs(y * 0)^0.5", {"gives inf", kBackward}},
      {"gradient_of_deviation",
       {.body = "mean(sqrt(mean((y * 0)^2, over=B)))"},
       "sqrt(mean((y * 0)^2, over=B))",
       {"gives", kBackward}},
      {"diverging_square",
       {.body = "mean(sqrt(y^2 + 1) * 1e30) * 1e-10 * 1e15"},
       "y^2",
       {"step 2: `mul` gives inf", kForward}},
      {"diverging_product",
       {.net = "x * 1e5 |> hidden: Dense{4} |> out: Dense{N}", .body = "mean(y) * 1e32"},
       "Dense{4}",
       {"step 2: `contract` gives", "std/nn.smelt", "`net.hidden.W`", kForward}},
      {"gradient_overflow",
       {.net = "x * 10 |> hidden: Dense{4} |> out: Dense{N}", .body = "mean(y - stop(y)) * 3e38"},
       "Dense{N}",
       {"`contract` gives", "std/nn.smelt", kBackward}},
      // The step.
      {"rate_overflow",
       {.body = "mean(y^2)", .step = "sgd(lr = 1e39)"},
       "step loss with sgd(lr = 1e39)",
       {"std/optim.smelt", kUpdate}},
      {"second_moment",
       {.body = "mean((y - x)^2) * 1e25", .step = "adam(lr = 1e-3)"},
       "step loss with adam(lr = 1e-3)",
       {"`mul` gives inf", "std/optim.smelt", kUpdate, "/v`"}},
      {"rmsprop_without_eps",
       {.body = "mean(y^2 * 0)", .step = "rmsprop(lr = 1e-3, eps = 0)"},
       "step loss with rmsprop(lr = 1e-3, eps = 0)",
       {"`div` gives nan", "std/optim.smelt", kUpdate}},
      {"adagrad_without_eps",
       {.body = "mean(y^2 * 0)", .step = "adagrad(lr = 1e-3, eps = 0)"},
       "step loss with adagrad(lr = 1e-3, eps = 0)",
       {"`div` gives nan", "std/optim.smelt", kUpdate}},
      {"rule_sqrt",
       {.declarations = optimiser("sqrt(g)"), .body = "mean(y^2)", .step = "mine(lr = 1)"},
       "sqrt(g)",
       {"`sqrt` gives nan", "a gradient of", kUpdate}},
      {"rule_log",
       {.declarations = optimiser("log(g * 0)"), .body = "mean(y^2)", .step = "mine(lr = 1)"},
       "log(g * 0)",
       {"`log` gives -inf", kUpdate}},
      {"rule_quotient",
       {.declarations = optimiser("g / abs(g * 0)"), .body = "mean(y^2)", .step = "mine(lr = 1)"},
       "g / abs(g * 0)",
       {"`div` gives", kUpdate}},
      {"rule_exp",
       {.declarations = optimiser("exp(p * 0 + 100)"), .body = "mean(y^2)", .step = "mine(lr = 1)"},
       "exp(p * 0 + 100)",
       {"`exp` gives inf", kUpdate}},
      {"schedule",
       {.declarations = "fn falling(a, i, n) = a / i\n", .body = "mean(y^2)", .step = "sgd(lr = falling(1))"},
       "a / i",
       {"`div` gives inf", kUpdate}},
      // States and data.
      {"state",
       {.net = "state m: f32[N] = zeros()\n  m <- log(m) when training\n  x |> out: Dense{N}", .body = "mean(y^2)"},
       "log(m)",
       {"`log` gives -inf", "the new value of `net.m`"}},
      {"data_nan",
       {.body = "mean((y - x)^2)", .source = "npy(\"nan.npy\")"},
       "field(0)",
       {"the data has nan in row 13 of split `train`", "step 2"}},
      {"data_inf",
       {.body = "mean((y - x)^2)", .source = "npy(\"inf.npy\")"},
       "field(0)",
       {"the data has inf in row 2 of split `train`", "step 1"}},
      {"start_value",
       {.net = "param w: f32[N] = zeros() / 0\n  x * w |> out: Dense{N}", .body = "mean(y^2)"},
       "w",
       {"`net.w` already is nan"}},
  };
  return all;
}

void check_site(const Site& site, const Stopped& stopped) {
  const std::string shown = fmt::format("{}:\n{}", site.name, stopped.text());
  CHECK_MESSAGE((stopped.error && stopped.error->kind == ErrorKind::NonFinite), shown);
  CHECK_MESSAGE(stopped.diagnostic, shown);
  if (!stopped.diagnostic) return;
  CHECK_MESSAGE(stopped.diagnostic->message.starts_with("step "), shown);
  CHECK_MESSAGE(stopped.place() == site.text, shown);
  // The tensor with its first bad index, and the ranges of what it was made of; an input was made of nothing.
  const bool is_input = site.name.starts_with("data_") || site.name == "start_value";
  CHECK_MESSAGE(stopped.diagnostic->caret_text.starts_with("f"), shown);
  CHECK_MESSAGE((is_input || !stopped.diagnostic->notes.empty()), shown);
}

TEST_CASE("a NaN or infinity is traced to its place, wherever it is planted") {
  REQUIRE(sites().size() >= 40);
  for (const Site& site : sites()) {
    const auto stopped = train_planted(site.name, model_text(site.planted));
    check_site(site, *stopped);
    if (!stopped->diagnostic) continue;
    const std::string text = stopped->text();
    for (const std::string& part : site.contains)
      CHECK_MESSAGE(text.find(part) != std::string::npos, fmt::format("{} lacks `{}`:\n{}", site.name, part, text));
  }
}

TEST_CASE("so it is without fusion and every other pass that can be left out") {
  for (const Site& site : sites()) {
    ModelOptions options;
    for (const std::string_view pass : optional_passes()) REQUIRE(disable_pass(options, pass));
    REQUIRE(options.passes.fusion == Fusion::None);
    check_site(site, *train_planted(site.name + "_plain", model_text(site.planted), {.options = options}));
  }
}

std::string last_checkpoint(const Stopped& stopped) {
  const auto path = find_checkpoint(stopped.run);
  REQUIRE_MESSAGE(path, message_of(path));
  return *path;
}

/// Parameters, slots and states.
std::vector<std::byte> variables_of(const Stopped& stopped) {
  std::vector<std::byte> all;
  for (const StoredVariable& variable : stopped.model->program.variables) {
    const auto bytes = std::as_const(*stopped.session).bytes(variable);
    all.insert(all.end(), bytes.begin(), bytes.end());
  }
  return all;
}

/// Finite for 44 steps; in the 45th exp(90) is no f32. The copy that --check-nan keeps is 12 steps old by then.
Planted fails_at_45(const std::string& rule) {
  return {
      .declarations =
          "optimiser mine(lr) for (p, g, t) {\n  state m = zeros_like(p)\n  m <- 0.9 * m + g\n  p <- p - lr * (m + " +
          rule + ")\n}\n",
      .body = "mean((y - x)^2)",
      .step = "mine(lr = 1e-3)",
      .epochs = 20};
}

TEST_CASE("with --check-nan a step that fails leaves every byte as the step before, in memory and in the checkpoint") {
  const std::string text = model_text(fails_at_45("exp(t * 2) * (g * 0)"));
  const auto stopped = train_planted("update_checked", text, {.check_nan = true});
  const auto before = train_planted("update_before", text, {.stop_after = 44});
  REQUIRE_MESSAGE(before->summary, before->text());
  REQUIRE_MESSAGE(stopped->diagnostic, stopped->text());
  CHECK_MESSAGE(stopped->diagnostic->message.starts_with("step 45: "), stopped->text());
  CHECK(stopped->session->header().iteration == 44);
  CHECK(variables_of(*stopped) == variables_of(*before));
  CHECK(last_checkpoint(*stopped).ends_with("step-44.safetensors"));
  CHECK(difference(last_checkpoint(*stopped), last_checkpoint(*before)) == "");
}

TEST_CASE("without --check-nan the steps run again, and the line is the same") {
  const std::string text = model_text(fails_at_45("exp(t * 2) * (g * 0)"));
  const auto checked = train_planted("update_named", text, {.check_nan = true}),
             plain = train_planted("update_again", text);
  REQUIRE_MESSAGE(plain->diagnostic, plain->text());
  CHECK_MESSAGE(plain->diagnostic->message == checked->diagnostic->message, plain->text());
  CHECK(plain->place() == checked->place());
  CHECK_MESSAGE(plain->error->message.starts_with("step 45: a new parameter is not finite"), plain->text());
}

TEST_CASE("a loss that fails after another objective's step takes that step along with --check-nan, and only then") {
  const std::string text =
      "import std.nn (Dense)\n"
      "dim B <= 8, N = 3\n"
      "data points {\n  train = npy(\"nan.npy\")\n  x: f32[N] = field(0)\n}\n"
      "layer Net(x: f32[B, N]) -> f32[B, N] { x |> out: Dense{N} }\n"
      "model first = Net\n"
      "model second = Net\n"
      "objective a(x: f32[B, N]) updates first { mean((first(x) - x)^2) }\n"
      "objective b(x: f32[B, N]) updates second { mean((second(x) - x)^2) }\n"
      "train {\n  data points\n  batch B = 8\n  steps 5\n  step a with adam(lr = 0.1)\n  step b with sgd(lr = "
      "0.1)\n}\n";
  const auto checked = train_planted("two_checked", text, {.check_nan = true}),
             plain = train_planted("two_plain", text);
  for (const Stopped* stopped : {checked.get(), plain.get()}) {
    REQUIRE_MESSAGE(stopped->diagnostic, stopped->text());
    CHECK_MESSAGE(stopped->diagnostic->message.find("row 13 of split `train`") != std::string::npos, stopped->text());
  }
  const std::vector<std::byte> stopped = variables_of(*checked), committed = variables_of(*plain);
  REQUIRE(checked->session->initialise());
  CHECK(stopped == variables_of(*checked));
  CHECK(committed != stopped);
}

/// Without what the run tells before, which names its directory.
std::string from_error(const std::string& text) { return text.substr(std::min(text.find("error["), text.size())); }

TEST_CASE("the messages of `smelt train` and `smelt eval`, whole") {
  const std::string models = std::string(SMELT_SOURCE_DIR) + "/tests/files/nan", runs = fresh_directory("nan_messages");
  for (const char* name : {"forward", "backward", "optimiser"}) {
    const CommandResult result =
        run_smelt({"train", fmt::format("{}.smelt", name), "-o", fmt::format("{}/{}", runs, name), "--check-nan"},
                  {.directory = models});
    CHECK_MESSAGE(result.exit_code == 6, result.err);
    const std::string stored = fmt::format("{}/{}.txt", models, name), message = from_error(result.err);
    CHECK_MESSAGE(message == golden(stored, message), result.err);
  }
  const CommandResult eval = run_smelt({"eval", "metric.smelt", "--check-nan"}, {.directory = models});
  CHECK_MESSAGE(eval.exit_code == 6, eval.err);
  CHECK_MESSAGE(eval.err == golden(models + "/metric.txt", eval.err), eval.err);
  const CommandResult unchecked = run_smelt({"eval", "metric.smelt"}, {.directory = models});
  CHECK_MESSAGE(unchecked.exit_code == 0, unchecked.err);
}

}  // namespace
}  // namespace smelt::test
