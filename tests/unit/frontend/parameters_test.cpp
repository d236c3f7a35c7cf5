// Parameters: their paths, where they may be read, and their start values.
#include <doctest/doctest.h>

#include <cmath>
#include <span>

#include "ir/evaluator.h"
#include "tests/unit/frontend/built_experiment.h"

namespace smelt::test {
namespace {

TEST_CASE("initialisation draws within the bounds of its scheme and the first loss is log 10") {
  const Built built = build_example("softmax");
  const Experiment& e = *built.experiment;
  const Function& init = e.functions[static_cast<size_t>(e.init_function())];
  const RefTensor seed{{DType::I64, {}}, {}, {1}};
  const std::vector<int64_t> extents{4, 6};  // B, rows
  const auto start = evaluate(init.graph, std::span(&seed, init.graph.arguments.size()), extents);
  REQUIRE(start);
  const double bound = std::sqrt(6.0 / (784 + 10));
  double squares = 0;
  for (const double w : (*start)[0].values) {
    CHECK(std::abs(w) <= bound);
    squares += w * w;
  }
  const auto count = static_cast<double>((*start)[0].values.size());
  CHECK(std::sqrt(squares / count) == doctest::Approx(bound / std::sqrt(3.0)).epsilon(0.02));  // a uniform draw
  const Graph& loss = e.find(FunctionKind::Loss, "loss")->graph;
  std::vector<RefTensor> arguments;
  for (const Argument& a : loss.arguments) {
    const TensorType& type = loss.type(a.node);
    RefTensor t{type, actual_sizes(type.shape, extents), {}};
    t.values.assign(static_cast<size_t>(t.count()), 0.0);  // black pictures, label 0, rows 0
    if (a.role == ArgRole::Variable) t = (*start)[static_cast<size_t>(a.ref)];
    arguments.push_back(std::move(t));
  }
  const auto result = evaluate(loss, arguments, extents);
  REQUIRE(result);
  CHECK((*result)[0].values[0] == doctest::Approx(std::log(10.0)).epsilon(1e-6));
}

TEST_CASE("an orthogonal start has orthogonal columns, a truncated normal one ends at two standard deviations") {
  std::string text = model("  x |> out: Dense{H}");
  text.replace(text.find("x |> out: Dense{H}"), 18,
               "param W: f32[X, H] ~ orthogonal(2.0)\n  param T: f32[X, H] ~ TruncatedNormal(1, 0.5)\n  x @ (W + T)");
  text.replace(0, text.find('\n'), "");
  const Built built(text);
  CHECK(built.messages == "");
  REQUIRE(built.experiment);
  const Function& init = built.experiment->functions[static_cast<size_t>(built.experiment->init_function())];
  const RefTensor seed{{DType::I64, {}}, {}, {1}};
  const auto start = evaluate(init.graph, std::span(&seed, 1), {});
  REQUIRE(start);
  const std::vector<double>& w = (*start)[0].values;  // [4, 3]
  for (size_t a = 0; a < 3; ++a) {
    for (size_t b = 0; b < 3; ++b) {
      double product = 0;
      for (size_t row = 0; row < 4; ++row) product += w[row * 3 + a] * w[row * 3 + b];
      CHECK(product == doctest::Approx(a == b ? 4.0 : 0.0).epsilon(1e-9));
    }
  }
  for (const double t : (*start)[1].values) CHECK(std::abs(t - 1) <= 1);
}

TEST_CASE("one occurrence of a layer is one set of parameters") {
  const Built shared(model("  f = Dense{X}\n  x |> f |> f |> out: Dense{H}"));
  CHECK(paths(*shared.experiment, VariableKind::Param) ==
        std::vector<std::string>{"net.f.W", "net.f.b", "net.out.W", "net.out.b"});
  const Built ordinals(model("  x |> Dense{X} |> Dense{X, bias=false} |> out: Dense{H}"));
  CHECK(paths(*ordinals.experiment, VariableKind::Param) ==
        std::vector<std::string>{"net.Dense0.W", "net.Dense0.b", "net.Dense1.W", "net.out.W", "net.out.b"});
}

TEST_CASE("repeat puts its index into the path") {
  const Built built(
      model("  x |> blocks: repeat i < 2 { Dense{X, bias=false} } |> repeat i < 2 { Dense{X, bias=false} } "
            "|> out: Dense{H, bias=false}"));
  INFO(built.messages);
  REQUIRE(built.experiment);
  CHECK(paths(*built.experiment, VariableKind::Param) ==
        std::vector<std::string>{"net.Dense1.0.W", "net.Dense1.1.W", "net.blocks.0.W", "net.blocks.1.W", "net.out.W"});
}

TEST_CASE("of several layers in one statement the first has the name that is bound") {
  const Built built(
      model("  h = Dense{X, bias=false}(x) + Dense{X, bias=false}(x)\n"
            "  g = 2 * Dense{X, bias=false}(h) - Dense{X, bias=false}(x)\n  g |> out: Dense{H, bias=false}"));
  REQUIRE_MESSAGE(built.experiment.has_value(), built.messages);
  CHECK(paths(*built.experiment, VariableKind::Param) ==
        std::vector<std::string>{"net.Dense1.W", "net.Dense3.W", "net.g.W", "net.h.W", "net.out.W"});
}

TEST_CASE("each of several layers at the end of a repeat has a name below that of the turn") {
  std::string text = model(
      "  x |> blocks: repeat i < 2 { Dense{X, bias=false} |> relu |> second: Dense{X, bias=false} }"
      " |> repeat j < 2 { Dense{X, bias=false} |> inner: repeat k < 1 { Dense{X, bias=false} |> tanh } }"
      " |> out: Dense{H, bias=false}");
  const Built built(text);
  REQUIRE_MESSAGE(built.experiment.has_value(), built.messages);
  CHECK(paths(*built.experiment, VariableKind::Param) ==
        std::vector<std::string>{"net.Dense2.0.W", "net.Dense2.1.W", "net.blocks.0.Dense0.W", "net.blocks.0.second.W",
                                 "net.blocks.1.Dense0.W", "net.blocks.1.second.W", "net.inner.0.Dense3.0.W",
                                 "net.inner.0.Dense3.1.W", "net.out.W"});
}

TEST_CASE("what a turn of a repeat applies has a name") {
  const std::string layer = "  x |> blocks: repeat i < 2 { Dense{X} } |> out: Dense{H}";
  Built built(model(layer, "export run(x: f32[B, X]) = net(x)\nexport w() -> f32[X, X] = net.blocks.1.W\n"));
  REQUIRE_MESSAGE(built.experiment.has_value(), built.messages);
  Built beyond(model(layer, "export run(x: f32[B, X]) = net(x)\nexport w() -> f32[X, X] = net.blocks.2.W\n"));
  INFO(beyond.messages);
  CHECK(beyond.messages.find("`net.blocks.2.W` matches no parameter") != std::string::npos);
}

TEST_CASE("a parameter says how far an index runs, also as the argument of a function") {
  Built built(model("  x |> fc: Dense{H}",
                    "fn twist(w, x: f32[B, X]) {\n  y[b, j] = sum[i] x[b, i] * w[i, j]\n  y\n}\n"
                    "export run(x: f32[B, X]) = net(x)\nexport a(x: f32[B, X]) = twist(net.fc.W, x)\n"
                    "export b(x: f32[B, X]) {\n  y[b, j] = sum[i] x[b, i] * net.fc.W[i, j]\n  y\n}\n"));
  REQUIRE_MESSAGE(built.experiment.has_value(), built.messages);
}

TEST_CASE("a parameter may be read before its layer is applied") {
  Built built(model("  x |> fc: Dense{X} |> out: Dense{H}",
                    "export sizes(x: f32[B, X]) = x @ net.fc.W\nexport run(x: f32[B, X]) = net(x)\n"));
  REQUIRE_MESSAGE(built.experiment.has_value(), built.messages);
  CHECK(paths(*built.experiment, VariableKind::Param) ==
        std::vector<std::string>{"net.fc.W", "net.fc.b", "net.out.W", "net.out.b"});
}

TEST_CASE("a parameter has its dims of the file outside of its layer as well") {
  const Built built(R"(dim B <= 8, N <= 9, K = 5, Z = 3
layer Prior(x: f32[B, Z]) -> f32[B, K] {
  param logits: f32[K] = zeros()
  param means: f32[K, Z] ~ Normal(0, 1)
  contract(x, means, over=Z) + logits
}
model prior = Prior
train { batch B = 8
  steps 1
  step loss with sgd(lr = 0.1)
}
objective loss() updates prior {
  x ~ Normal(0, 1)[B, Z]
  c ~ Categorical(prior.logits)[B]
  mean(prior(x)) - mean(log_prob(Categorical(prior.logits), c))
}
export likely(z: f32[N, Z]) -> f32[N, K] { sum(log_prob(Normal(prior.means, 1), stretch(z, over=K)), over=Z) }
export weights() = softmax(prior.logits, over=K)
)");
  CHECK(built.messages == "");
}

}  // namespace
}  // namespace smelt::test
