// Axes: which are the same, which may be stretched, which the examples of a batch stay apart along.
#include <doctest/doctest.h>

#include "ir/op.h"
#include "tests/unit/frontend/built_experiment.h"

namespace smelt::test {
namespace {

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

}  // namespace
}  // namespace smelt::test
