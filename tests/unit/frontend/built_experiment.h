// Experiments built from texts and from the examples, and what tests ask of them.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "frontend/build_experiment.h"
#include "ir/op.h"
#include "tests/support/text_files.h"

namespace smelt::test {

struct Built {
  explicit Built(std::string text, FrontendOptions options = {}) {
    experiment = build_experiment(sources, sources.add({"models/t.smelt", std::move(text)}), options, diagnostics);
    messages = render(diagnostics, sources);
  }
  SourceMap sources;
  Diagnostics diagnostics;
  std::optional<Experiment> experiment;
  std::string messages;
};

inline Built build_example(const std::string& name, FrontendOptions options = {}) {
  return Built(read_text(source_path("examples/" + name + ".smelt")), std::move(options));
}

inline std::vector<std::string> paths(const Experiment& e, VariableKind kind) {
  std::vector<std::string> list;
  for (const Variable& v : e.variables)
    if (v.kind == kind) list.push_back(v.path);
  std::ranges::sort(list);
  return list;
}

inline int count_ops(const Graph& graph, OpKind op) {
  return static_cast<int>(std::ranges::count(graph.nodes, op, &Node::op));
}

/// A small model: `body` is the layer's, `rest` follows.
inline std::string model(const std::string& body, const std::string& rest = "export run(x: f32[B, X]) = net(x)\n") {
  std::string imports = "Dense";
  for (const std::string name : {"Dropout", "BatchNorm", "LayerNorm"}) {
    if (body.find(name) != std::string::npos) imports += ", " + name;
  }
  return "import std.nn (" + imports + ")\ndim B <= 8, X = 4, H = 3\nlayer Net(x: f32[B, X]) -> f32[B, H] {\n" + body +
         "\n}\nmodel net = Net\n" + rest;
}

inline const std::string kTraining =
    "data points {\n  train = csv(\"p.csv\")\n  x: f32[X] = row()\n}\n"
    "objective loss(x: f32[B, X]) updates net { mean(net(x) ^ 2) }\n"
    "train {\n  data points\n  batch B = 8\n  steps 10\n  step loss with sgd(lr = 0.1)\n}\n";

}  // namespace smelt::test
