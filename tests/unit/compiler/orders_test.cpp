// Identities that derivatives of any order obey, for every op and for random graphs: forward mode against reverse mode
// and differences, the symmetry of the Hessian, the third order.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <numeric>

#include "compiler/graph/differentiate.h"
#include "compiler/run_passes.h"
#include "fuzz/random_graph.h"
#include "ir/builder.h"
#include "ir/op.h"
#include "ir/verifier.h"
#include "tests/support/gradient_samples.h"
#include "tests/support/graph_checks.h"
#include "tests/support/op_samples.h"

using namespace smelt;
using namespace smelt::testing;

namespace {

constexpr double kIdentity = 1e-12;

double inner(const RefTensor& a, const RefTensor& b) {
  return std::inner_product(a.values.begin(), a.values.end(), b.values.begin(), 0.0);
}

/// The sum of the magnitudes of what `inner` adds: the scale that its rounding errors have.
double inner_scale(const RefTensor& a, const RefTensor& b) {
  double total = 0;
  for (size_t i = 0; i < a.values.size(); ++i) total += std::fabs(a.values[i] * b.values[i]);
  return total;
}

NodeId float_argument(const Graph& graph, size_t k) {
  const NodeId node = graph.arguments[k].node;
  return graph.type(node).dtype == DType::F64 ? node : NodeId{};
}

/// A graph with its arguments, to which a test adds directions.
struct Workbench {
  Graph graph;
  std::vector<RefTensor> arguments;
  std::vector<int64_t> extents;
  Numbers numbers;

  Builder build() { return Builder(graph); }
  /// An argument of this node's type with random values; its position.
  size_t add_direction(NodeId like) {
    Builder builder(graph);
    const TensorType type = builder.type(like);
    builder.argument({fmt::format("v{}", arguments.size()), ArgRole::Feed, -1, {}}, type);
    arguments.push_back(numbers.tensor(type, extents, -1, 1));
    return arguments.size() - 1;
  }
  NodeId node(size_t argument) const { return graph.arguments[argument].node; }
  std::vector<RefTensor> run() { return testing::run(differentiate(graph), arguments, extents); }
};

/// <Jv, w> = <v, J'w> for y and each float argument, and Jv against differences when `differences`.
void check_adjoint_identity(const std::string& name, Workbench bench, NodeId y, bool differences) {
  const size_t num_arguments = bench.arguments.size();
  const size_t w = bench.add_direction(y);
  bench.graph.results.clear();
  Builder builder = bench.build();
  const NodeId product = sum_all(builder, builder.mul(y, bench.node(w)));
  std::vector<size_t> wrt, directions;
  add_result(builder, "y", product);
  for (size_t k = 0; k < num_arguments; ++k) {
    const NodeId x = float_argument(bench.graph, k);
    if (!x.valid()) continue;
    wrt.push_back(k);
    directions.push_back(bench.add_direction(x));
    add_result(builder, "jv", builder.make(OpKind::Jvp, {y, x, bench.node(directions.back())}));
    add_result(builder, "jtw", gradient(builder, product, x));
  }
  const std::vector<RefTensor> results = bench.run();
  for (size_t i = 0; i < wrt.size(); ++i) {
    const RefTensor &jv = results[1 + 2 * i], &jtw = results[2 + 2 * i], &v = bench.arguments[directions[i]];
    const double forward = inner(jv, bench.arguments[w]), reverse = inner(v, jtw);
    const double scale = std::max({1.0, inner_scale(jv, bench.arguments[w]), inner_scale(v, jtw)});
    CHECK_MESSAGE(std::fabs(forward - reverse) <= kIdentity * scale,
                  fmt::format("{} operand {}: {} and {}", name, wrt[i], forward, reverse));
    if (!differences) continue;
    Graph value = differentiate(bench.graph);
    value.results = {value.results[0]};
    std::vector<RefTensor> arguments = bench.arguments;
    const auto f = [&](const RefTensor& moved) {
      arguments[wrt[i]] = moved;
      return run(value, arguments, bench.extents)[0].values[0];
    };
    double difference = directional_difference(f, bench.arguments[wrt[i]], v.values);
    // A short step when two operands of max or min change places within a long one.
    const auto agrees = [&] { return std::fabs(forward - difference) <= 1e-7 * std::max(1.0, std::fabs(difference)); };
    if (!agrees()) difference = directional_difference(f, bench.arguments[wrt[i]], v.values, 1e-6);
    CHECK_MESSAGE(agrees(),
                  fmt::format("{} operand {}: {} against {} by differences", name, wrt[i], forward, difference));
  }
}

/// u'Hv = v'Hu for a scalar y and each pair of float arguments, H the block of the two.
void check_symmetry(const std::string& name, Workbench bench, NodeId y) {
  const size_t num_arguments = bench.arguments.size();
  bench.graph.results.clear();
  Builder builder = bench.build();
  std::vector<size_t> wrt, directions;
  std::vector<NodeId> along;
  for (size_t k = 0; k < num_arguments; ++k) {
    const NodeId x = float_argument(bench.graph, k);
    if (!x.valid()) continue;
    wrt.push_back(k);
    directions.push_back(bench.add_direction(x));
    along.push_back(sum_all(builder, builder.mul(gradient(builder, y, x), bench.node(directions.back()))));
  }
  for (const NodeId a : along) {
    for (const size_t k : wrt) add_result(builder, "hv", gradient(builder, a, bench.node(k)));
  }
  const std::vector<RefTensor> results = bench.run();
  const size_t n = wrt.size();
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < i; ++j) {
      const RefTensor &hv = results[i * n + j], &hu = results[j * n + i];
      const RefTensor &u = bench.arguments[directions[j]], &v = bench.arguments[directions[i]];
      const double scale = std::max({1.0, inner_scale(hv, u), inner_scale(hu, v)});
      CHECK_MESSAGE(std::fabs(inner(hv, u) - inner(hu, v)) <= kIdentity * scale,
                    fmt::format("{} operands {} and {}: {} and {}", name, wrt[i], wrt[j], inner(hv, u), inner(hu, v)));
    }
  }
}

