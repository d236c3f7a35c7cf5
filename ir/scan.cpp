#include "ir/scan.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/op.h"
#include "ir/support/check.h"

namespace smelt {
namespace {

TensorType with_steps(const TensorType& type, const Extent& steps) {
  TensorType stacked = type;
  stacked.shape.insert(stacked.shape.begin(), steps);
  return stacked;
}

void check_arguments(const Graph& graph, const Node& scan, std::vector<std::string>& wrong) {
  const Graph& body = *scan.body;
  if (body.arguments.size() != scan.inputs.size()) {
    wrong.push_back(
        fmt::format("a scan of {} operands whose body has {} arguments", scan.inputs.size(), body.arguments.size()));
    return;
  }
  int32_t carries = 0;
  for (size_t k = 0; k < body.arguments.size(); ++k) {
    const Argument& argument = body.arguments[k];
    const TensorType& inside = body.type(argument.node);
    const bool sliced = argument.role == ArgRole::Slice;
    if (argument.node.index != k)
      wrong.push_back(fmt::format("argument `{}` is not the body's node {}", argument.name, k));
    if (!sliced && argument.role != ArgRole::Carry && argument.role != ArgRole::Whole)
      wrong.push_back(fmt::format("a body's argument `{}` is {}", argument.name, to_string(argument.role)));
    if (argument.role == ArgRole::Carry && argument.ref != carries++)
      wrong.push_back(fmt::format("carry `{}` has number {}", argument.name, argument.ref));
    const TensorType expected = sliced ? with_steps(inside, steps_of(scan)) : inside;
    if (graph.type(scan.inputs[k]) != expected)
      wrong.push_back(fmt::format("operand {} of a scan is `{}` where `{}` needs `{}`", k,
                                  to_string(graph.type(scan.inputs[k]), graph.symbols), argument.name,
                                  to_string(expected, graph.symbols)));
  }
}

void check_results(const Graph& body, std::vector<std::string>& wrong) {
  std::vector<int> found(static_cast<size_t>(num_carries(body)), 0);
  for (const Output& result : body.results) {
    if (result.role == ResultRole::Stacked) continue;
    if (result.role != ResultRole::Carry || result.ref < 0 || static_cast<size_t>(result.ref) >= found.size()) {
      wrong.push_back(fmt::format("a body's result `{}` is {} {}", result.name, to_string(result.role), result.ref));
      continue;
    }
    ++found[static_cast<size_t>(result.ref)];
    const NodeId argument = body.arguments[carry_argument(body, result.ref)].node;
    if (body.type(result.node) != body.type(argument))
      wrong.push_back(fmt::format("carry `{}` goes in as `{}` and comes out as `{}`", result.name,
                                  to_string(body.type(argument), body.symbols),
                                  to_string(body.type(result.node), body.symbols)));
  }
  if (!std::ranges::all_of(found, [](int count) { return count == 1; }))
    wrong.push_back("a carry of a body without one result");
}

void check_until(const Node& scan, std::vector<std::string>& wrong) {
  const Graph& body = *scan.body;
  const int32_t until = until_of(scan);
  if (until < 0) return;
  if (until >= num_carries(body)) {
    wrong.push_back(fmt::format("a scan stops by carry {} of {}", until, num_carries(body)));
    return;
  }
  const TensorType& type = body.type(body.arguments[carry_argument(body, until)].node);
  if (type != TensorType{DType::I32, {}})
    wrong.push_back(fmt::format("a scan stops by a carry that is `{}`", to_string(type, body.symbols)));
  if (std::ranges::any_of(body.results, [](const Output& r) { return r.role == ResultRole::Stacked; }))
    wrong.push_back("a scan that may stop stacks results");
}

void check_part(const Graph& graph, const Node& part, std::vector<std::string>& wrong) {
  const Node& scan = graph[part.inputs[0]];
  const int64_t k = part.attrs.integer("result");
  if (scan.op != OpKind::Scan || scan.body == nullptr) {
    wrong.push_back("a part of what is no scan");
  } else if (k < 0 || k >= static_cast<int64_t>(scan.body->results.size())) {
    wrong.push_back(fmt::format("part {} of a scan with {} results", k, scan.body->results.size()));
  } else if (part.type != part_type(scan, static_cast<size_t>(k))) {
    wrong.push_back(fmt::format("part {} is `{}`, not `{}`", k,
                                to_string(part_type(scan, static_cast<size_t>(k)), graph.symbols),
                                to_string(part.type, graph.symbols)));
  }
}

}  // namespace

TensorType part_type(const Node& scan, size_t k) {
  const Output& result = scan.body->results[k];
  const TensorType& type = scan.body->type(result.node);
  return result.role == ResultRole::Stacked ? with_steps(type, steps_of(scan)) : type;
}

std::vector<std::string> scan_violations(const Graph& graph, const Node& node) {
  std::vector<std::string> wrong;
  if ((node.op == OpKind::Scan) != (node.body != nullptr)) {
    wrong.push_back(fmt::format("`{}` {} a body", op_def(node).name, node.body == nullptr ? "without" : "with"));
  } else if (node.op == OpKind::Scan) {
    check_arguments(graph, node, wrong);
    if (wrong.empty()) check_results(*node.body, wrong);
    if (wrong.empty()) check_until(node, wrong);
    const auto draws = [](const Node& inner) { return op_def(inner).kind == Kind::Random; };
    if (std::ranges::any_of(node.body->nodes, draws))
      wrong.push_back("a body draws random numbers, the same in each step");
  } else if (node.op == OpKind::Part) {
    check_part(graph, node, wrong);
  }
  return wrong;
}

NodeId make_scan(Builder& build, Graph body, Operands inputs, const Extent& steps, bool reverse, bool by_position,
                 int32_t until) {
  const NodeId id = build.make(OpKind::Scan, std::move(inputs),
                               {{"reverse", int64_t{reverse}},
                                {"by_position", int64_t{by_position}},
                                {"until", int64_t{until}},
                                {"type", TensorType{DType::I32, {steps}}}});
  Node& node = build.graph().nodes[id.index];
  node.body = std::make_shared<const Graph>(std::move(body));
  const std::vector<std::string> wrong = scan_violations(build.graph(), node);
  SMELT_CHECK(wrong.empty(), "{}", wrong.front());
  return id;
}

NodeId make_part(Builder& build, NodeId scan, size_t k) {
  const TensorType type = part_type(build.graph()[scan], k);
  return build.make(OpKind::Part, {scan}, {{"result", static_cast<int64_t>(k)}, {"type", type}});
}

size_t carry_result(const Graph& body, int32_t ref) {
  for (size_t k = 0; k < body.results.size(); ++k) {
    if (body.results[k].role == ResultRole::Carry && body.results[k].ref == ref) return k;
  }
  SMELT_CHECK(false, "carry {} of `{}` has no result", ref, body.name);
}

size_t carry_argument(const Graph& body, int32_t ref) {
  for (size_t k = 0; k < body.arguments.size(); ++k) {
    if (body.arguments[k].role == ArgRole::Carry && body.arguments[k].ref == ref) return k;
  }
  SMELT_CHECK(false, "`{}` has no carry {}", body.name, ref);
}

int32_t num_carries(const Graph& body) {
  return static_cast<int32_t>(std::ranges::count(body.arguments, ArgRole::Carry, &Argument::role));
}

std::vector<size_t> saved_carries(const Graph& body) {
  std::vector<size_t> saved;
  for (int32_t ref = 0; ref < num_carries(body); ++ref) {
    const NodeId argument = body.arguments[carry_argument(body, ref)].node;
    for (size_t k = 0; k < body.results.size(); ++k) {
      if (body.results[k].role != ResultRole::Stacked || body.results[k].node != argument) continue;
      saved.push_back(k);
      break;
    }
    SMELT_CHECK(saved.size() == static_cast<size_t>(ref) + 1, "carry {} of `{}` is not saved", ref, body.name);
  }
  return saved;
}

Graph with_saved_carries(Graph body) {
  for (int32_t ref = 0; ref < num_carries(body); ++ref) {
    const Argument& argument = body.arguments[carry_argument(body, ref)];
    const bool saved = std::ranges::any_of(body.results, [&](const Output& result) {
      return result.role == ResultRole::Stacked && result.node == argument.node;
    });
    if (!saved) body.results.push_back({argument.name, ResultRole::Stacked, -1, argument.node});
  }
  return body;
}

Graph save_carries(Graph graph) {
  return change_bodies(std::move(graph), [](Graph body) { return with_saved_carries(std::move(body)); });
}

}  // namespace smelt
