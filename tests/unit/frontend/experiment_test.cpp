// What the examples become: variables, functions with roles, plans; and what the language promises about
// them.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "frontend/build_experiment.h"
#include "frontend/library.h"
#include "frontend/library_reference.h"
#include "ir/evaluator.h"
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

TEST_CASE("a transposed convolution keeps rows apart, so that metrics may use it") {
  std::string text =
      model("  reshape(x, [B, 1, X]) |> up: ConvT1d{1, 2} |> reshape([B, X + 1]) |> out: Dense{H}", kTraining);
  text.replace(text.find("Dense"), 5, "Dense, ConvT1d");
  Built built(text + "metric size(x: f32[B, X]) = mean(square(net(x)))\n");
  CHECK_MESSAGE(built.experiment.has_value(), built.messages);
}

TEST_CASE("a layer of a tuple may name the axes of its results") {
  Built built(
      "import std.nn (Dense)\ndim B <= 8, X = 4\n"
      "layer Both(x) -> (f32[B, X], f32[B, X]) {\n  (h, s) = x\n  (h |> fc: Dense{X}, s + h)\n}\n"
      "layer Net(x: f32[B, X]) -> f32[B, X] {\n  (h, s) = (x, zeros([B, X])) |> blocks: repeat i < 2 { Both }\n  h + "
      "s\n}\n"
      "model net = Net\nexport run(x: f32[B, X]) = net(x)\n");
  CHECK_MESSAGE(built.experiment.has_value(), built.messages);
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

TEST_CASE("two dims of one size are different axes, a number fits both") {
  CHECK(Built("import std.nn (Dense)\ndim B <= 8, X = 4, Y = 4\nlayer N(x: f32[B, X]) -> f32[B, Y] { x |> o: "
              "Dense{X} }\nmodel n = N\nexport r(x: f32[B, X]) = n(x)\n")
            .messages.find("E0106") != std::string::npos);
  CHECK(Built("import std.nn (Dense)\ndim B <= 8, X = 4, Y = 4\nlayer N(x: f32[B, X]) -> f32[B, Y] { x |> o: "
              "Dense{4} }\nmodel n = N\nexport r(x: f32[B, X]) = n(x)\n")
            .messages.empty());
}

TEST_CASE("the names of a head are axes of their own") {
  const std::string head = "import std.nn (Dense)\ndim B <= 8, X = 4\n";
  // X twice in the caller's shape: In and the rest stay apart inside Dense.
  const Built built(head +
                    "layer N(x: f32[B, X]) -> f32[B, X] { sum(x * ones([B, X, X]), over=B) |> d: Dense{X} |> "
                    "e: Dense{4} |> reshape([X, X]) |> f: Dense{X} @ x }\nmodel n = N\n");
  CHECK(built.diagnostics.has_errors());  // `@` does not apply to a layer; located, not a crash
  CHECK(Built(head + "layer N(x: f32[B, X]) -> f32[X, X] { contract(x, x as [B, 4], over=B) as [X, X] |> d: "
                     "Dense{X} }\nmodel n = N\nexport r(x: f32[B, X]) = n(x)\n")
            .messages == "");
}

TEST_CASE("two operands are both stretched only where the text says so") {
  const std::string head =
      "dim B <= 8, F = 8, X = 4, Y = 4, K = 3, T <= 5, S = T, Class = 3\n"
      "layer N(x: f32[B, X]) -> f32[B, X] {\n  param w: f32 = ones()\n  x * w\n}\nmodel n = N\n";
  for (const char* good : {
           "r(e: f32[B], x: f32[B, X]) = e * x",                                     // one lacks axes
           "r(x: f32[B, X], c: f32[K, X]) -> f32[B, K] = sum((x - c) ^ 2, over=X)",  // rows against a table
           "r(x: f32[F, X], c: f32[K, X]) -> f32[F, K] = sum((x - c) ^ 2, over=X)",  // of a fixed size too
           "r(x: f32[B, X], c: f32[X, K]) -> f32[B, K] = sum(abs(x - c), over=X)",   // whatever the table's order
           "r(x: f32[B, T, X], c: f32[K, X]) = argmin(sum((stretch(x, over=K) - c) ^ 2, over=X), over=K)",
           "r(a: f32[B], w: f32[Class]) -> f32[B, Class] = a * w",  // a number a row, a vector
           "r(a: f32[B], w: f32[Class, X]) = a * w",                // a number a row, a matrix
           "r(a: f32[B, T], m: f32[B, S]) = where(index(S) <= index(T), stretch(a, over=S) * m, 0)",
           "r(a: f32[B]) = where(index(X) == 0, cos(a), sin(a))",  // coordinates
           "r(a: f32[B]) = exp(-square(cast(index(X), f32) / 3 - a))",
           "r(y: ix<Class>[B]) -> f32[B, Class] = where(y == index(Class), 1.0, 0.0)",
           "r(x: f32[B, X], y: f32[B, Y]) = stretch(x, over=Y) - y",
           "r(x: f32[B, X], y: f32[B, Y]) -> f32[B, X] = x - y as [B, X]",
           "r(x: f32[B, X], y: f32[B, 4]) = mse(x, y)",
           "r(x: f32[B, X], y: f32[X, B]) = mse(x, y)",
           "r(x: f32[B, X]) = mse(x, 1)",
           "r(x: f32[B, X]) = mean(sigmoid_xent(x, where(index(X) == 0, 1.0, 0.0)))",
           "r(x: f32[B, X], z: f32[K, B, X]) -> f32[K, B, X] = log_prob(Normal(x, 1), z)",  // K draws
           "r(x: f32[B, X], m: f32[X]) = log_prob(Normal(m, 1), x)",
           "r(x: f32[B, T, Class], y: ix<Class>[B, T]) -> f32[B, T] = softmax_xent(x, y, over=Class)",
           "r(x: f32[B, X]) = softmax(x, over=(B, X))",
           "r(x: f32[X, X, B]) -> f32[B] = sum(x, over=(X, X))",
           "r(x: f32[X, X]) = norm(x, over=(X, X))",
           "r(x: f32[B]) = softmax(x)",
           "r(x: f32[B, X]) = logsumexp(x, over=X)",
           "r(x: f32[B]) = argmax(x)",
       }) {
    CAPTURE(good);
    const Built built(head + "export " + good + "\n");
    CHECK_MESSAGE(!built.diagnostics.has_errors(), built.messages);
  }
  for (const char* bad : {
           "r(x: f32[B, X], y: f32[B, Y]) = x * y",
           "r(x: f32[F, X], y: f32[F, Y]) = x * y",
           "r(x: f32[B, X], b: f32[Y]) = x + b",
           "r(x: f32[B, T], y: f32[B, S]) = max(x, y)",
           "r(x: f32[B, X], m: f32[B, K]) = where(m > 0, x, 0)",
           "r(x: f32[B, X], h: f32[B, Y]) = clamp(x, 0, h)",
           "r(x: f32[B, X], y: f32[B, Y]) = mean_of(Normal(mean = x, logvar = y))",
           "r(x: f32[B, X], y: f32[B, X], t: f32[K, B]) = lerp(x, y, t)",
           "r(x: f32[B, X], y: f32[B]) = mse(x, y)",
           "r(x: f32[B, X], y: f32[B]) = l1(x, y)",
           "r(x: f32[B, X], y: f32[X]) = huber(x, y)",
           "r(x: f32[B, X], y: f32[B]) = hinge(x, y)",
           "r(x: f32[B, X], y: f32[B, Y]) = sigmoid_xent(x, y)",
           "r(x: f32[B, T, Class], y: ix<Class>[B]) = softmax_xent(x, y, over=Class)",
           "r(x: f32[B, X], y: f32[B]) = log_prob(Bernoulli(x), y)",
           "r(x: f32[B, X], y: f32[B, Y]) = kl(Bernoulli(x), Bernoulli(y))",
       }) {
    CAPTURE(bad);
    CHECK(Built(head + "export " + bad + "\n").messages.find("E0110") != std::string::npos);
  }
}

TEST_CASE("means divide by the actual size of a run-time dim") {
  const Built built(model("  x |> out: Dense{H}", kTraining));
  CHECK(count_ops(built.experiment->find(FunctionKind::Step, "loss")->graph, OpKind::Extent) == 1);
}

TEST_CASE("a gradient per example is refused where a layer mixes examples") {
  const auto penalty = [](const std::string& layers) {
    std::string text = model("  x |> a: Dense{H, act=tanh}" + layers + " |> out: Dense{H}", kTraining);
    const std::string loss = "mean(net(x) ^ 2)";
    return text.replace(text.find(loss), loss.size(), "mean(sum(grad(sum(net(x), over=H), wrt=x) ^ 2, over=X))");
  };
  const Built good(penalty(" |> LayerNorm{H} |> reshape([B, 1, H]) |> reshape([B, H])"));
  CHECK(good.messages == "");
  const Built bad(penalty(" |> BatchNorm"));
  CHECK(bad.messages.find("E0505") != std::string::npos);
  CHECK(bad.messages.find("mixes the examples") != std::string::npos);
}

TEST_CASE("every library optimiser and activation builds") {
  for (const char* optimiser : {"sgd(lr = 0.1, momentum = 0.9, nesterov = true)", "adam()", "adamw(weight_decay = 0.1)",
                                "rmsprop(momentum = 0.9)", "adagrad(weight_decay = 0.1)"}) {
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
  for (const char* schedule :
       {"constant(0.1)", "step(0.1, 10, 0.5)", "exponential(0.1, 0.99)", "cosine(0.1, 0)", "linear(0.1, 0)",
        "linear(0.1, 0, over = 0.5)", "polynomial(0.1, 0, 2)", "0.1 * warmup(5)", "cyclic(0, 0.1)"}) {
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

TEST_CASE("a row of a csv file is all its columns") {
  FrontendOptions options;
  const auto probe = [](int32_t columns) {
    return [columns](const std::string&, const SourceCall&) -> Result<std::optional<std::vector<Column>>> {
      std::vector<Column> list;
      for (int32_t k = 0; k < columns; ++k) list.push_back({k, DType::F32, {}, {}});
      return list;
    };
  };
  options.probe = probe(4);
  const Built built(model("  x |> out: Dense{H}", kTraining), options);
  CHECK(built.messages == "");
  REQUIRE(built.experiment);
  CHECK(built.experiment->data->columns[0].row_shape == std::vector<int64_t>{4});
  options.probe = probe(3);  // X is 4
  CHECK(Built(model("  x |> out: Dense{H}", kTraining), options).messages.find("E0106") != std::string::npos);
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
