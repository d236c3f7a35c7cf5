// Loops over steps as the frontend makes them: what a step sees of what was computed before.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "ir/scan.h"
#include "tests/unit/frontend/built_experiment.h"

using namespace smelt;
using namespace smelt::test;

namespace {

/// The only loop of the only export of a file whose layer has this body.
const Node& loop_of(const Built& built) {
  REQUIRE_MESSAGE(built.experiment, built.messages);
  const std::vector<Node>& nodes = built.experiment->functions[0].graph.nodes;
  const auto found = std::ranges::find(nodes, OpKind::Scan, &Node::op);
  REQUIRE(found != nodes.end());
  return *found;
}

std::string walk(const std::string& dims, const std::string& steps, const std::string& body) {
  return fmt::format(R"(dim B <= 4, {}, C = 5
layer Walk(x: f32[B, T, C]) -> f32[B, C] {{
  scan t < {} with h = zeros([B, C]) {{
    {}
    h <- tanh(u + h)
  }}
}}
model net = Walk
export run(x: f32[B, T, C]) = net(x)
)",
                     dims, steps, body);
}

}  // namespace

TEST_CASE("a formula that reads at the step, or a fixed distance before it, reads a slice") {
  struct Row {
    const char *dims, *steps, *body;
  };
  for (const Row& row : {Row{"T = 8", "T", "u = x[t]"},
                         {"T = 8", "T", "u[n, c] = x[n, t, c]"},
                         {"T <= 8", "T", "u[n, c] = x[n, t, c]"},
                         {"T = 8", "T - 1", "u[n, c] = x[n, t, c] + x[n, t + 1, c]"},
                         {"T = 8", "5", "u[n, c] = x[n, t + 3, c] * x[n, 2 + t, c]"},
                         {"T <= 8", "T - 1", "u[n, c] = x[n, t + 1, c]"}}) {
    CAPTURE(row.body);
    const Built built(walk(row.dims, row.steps, row.body));
    const Graph& body = *loop_of(built).body;
    CHECK(count_ops(body, OpKind::Gather) == 0);
    CHECK(std::ranges::any_of(body.arguments, [](const Argument& a) { return a.role == ArgRole::Slice; }));
    CHECK(std::ranges::none_of(body.arguments, [](const Argument& a) { return a.role == ArgRole::Whole; }));
  }
}

TEST_CASE("what a step computes for itself, and what lies at another place, is gathered") {
  for (const char* body :
       {"u[n, c] = x[n, 7 - t, c]", "w[n, i < T, c] = h[n, c] * cast(i, f32); u[n, c] = w[n, t, c]"}) {
    const Built built(walk("T = 8", "T", body));
    CHECK(count_ops(*loop_of(built).body, OpKind::Gather) == 1);
  }
}

TEST_CASE("a parameter may be a tuple, whose parts have types of their own") {
  const Built built(R"(import std.nn (Dense)
dim B <= 4, X = 5
layer Step(p: (f32[N, In], f32[N])) -> (f32[N, In], f32[N]) {
  (x, scale) = p
  (x |> a: Dense{In}, scale + 1)
}
layer Net(x: f32[N, X]) -> f32[N, X] {
  (y, scale) = (x, zeros([N])) |> steps: repeat i < 3 { Step }
  y + scale
}
model net = Net
export run(x: f32[B, X]) = net(x)
)");
  REQUIRE_MESSAGE(built.experiment, built.messages);
  CHECK(paths(*built.experiment, VariableKind::Param).size() == 6);
}