Workbench workbench(const OpSample& sample, uint64_t seed) {
  return {sample.graph, sample.arguments, sample.extents, Numbers(seed)};
}

/// y of a sample as a scalar that is curved in every operand.
NodeId curved_sum(Workbench& bench) {
  Builder builder = bench.build();
  const NodeId y = bench.graph.results[0].node;
  const size_t w = bench.add_direction(y);
  return sum_all(builder, builder.mul(builder.mul(y, y), bench.node(w)));
}

}  // namespace

TEST_CASE("forward mode of every op agrees with reverse mode to 1e-12 and with differences to 1e-7") {
  for (const OpSample& sample : op_samples(DType::F64)) {
    if (sample.differentiable)
      check_adjoint_identity(sample.name, workbench(sample, 61), sample.graph.results[0].node, true);
  }
}

TEST_CASE("the Hessian of every op is symmetric to 1e-12") {
  for (const OpSample& sample : op_samples(DType::F64)) {
    if (!sample.differentiable) continue;
    Workbench bench = workbench(sample, 62);
    // Twice the same argument: its own block has to be symmetric as well.
    const NodeId y = curved_sum(bench);
    check_symmetry(sample.name, bench, y);
    Builder builder = bench.build();
    bench.graph.results.clear();
    for (size_t k = 0; k < sample.arguments.size(); ++k) {
      const NodeId x = float_argument(bench.graph, k);
      if (!x.valid()) continue;
      const size_t u = bench.add_direction(x), v = bench.add_direction(x);
      for (const size_t d : {u, v}) {
        const NodeId along = sum_all(builder, builder.mul(gradient(builder, y, x), bench.node(d)));
        add_result(builder, "hd", gradient(builder, along, x));
      }
      const std::vector<RefTensor> results = bench.run();
      const double a = inner(results[0], bench.arguments[v]), b = inner(results[1], bench.arguments[u]);
      const double scale =
          std::max({1.0, inner_scale(results[0], bench.arguments[v]), inner_scale(results[1], bench.arguments[u])});
      CHECK_MESSAGE(std::fabs(a - b) <= kIdentity * scale,
                    fmt::format("{} operand {}: {} and {}", sample.name, k, a, b));
      bench.graph.results.clear();
    }
  }
}

