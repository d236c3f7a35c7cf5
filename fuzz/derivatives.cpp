#include "fuzz/derivatives.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "compiler/graph/differentiate.h"
#include "compiler/graph/remove_dead_nodes.h"
#include "fuzz/numbers.h"

namespace smelt::fuzz {
namespace {

constexpr double kStep = 2e-4;
constexpr double kAgreement = 1e-7;  // of differences of two step sizes, relative
constexpr double kTolerance = 1e-6;

/// One `grad` of a graph: y, its argument, and dy/dx.
struct Gradient {
  NodeId y, gradient;
  size_t argument = 0;
};

std::vector<Gradient> gradients_of(const Graph& graph) {
  std::vector<Gradient> found;
  for (const Output& result : graph.results) {
    const Node& node = graph[result.node];
    if (node.op != OpKind::Grad) continue;
    const auto argument = std::ranges::find(graph.arguments, node.inputs[1], &Argument::node);
    if (argument == graph.arguments.end()) continue;
    found.push_back({node.inputs[0], result.node, static_cast<size_t>(argument - graph.arguments.begin())});
  }
  return found;
}

Graph only(Graph graph, NodeId node) {
  graph.results = {{"", ResultRole::Value, -1, node}};
  return remove_dead_nodes(std::move(graph));
}

/// A gradient does not go through `stop`; a difference does.
bool has_stop(const Graph& graph) {
  return std::ranges::any_of(graph.nodes, [](const Node& node) { return node.op == OpKind::Stop; });
}

/// y along the direction, as a function of how far.
class Line {
 public:
  Line(const Case& tested, const Gradient& gradient, std::span<const double> direction)
      : random_(tested.random),
        graph_(differentiate(only(tested.random.graph, gradient.y))),
        argument_(gradient.argument),
        direction_(direction) {}

  double at(double step) const {
    std::vector<RefTensor> arguments = random_.arguments;
    std::vector<double>& x = arguments[argument_].values;
    for (size_t i = 0; i < x.size(); ++i) x[i] += step * direction_[i];
    const auto values = evaluate(graph_, arguments, random_.extents);
    return values ? (*values)[0].values[0] : NAN;
  }
  double slope(double h) const { return (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h); }

 private:
  const RandomGraph& random_;
  Graph graph_;
  size_t argument_;
  std::span<const double> direction_;
};

}  // namespace

std::optional<Failure> check_derivatives(const Case& tested, int64_t& done) {
  Numbers numbers(tested.seed ^ 0xd1f);
  for (const Gradient& gradient : gradients_of(tested.random.graph)) {
    if (has_stop(only(tested.random.graph, gradient.y))) continue;
    std::vector<double> direction(tested.random.arguments[gradient.argument].values.size());
    for (double& value : direction) value = numbers.uniform(-1, 1);
    const Line line(tested, gradient, direction);
    const double slope = line.slope(kStep), other = line.slope(kStep / 2);
    if (!(std::fabs(slope - other) <= kAgreement * (1 + std::fabs(slope)))) continue;
    const auto exact = evaluate(differentiate(only(tested.random.graph, gradient.gradient)), tested.random.arguments,
                                tested.random.extents);
    if (!exact) return Failure{tested.seed, "derivatives", exact.error().message};
    double along = 0;
    for (size_t i = 0; i < direction.size(); ++i) along += (*exact)[0].values[i] * direction[i];
    ++done;
    if (std::fabs(along - slope) <= kTolerance * (1 + std::fabs(slope))) continue;
    return Failure{tested.seed, "derivatives",
                   fmt::format("grad with respect to `{}`: {} along a direction, {} by differences",
                               tested.random.graph.arguments[gradient.argument].name, along, slope)};
  }
  return std::nullopt;
}

}  // namespace smelt::fuzz
