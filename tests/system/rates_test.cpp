// Learning rates that fall when a metric gets no better: their values, runs that go on, and what is refused.
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/system/playground.h"

namespace smelt::test {
namespace {

/// The loss is w, which each step lowers by its rate. The metric never gets better after its first value.
const std::string kModel = R"(dim B <= 4
layer Net(x: f32[B]) -> f32[B] {
  param w: f32 = zeros()
  0 * x + w
}
model net = Net
data points {
  train = csv("x.csv")
  x: f32 = field(0)
}
objective loss(x: f32[B]) updates net { mean(net(x)) }
metric flat(x: f32[B]) = mean(x)
train {
  data points
  batch B = 4
  steps 8
  step loss with sgd(lr = RATE)
  slow loss by 0.5 when no better(min flat, 2)
  every 1 step {
    eval train: flat
    checkpoint keep 20
  }
}
)";

std::vector<double> losses(const Playground& here, const std::string& run) {
  std::istringstream log(read_text_file(here.path + "/" + run + "/metrics.jsonl"));
  std::vector<double> values;
  for (std::string line; std::getline(log, line);) {
    const auto object = nlohmann::json::parse(line);
    if (object.contains("objective")) values.push_back(object["loss"]);
  }
  return values;
}

void write_model(const Playground& here, const std::string& rate) {
  std::string text = kModel;
  here.model(text.replace(text.find("RATE"), 4, rate));
  write_text_file(here.path + "/x.csv", "1\n2\n3\n4\n");
}

/// Evaluations 2 and 3, 4 and 5, 6 and 7 are no better than the first one.
void check_losses(const std::vector<double>& found, double rate) {
  const double factors[] = {1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.125};
  REQUIRE(found.size() == 8);
  double w = 0;
  for (size_t step = 0; step < 8; ++step) {
    CHECK(found[step] == doctest::Approx(w));
    w -= rate * factors[step];
  }
}

TEST_CASE("a rate falls each time that a metric was no better for so many evaluations") {
  const Playground here("rates_fall");
  for (const char* rate : {"0.8", "constant(0.8)"}) {
    write_model(here, rate);
    const CommandResult result = here.run({"train", "m.smelt", "-o", "whole", "--force"});
    REQUIRE_MESSAGE(result.exit_code == 0, result.err);
    check_losses(losses(here, "whole"), 0.8);
    CHECK_MESSAGE(
        result.err.find("step 3: `flat` was no better in 2 evaluations; `loss.lr.slow` is 0.5") != std::string::npos,
        result.err);
  }
}

TEST_CASE("a run that goes on has the rates of one that was not stopped, to the bit") {
  const Playground here("rates_resume");
  write_model(here, "0.8");
  REQUIRE(here.run({"train", "m.smelt", "-o", "whole"}).exit_code == 0);
  for (const char* stop : {"1", "3", "4", "7"}) {
    CAPTURE(stop);
    REQUIRE(here.run({"train", "m.smelt", "-o", "parts", "--steps", stop, "--force"}).exit_code == 0);
    const CommandResult rest = here.run({"train", "m.smelt", "-o", "parts", "--resume"});
    REQUIRE_MESSAGE(rest.exit_code == 0, rest.err);
    CHECK(losses(here, "parts") == losses(here, "whole"));
    CHECK(read_text_file(here.path + "/parts/checkpoints/step-8.safetensors") ==
          read_text_file(here.path + "/whole/checkpoints/step-8.safetensors"));
  }
}

TEST_CASE("an update that is not finite is traced with the rates of its time") {
  const Playground here("rates_nan");
  std::string text = kModel;
  text.replace(text.find("RATE"), 4, "1");
  // After step 6 w is -4.25, where the gradient has no end; with the first rate it passes by there at step 5.
  text.replace(text.find("mean(net(x))"), 12, "mean(net(x)) + 1e-20 * mean(sqrt(net(x) + 4.25))");
  text.replace(text.find("checkpoint keep 20"), 18, "");
  here.model(text);
  write_text_file(here.path + "/x.csv", "1\n2\n3\n4\n");
  const CommandResult result = here.run({"train", "m.smelt", "-o", "run"});
  CHECK(result.exit_code == 6);
  CHECK_MESSAGE(result.err.find("m.smelt:11") != std::string::npos, result.err);
}

}  // namespace
}  // namespace smelt::test
