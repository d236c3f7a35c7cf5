// Derivatives of whole models against 5-point differences in f64.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "compiler/graph/differentiate.h"
#include "ir/builder.h"
#include "ir/op.h"
#include "ir/text_formula.h"
#include "ir/verifier.h"
#include "tests/support/gradient_samples.h"
#include "tests/support/graph_checks.h"
#include "tests/support/op_samples.h"

using namespace smelt;
using namespace smelt::testing;

namespace {

/// [B, in] -> [B, out]
NodeId dense(Builder& b, NodeId x, NodeId w, NodeId bias) {
  const NodeId y = b.contract(x, w, formula_of("[b,k] [k,o] -> [b,o]"));
  const Shape shape = b.type(y).shape;
  return b.add(y, b.broadcast(bias, shape, {1}));
}

NodeId mean_over_batch(Builder& b, NodeId x) {
  const std::vector<int64_t> batch = {0};
  const NodeId count = b.count(x, batch, b.type(x).dtype);
  return b.div(sum_all(b, x), count);
}

struct Model {
  Graph graph;
  std::vector<RefTensor> arguments;
  std::vector<int64_t> extents{5};
  std::vector<size_t> parameters;

  Model() { graph.symbols = {{"B", 8}}; }
  NodeId argument(Numbers& numbers, std::string name, Shape shape, bool is_parameter) {
    Builder builder(graph);
    const TensorType type{DType::F64, std::move(shape)};
    if (is_parameter) parameters.push_back(arguments.size());
    arguments.push_back(numbers.tensor(type, extents, -0.8, 0.8));
    return builder.argument({std::move(name), ArgRole::Feed, -1, {}}, type);
  }
  void finish(NodeId loss) {
    Builder builder(graph);
    add_result(builder, "loss", loss);
    for (const size_t k : parameters) add_result(builder, "grad", gradient(builder, loss, graph.arguments[k].node));
  }
};

/// Two layers and softmax cross entropy on a run-time batch.
Model mlp() {
  Numbers numbers(31);
  Model model;
  const Extent batch(8, 0);
  const NodeId x = model.argument(numbers, "x", {batch, 4}, false);
  const NodeId w1 = model.argument(numbers, "w1", {4, 6}, true), b1 = model.argument(numbers, "b1", {6}, true);
  const NodeId w2 = model.argument(numbers, "w2", {6, 3}, true), b2 = model.argument(numbers, "b2", {3}, true);
  Builder b(model.graph);
  const NodeId label = b.argument({"label", ArgRole::Feed, -1, {}}, {DType::I32, {batch}});
  model.arguments.push_back(numbers.tensor({DType::I32, {batch}}, model.extents, 0, 2));
  const NodeId logits = dense(b, b.make(OpKind::Tanh, {dense(b, x, w1, b1)}), w2, b2);
  const NodeId log_p = b.make(OpKind::LogSoftmax, {logits}, {{"axes", std::vector<int64_t>{1}}});
  const NodeId positions = b.index({DType::I32, {batch, 3}}, 1);
  const NodeId hit = b.make(OpKind::Eq, {positions, b.broadcast(label, {batch, 3}, {0})});
  model.finish(b.neg(mean_over_batch(b, b.select(hit, log_p, b.like(log_p, 0)))));
  return model;
}

/// Encoder to mean and log variance, a draw, decoder, Bernoulli likelihood on logits and the KL term.
Model vae() {
  Numbers numbers(32);
  Model model;
  const Extent batch(8, 0);
  const NodeId x = model.argument(numbers, "x", {batch, 5}, false);
  const auto layer = [&](const char* name, int64_t in, int64_t out) {
    return std::pair(model.argument(numbers, fmt::format("{}.W", name), {in, out}, true),
                     model.argument(numbers, fmt::format("{}.b", name), {out}, true));
  };
  const auto encoder = layer("enc", 5, 7), mean_layer = layer("mean", 7, 2), var_layer = layer("logvar", 7, 2);
  const auto decoder = layer("dec", 2, 7), out_layer = layer("out", 7, 5);
  Builder b(model.graph);
  const TensorType scalar{DType::I64, {}};
  const NodeId seed = b.argument({"seed", ArgRole::Seed, -1, {}}, scalar);
  const NodeId run_number = b.argument({"run", ArgRole::Run, -1, {}}, scalar);
  model.arguments.push_back(numbers.tensor(scalar, {}, 0, 1000));
  model.arguments.push_back(numbers.tensor(scalar, {}, 0, 1000));

  const NodeId h = b.make(OpKind::Tanh, {dense(b, x, encoder.first, encoder.second)});
  const NodeId mean = dense(b, h, mean_layer.first, mean_layer.second);
  const NodeId logvar = dense(b, h, var_layer.first, var_layer.second);
  const TensorType latent = b.type(mean);
  const NodeId noise =
      b.make(OpKind::RandomNormal, {seed, run_number}, {{"site", int64_t{17}}, {"loop", int64_t{0}}, {"type", latent}});
  const NodeId deviation = b.exp(b.mul(logvar, b.like(logvar, 0.5)));
  const NodeId z = b.add(mean, b.mul(deviation, noise));
  const NodeId g = b.make(OpKind::Sigmoid, {dense(b, z, decoder.first, decoder.second)});
  const NodeId logits = dense(b, g, out_layer.first, out_layer.second);
  const NodeId nll = b.sub(b.make(OpKind::Softplus, {logits}), b.mul(logits, x));
  const NodeId square = b.make(OpKind::Square, {mean});
  const NodeId kl = b.sub(b.add(square, b.exp(logvar)), b.add(logvar, b.like(logvar, 1)));
  const NodeId half = b.constant(0.5, {DType::F64, {}});
  model.finish(b.add(mean_over_batch(b, nll), b.mul(half, mean_over_batch(b, kl))));
  return model;
}

void check_model(const Model& model) {
  const Graph graph = differentiate(model.graph);
  CHECK(verify(graph, GraphStage::Differentiated) == std::vector<std::string>{});
  for (size_t k = 0; k < model.parameters.size(); ++k) {
    const GradientError error = check_gradient(graph, k + 1, 0, model.parameters[k], model.arguments, model.extents);
    CHECK_MESSAGE(error.worst <= 1e-7,
                  fmt::format("{}: {}", model.graph.arguments[model.parameters[k]].name, error.where));
  }
}

}  // namespace

TEST_CASE("an MLP with cross entropy on a partial batch") { check_model(mlp()); }
TEST_CASE("a VAE with a reparameterised draw") { check_model(vae()); }

TEST_CASE("a gradient penalty: the gradient of a norm of a gradient") {
  Numbers numbers(33);
  Model model;
  const NodeId x = model.argument(numbers, "x", {3, 4}, false);
  const NodeId w1 = model.argument(numbers, "w1", {4, 6}, true), b1 = model.argument(numbers, "b1", {6}, true);
  const NodeId w2 = model.argument(numbers, "w2", {6, 1}, true), b2 = model.argument(numbers, "b2", {1}, true);
  Builder b(model.graph);
  const NodeId score = dense(b, b.make(OpKind::Softplus, {dense(b, x, w1, b1)}), w2, b2);
  const NodeId g = gradient(b, sum_all(b, score), x);
  const NodeId norm = b.sqrt(b.reduce_sum(b.make(OpKind::Square, {g}), {1}));
  const NodeId penalty = b.make(OpKind::Square, {b.sub(norm, b.like(norm, 1))});
  model.finish(b.add(sum_all(b, penalty), sum_all(b, score)));
  check_model(model);
}
