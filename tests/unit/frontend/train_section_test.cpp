// What a train section becomes: step lines and their options, averages, batches, plans that stop.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>

#include "frontend/library.h"
#include "ir/evaluator.h"
#include "ir/text.h"
#include "ir/verifier.h"
#include "tests/unit/frontend/built_experiment.h"

namespace smelt::test {
namespace {

TEST_CASE("clipping, decay and schedules are options of every step line") {
  std::string text = model("  x |> out: Dense{H}", kTraining);
  const std::string plain = "sgd(lr = 0.1)";
  text.replace(text.find(plain), plain.size(),
               "adamw(lr = warmup(5) * cosine(3e-4, 0), weight_decay = 0.1, decay = net.**.W, clip_norm = "
               "1.0, clip_value = 5)");
  const Built built(text);
  INFO(built.messages);
  REQUIRE(built.experiment);
  std::set<std::string> names;
  for (const ScalarInput& s : built.experiment->scalars) names.insert(s.name);
  for (const char* name : {"loss.lr.warmup.steps", "loss.lr.cosine.a", "loss.weight_decay", "loss.clip_norm",
                           "loss.clip_value", "loss.update", "iteration", "horizon"}) {
    CAPTURE(name);
    CHECK(names.contains(name));
  }
}

/// The model of kTraining with another text for its step line, and an export.
std::string trained_with(const std::string& step, const std::string& rest = "") {
  std::string text = model("  x |> fc: Dense{H} |> out: Dense{H}", kTraining);
  const std::string plain = "sgd(lr = 0.1)";
  text.replace(text.find(plain), plain.size(), step);
  return text + rest;
}

TEST_CASE("a second optimiser has run-time inputs of its own, and no other parameters") {
  const Built built(trained_with("adam(lr = 1e-3), sgd(lr = 0.2, momentum = 0.9) for net.out"));
  CHECK(built.messages == "");
  REQUIRE(built.experiment);
  CHECK(paths(*built.experiment, VariableKind::Slot) ==
        std::vector<std::string>{"opt/loss/net.fc.W/m", "opt/loss/net.fc.W/v", "opt/loss/net.fc.b/m",
                                 "opt/loss/net.fc.b/v", "opt/loss/net.out.W/m", "opt/loss/net.out.b/m"});
  std::map<std::string, double> inputs;
  for (const ScalarInput& s : built.experiment->scalars) inputs[s.name] = s.initial;
  CHECK(inputs["loss.lr"] == 1e-3);
  CHECK(inputs["loss.2.lr"] == 0.2);
  CHECK(inputs["loss.2.momentum"] == 0.9);
}

TEST_CASE("an average has states of its own, which exports read and steps write") {
  const Built built(
      trained_with("sgd(lr = 0.1)\n  ema slow = net decay 0.9", "export run(x: f32[B, X]) -> f32[B, H] = slow(x)\n"));
  CHECK(built.messages == "");
  REQUIRE(built.experiment);
  const std::vector<std::string> wanted = {"slow.fc.W", "slow.fc.b", "slow.out.W", "slow.out.b"};
  CHECK(paths(*built.experiment, VariableKind::State) == wanted);
  std::vector<std::string> read;
  for (const Argument& argument : built.experiment->find(FunctionKind::Export, "run")->graph.arguments)
    if (argument.role == ArgRole::Variable) read.push_back(argument.name);
  CHECK(read == wanted);
  int written = 0;
  for (const Output& output : built.experiment->find(FunctionKind::Step, "loss")->graph.results)
    written += output.role == ResultRole::Variable && output.name.starts_with("slow.");
  CHECK(written == 4);
}

TEST_CASE("what is read of an average by name is its own, not the net's") {
  const std::string export_of = "export run() -> f32[] = ";
  for (const std::string value : {"l2(slow)", "l1(slow)", "l2(slow.**)", "sum(slow.fc.W) + sum(slow.out.b)"}) {
    CAPTURE(value);
    const Built built(trained_with("sgd(lr = 0.1)\n  ema slow = net decay 0.9", export_of + value + "\n"));
    CHECK(built.messages == "");
    REQUIRE(built.experiment);
    std::set<std::string> read;
    for (const Argument& argument : built.experiment->find(FunctionKind::Export, "run")->graph.arguments)
      if (argument.role == ArgRole::Variable) read.insert(argument.name);
    const bool all = value.starts_with("l");
    CHECK(read.size() == (all ? 4 : 2));
    CHECK(std::ranges::all_of(read, [](const std::string& name) { return name.starts_with("slow."); }));
  }
}

TEST_CASE("an average does not write the states of the net") {
  std::string text = trained_with("sgd(lr = 0.1)\n  ema slow = net decay 0.9");
  text.replace(text.find("mean(net(x) ^ 2)"), 16, "mean((net(x) - stop(slow(x))) ^ 2)");
  const std::string dense = "x |> fc: Dense{H}";
  text.replace(text.find(dense), dense.size(), "x |> fc: Dense{H} |> bn: BatchNorm");
  text.replace(text.find("(Dense)"), 7, "(Dense, BatchNorm)");
  const Built built(text);
  CHECK(built.messages == "");
  REQUIRE(built.experiment);
  const auto states = paths(*built.experiment, VariableKind::State);
  CHECK(std::ranges::count_if(states, [](const std::string& p) { return p.starts_with("net.bn."); }) == 2);
  CHECK(std::ranges::none_of(states, [](const std::string& p) { return p == "slow.bn.mean"; }));
}

TEST_CASE("runs of a loop on one batch are one item of the plan") {
  std::string text = trained_with("sgd(lr = 0.1)\n  loop { 2 * loss } on one batch");
  const Built built(text);
  REQUIRE(built.experiment);
  REQUIRE(built.experiment->train.loop.size() == 1);
  CHECK(built.experiment->train.loop[0].objectives == std::vector<int32_t>{0, 0});
}

TEST_CASE("objectives that run together are one step, whose gradients see the parameters before it") {
  const std::string text =
      "dim B <= 8\nlayer Number() -> f32[] {\n  param w: f32[] = ones()\n  w\n}\n"
      "model a = Number\nmodel b = Number\n"
      "objective first() updates a {\n  report twice = 2 * a()\n  a() * b()\n}\n"
      "objective second() updates b { -3 * a() * b() }\n"
      "train {\n  batch B = 8\n  steps 10\n  step first with sgd(lr = 0.5)\n  step second with sgd(lr = 0.5)\n"
      "  loop { together { first; second } }\n}\n";
  const Built built(text);
  CHECK(built.messages == "");
  REQUIRE(built.experiment);
  const Experiment& e = *built.experiment;
  REQUIRE(e.train.loop.size() == 1);
  CHECK(e.train.loop[0].objectives == std::vector<int32_t>{0});
  CHECK(e.objectives[1].step == -1);
  const Graph& graph = e.find(FunctionKind::Step, "first")->graph;
  std::map<std::string, ResultRole> results;
  for (const Output& output : graph.results) results[output.name] = output.role;
  CHECK(results == std::map<std::string, ResultRole>{{"loss", ResultRole::Loss},
                                                     {"twice", ResultRole::Report},
                                                     {"second", ResultRole::Norm},
                                                     {"a.w", ResultRole::Variable},
                                                     {"b.w", ResultRole::Variable}});
}

TEST_CASE("--train chooses a train section, and an average stands still in the others") {
  const std::string text =
      trained_with("sgd(lr = 0.1)\n  ema slow = net decay 0.9",
                   "train late {\n  data points\n  batch B = 8\n  steps 70\n  step loss with adam()\n}\n"
                   "export run(x: f32[B, X]) -> f32[B, H] = slow(x)\n");
  const auto written = [](const Built& built) {
    REQUIRE(built.experiment);
    return std::ranges::count_if(built.experiment->find(FunctionKind::Step, "loss")->graph.results,
                                 [](const Output& o) { return o.name.starts_with("slow."); });
  };
  FrontendOptions options;
  options.train = "late";
  const Built first(text), late(text, options);
  CHECK(first.messages == "");
  CHECK(late.messages == "");
  CHECK(written(first) == 4);
  CHECK(written(late) == 0);
  CHECK(late.experiment->train.steps == 70);
  CHECK(paths(*first.experiment, VariableKind::State) == paths(*late.experiment, VariableKind::State));
  options.train = "lat";
  CHECK(Built(text, options).messages.find("did you mean `late`?") != std::string::npos);
}

TEST_CASE("two train sections move one average, each with its decay") {
  const std::string text =
      trained_with("sgd(lr = 0.1)\n  ema slow = net decay 0.9",
                   "train late {\n  data points\n  batch B = 8\n  steps 70\n  step loss with adam()\n"
                   "  ema slow = net decay 0.5\n}\nexport run(x: f32[B, X]) -> f32[B, H] = slow(x)\n");
  FrontendOptions options;
  options.train = "late";
  const Built first(text), late(text, options);
  for (const auto& [built, decay] : {std::pair{&first, 0.9}, std::pair{&late, 0.5}}) {
    CHECK(built->messages == "");
    REQUIRE(built->experiment);
    const auto& results = built->experiment->find(FunctionKind::Step, "loss")->graph.results;
    CHECK(std::ranges::count_if(results, [](const Output& o) { return o.name.starts_with("slow."); }) == 4);
    const auto number = std::ranges::find(built->experiment->scalars, "slow.decay", &ScalarInput::name);
    REQUIRE(number != built->experiment->scalars.end());
    CHECK(number->initial == decay);
  }
  CHECK(paths(*first.experiment, VariableKind::State) == paths(*late.experiment, VariableKind::State));
}

TEST_CASE("`stop when no better` names a metric that is evaluated") {
  const Built built(
      trained_with("sgd(lr = 0.1)\n  every 2 steps { eval train: loss }\n  stop when no better(min loss, 3)"));
  CHECK(built.messages == "");
  REQUIRE(built.experiment);
  const Patience& patience = built.experiment->train.patience;
  CHECK(patience.metric == "loss");
  CHECK(patience.split == "train");
  CHECK(!patience.is_max);
  CHECK(patience.evaluations == 3);
}

TEST_CASE("a schedule in an objective reads the counters of the run") {
  std::string text = trained_with("sgd(lr = 0.1)");
  text.replace(text.find("mean(net(x) ^ 2)"), 16, "linear(0, 1, over = 0.2) * mean(net(x) ^ 2)");
  const Built built(text);
  CHECK(built.messages == "");
  REQUIRE(built.experiment);
  for (const FunctionKind kind : {FunctionKind::Step, FunctionKind::Loss}) {
    std::set<std::string> read;
    for (const Argument& argument : built.experiment->find(kind, "loss")->graph.arguments) read.insert(argument.name);
    CHECK(read.contains("iteration"));
    CHECK(read.contains("horizon"));
  }
}

}  // namespace
}  // namespace smelt::test