TEST_CASE("200 random graphs: <Jv, w> = <v, J'w> and u'Hv = v'Hu to 1e-12") {
  int used = 0;
  for (uint64_t seed = 1; used < 200; ++seed) {
    fuzz::RandomGraph random =
        fuzz::random_graph(seed, {.dtype = DType::F64, .num_ops = 12, .gradient = 0, .second_order = 0});
    if (random.graph.results.empty()) continue;
    const NodeId y = random.graph.results[0].node;
    if (random.graph.type(y).dtype != DType::F64) continue;
    ++used;
    const std::string name = fmt::format("random graph {}", seed);
    const Workbench bench{random.graph, random.arguments, random.extents, Numbers(seed + 1000)};
    check_adjoint_identity(name, bench, y, false);
    Workbench scalar = bench;
    Builder builder = scalar.build();
    const NodeId square = sum_all(builder, builder.mul(y, y));
    check_symmetry(name, scalar, square);
  }
}

TEST_CASE("third derivatives of every op agree with differences of the second") {
  Numbers numbers(63);
  for (const OpSample& sample : op_samples(DType::F64)) {
    if (!sample.differentiable || op_def(sample.op).kind != Kind::Elementwise) continue;
    GradientSample test = first_order(sample, numbers);
    Builder builder(test.graph);
    // Two more orders, each of a weighted sum over all gradients of the one before.
    NodeId loss = test.graph.results[0].node;
    for (int order = 2; order <= 3; ++order) {
      NodeId total;
      for (const size_t i : test.wrt) {
        const NodeId g = gradient(builder, loss, test.graph.arguments[i].node);
        test.arguments.push_back(numbers.tensor(builder.type(g), sample.extents, 0.5, 1));
        const NodeId part = weighted_sum(builder, g, fmt::format("v{}_{}", order, i));
        total = total.valid() ? builder.add(total, part) : part;
      }
      loss = total;
    }
    test.graph.results.clear();
    add_result(builder, "loss", loss);
    for (const size_t i : test.wrt) add_result(builder, "grad", gradient(builder, loss, test.graph.arguments[i].node));
    const Graph graph = differentiate(test.graph);
    for (size_t k = 0; k < test.wrt.size(); ++k) {
      const GradientError error = check_gradient(graph, k + 1, 0, test.wrt[k], test.arguments, sample.extents);
      CHECK_MESSAGE(error.worst <= 1e-5, fmt::format("{} operand {}: {}", sample.name, test.wrt[k], error.where));
    }
  }
}

TEST_CASE("an operand that is used twice gets both cotangents, in both modes") {
  for (const OpSample& sample : op_samples(DType::F64)) {
    if (!sample.differentiable || sample.arguments.size() != 2) continue;
    if (sample.arguments[0].type != sample.arguments[1].type) continue;
    Workbench bench{{}, {sample.arguments[0]}, sample.extents, Numbers(64)};
    bench.graph.symbols = sample.graph.symbols;
    Builder builder = bench.build();
    const NodeId x = builder.argument({"x", ArgRole::Feed, -1, {}}, sample.arguments[0].type);
    const OpDef& op = op_def(sample.op);
    // max(x, x) and min(x, x) are x, with all of the cotangent; the op's samples keep away from other kinks.
    const Node& node = sample.graph[sample.graph.results[0].node];
    const NodeId y = builder.make(sample.op, {x, x}, node.attrs);
    if (sample.op == OpKind::Max || sample.op == OpKind::Min) {
      check_adjoint_identity(std::string(op.name) + "(x, x)", bench, y, false);
    } else {
      check_adjoint_identity(std::string(op.name) + "(x, x)", bench, y, true);
    }
  }
}
