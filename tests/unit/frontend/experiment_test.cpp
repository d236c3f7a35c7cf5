// What the examples become: variables, functions with roles, plans; and which options change them.
#include <doctest/doctest.h>

#include <set>

#include "ir/op.h"
#include "ir/philox.h"
#include "ir/text.h"
#include "ir/verifier.h"
#include "tests/unit/frontend/built_experiment.h"

namespace smelt::test {
namespace {

TEST_CASE("every example builds well-formed graphs without a warning") {
  for (const auto& path : test::files_in("examples", ".smelt")) {
    const Built built(test::read_text(path));
    CAPTURE(path.filename().string());
    CHECK(built.messages == "");
    REQUIRE(built.experiment.has_value());
    for (const Function& f : built.experiment->functions) {
      const auto problems = verify(f.graph);
      CHECK_MESSAGE(problems.empty(), f.name, ": ", problems.empty() ? "" : problems[0]);
    }
  }
}

TEST_CASE("the classifier has the paths, roles and plans that its file says") {
  const Built built = build_example("mlp");
  REQUIRE(built.experiment);
  const Experiment& e = *built.experiment;
  CHECK(paths(e, VariableKind::Param) ==
        std::vector<std::string>{"net.fc1.W", "net.fc1.b", "net.fc2.W", "net.fc2.b", "net.out.W", "net.out.b"});
  CHECK(paths(e, VariableKind::Slot).front() == "opt/loss/net.fc1.W/m");
  const Function* step = e.find(FunctionKind::Step, "loss");
  REQUIRE(step != nullptr);
  CHECK(count_ops(step->graph, OpKind::Grad) == 6);
  CHECK(count_ops(step->graph, OpKind::RandomUniform) == 2);  // two dropouts
  CHECK(count_ops(e.find(FunctionKind::Loss, "loss")->graph, OpKind::RandomUniform) == 0);
  CHECK(e.find(FunctionKind::Metric, "acc") != nullptr);
  CHECK(e.find(FunctionKind::Export, "classify") != nullptr);
  CHECK(e.train.batch == 128);
  CHECK(e.train.batch_symbol == 0);
  CHECK(e.train.epochs == 10);
  CHECK(e.train.every[0].actions[1].best_metric == "acc");
  REQUIRE(e.data);
  CHECK(e.data->columns.size() == 2);
  REQUIRE(e.data->limits.size() == 1);
  CHECK(e.data->limits[0].below == 10);
  std::set<std::string> scalars;
  for (const ScalarInput& s : e.scalars) scalars.insert(s.name);
  CHECK(scalars.contains("loss.lr.cosine.a"));
  CHECK(scalars.contains("loss.momentum"));
}

TEST_CASE("whole numbers are compared as whole numbers, also where a double skips them") {
  const std::string two = "9007199254740993, b = 9007199254740992";
  for (const auto& [condition, holds] : {std::pair{"a == b", false},
                                         {"a != b", true},
                                         {"a > b", true},
                                         {"a <= b", false},
                                         {"b < a", true},
                                         {"b >= a", false},
                                         {"a == a", true},
                                         {"1 == 1.0", true},
                                         {"a / b == 1", true}}) {
    const Built built("config a = " + two + "\n" +
                      model(std::string("assert ") + condition + ", \"no\"\nx |> Dense{H}"));
    CHECK_MESSAGE(built.experiment.has_value() == holds, condition, ": ", built.messages);
  }
}

TEST_CASE("a step writes parameters and slots of its own nets only") {
  const Built built = build_example("gan");
  REQUIRE(built.experiment);
  const Experiment& e = *built.experiment;
  for (const auto& [name, net] : {std::pair<std::string, std::string>{"d_loss", "D."}, {"g_loss", "G."}}) {
    int written = 0;
    for (const Output& output : e.find(FunctionKind::Step, name)->graph.results) {
      if (output.role != ResultRole::Variable) continue;
      const std::string& path = e.variables[static_cast<size_t>(output.ref)].path;
      CHECK((path.starts_with(net) || path.starts_with("opt/" + name + "/" + net)));
      ++written;
    }
    CHECK(written == 18);  // six parameters with two slots each
  }
  CHECK(e.train.loop.size() == 2);
}

TEST_CASE("a config entry chooses between two losses of one objective") {
  const Built plain = build_example("gan");
  FrontendOptions options;
  options.config = {{"minimax", "true"}};
  const Built minimax = build_example("gan", options);
  REQUIRE(minimax.experiment);
  CHECK(count_ops(plain.experiment->find(FunctionKind::Step, "g_loss")->graph, OpKind::Softplus) == 1);
  CHECK(count_ops(minimax.experiment->find(FunctionKind::Step, "g_loss")->graph, OpKind::Softplus) == 0);
}

TEST_CASE("a picture's range is that of what it shows") {
  CHECK(build_example("gan").experiment->train.every[0].actions[0].range_low == -1);
  CHECK(build_example("vae").experiment->train.every[0].actions[1].range_low == 0);
}

TEST_CASE("an export with a distribution has a function that draws") {
  const Built built = build_example("vae");
  const Function* sample = built.experiment->find(FunctionKind::Sample, "decode");
  REQUIRE(sample != nullptr);
  CHECK(built.experiment->functions[static_cast<size_t>(sample->ref)].name == "decode");
  CHECK(sample->graph.results[0].name == "z");
}

TEST_CASE("a draw's site is the hash of its call path") {
  const Built built = build_example("vae");
  std::set<int64_t> sites;
  for (const Node& node : built.experiment->find(FunctionKind::Step, "neg_elbo")->graph.nodes) {
    if (node.op == OpKind::RandomNormal) sites.insert(node.attrs.integer("site"));
  }
  const std::string path = "neg_elbo/z";
  CHECK(sites == std::set<int64_t>{fnv1a(path.data(), path.size())});
}

TEST_CASE("states are committed by the step of their net alone") {
  const Built built(model("  x |> bn: BatchNorm |> out: Dense{H}", kTraining));
  INFO(built.messages);
  REQUIRE(built.experiment);
  const Experiment& e = *built.experiment;
  CHECK(paths(e, VariableKind::State) == std::vector<std::string>{"net.bn.mean", "net.bn.var"});
  int states = 0;
  for (const Output& o : e.find(FunctionKind::Step, "loss")->graph.results) {
    if (o.role == ResultRole::Variable && e.variables[static_cast<size_t>(o.ref)].kind == VariableKind::State) ++states;
  }
  CHECK(states == 2);
  for (const Output& o : e.find(FunctionKind::Loss, "loss")->graph.results) CHECK(o.role != ResultRole::Variable);
}

TEST_CASE("--batch raises the bound, the probe gives column types") {
  FrontendOptions options;
  options.batch = 512;
  options.probe = [](const std::string&, const SourceCall&) -> Result<std::optional<std::vector<Column>>> {
    return std::vector<Column>{{0, DType::U8, {28, 28}, {}}, {1, DType::U8, {}, {}}};
  };
  const Built built = build_example("softmax", options);
  REQUIRE(built.experiment);
  CHECK(built.experiment->symbols[0].bound == 512);
  CHECK(built.experiment->train.batch == 512);
  CHECK(built.experiment->data->columns[0].row_shape == std::vector<int64_t>{28, 28});
}

TEST_CASE("`precision f64` in the train section is --precision f64, which wins") {
  const auto with_line = [](const std::string& line) {
    std::string text = kTraining;
    return model("  x |> out: Dense{H}",
                 text.insert(text.find("  steps"), line) + "export run(x: f32[B, X]) = net(x)\n");
  };
  const auto texts = [](const Built& built) {
    REQUIRE_MESSAGE(built.experiment, built.messages);
    std::string all(to_string(built.experiment->precision));
    for (const Variable& variable : built.experiment->variables) all += "\n" + to_string(variable.type, {});
    for (const Function& function : built.experiment->functions) all += "\n" + print(function.graph);
    return all;
  };
  FrontendOptions narrow, wide;
  narrow.precision = DType::F32;
  wide.precision = DType::F64;
  const std::string f32 = texts(Built(with_line(""))), f64 = texts(Built(with_line(""), wide));
  CHECK(f32 != f64);
  CHECK(f64.starts_with("f64\nf64["));
  CHECK(texts(Built(with_line("  precision f64\n"))) == f64);
  CHECK(texts(Built(with_line("  precision f32\n"))) == f32);
  CHECK(texts(Built(with_line("  precision f64\n"), narrow)) == f32);
  CHECK(texts(Built(with_line("  precision f32\n"), wide)) == f64);
  CHECK(texts(Built(model("  x |> out: Dense{H}"), wide)).starts_with("f64\nf64["));  // without a train section
}

}  // namespace
}  // namespace smelt::test
