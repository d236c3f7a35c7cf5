#include "compiler/graph/stabilize.h"

namespace smelt {
namespace {

/// x if `id` is op(x).
std::optional<NodeId> argument_of(const Graph& graph, NodeId id, OpKind op) {
  if (graph[id].op != op) return std::nullopt;
  return graph[id].inputs[0];
}

/// The other summand if `id` is 1 + y or y + 1.
std::optional<NodeId> one_plus(const Graph& graph, NodeId id) {
  const Node& sum = graph[id];
  if (sum.op != OpKind::Add) return std::nullopt;
  if (splat_value(graph, sum.inputs[0]) == 1.0) return sum.inputs[1];
  if (splat_value(graph, sum.inputs[1]) == 1.0) return sum.inputs[0];
  return std::nullopt;
}

NodeId softplus(Builder& b, NodeId x) { return b.make(OpKind::Softplus, {x}); }

NodeId log_of_sigmoid(Match& m) {
  if (!m.is(0, OpKind::Sigmoid)) return kNoMatch;
  return m.build().neg(softplus(m.build(), m.build().neg(m.in(0, 0))));
}

NodeId log_of_one_minus_sigmoid(Match& m) {
  if (!m.is(0, OpKind::Sub) || splat_value(m.graph(), m.in(0, 0)) != 1.0) return kNoMatch;
  const std::optional<NodeId> x = argument_of(m.graph(), m.in(0, 1), OpKind::Sigmoid);
  return x ? m.build().neg(softplus(m.build(), *x)) : kNoMatch;
}

NodeId log_of_one_plus_exp(Match& m) {
  const std::optional<NodeId> y = one_plus(m.graph(), m.in(0));
  const std::optional<NodeId> x = y ? argument_of(m.graph(), *y, OpKind::Exp) : std::nullopt;
  return x ? softplus(m.build(), *x) : kNoMatch;
}

NodeId log_of_one_plus(Match& m) {
  const std::optional<NodeId> x = one_plus(m.graph(), m.in(0));
  return x ? m.build().make(OpKind::Log1p, {*x}) : kNoMatch;
}

NodeId log_of_softmax(Match& m) {
  if (!m.is(0, OpKind::Softmax)) return kNoMatch;
  const Attributes attrs = m.operand(0).attrs;
  return m.build().make(OpKind::LogSoftmax, {m.in(0, 0)}, attrs);
}

NodeId log_of_sum_of_exp(Match& m) {
  if (!m.is(0, OpKind::ReduceSum)) return kNoMatch;
  const std::optional<NodeId> x = argument_of(m.graph(), m.in(0, 0), OpKind::Exp);
  const Attributes attrs = m.operand(0).attrs;
  return x ? m.build().make(OpKind::LogSumExp, {*x}, attrs) : kNoMatch;
}

NodeId exp_minus_one(Match& m) {
  if (!m.is(0, OpKind::Exp) || !m.is_number(1, 1)) return kNoMatch;
  return m.build().make(OpKind::Expm1, {m.in(0, 0)});
}

/// 1 / (1 + exp(-x)) overflows for x < -88 in f32; the op does not.
NodeId spelled_out_sigmoid(Match& m) {
  if (!m.is_number(0, 1)) return kNoMatch;
  const std::optional<NodeId> power = one_plus(m.graph(), m.in(1));
  const std::optional<NodeId> exponent = power ? argument_of(m.graph(), *power, OpKind::Exp) : std::nullopt;
  const std::optional<NodeId> x = exponent ? argument_of(m.graph(), *exponent, OpKind::Neg) : std::nullopt;
  return x ? m.build().make(OpKind::Sigmoid, {*x}) : kNoMatch;
}

constexpr Rule kStableRules[] = {
    {"log_sigmoid", "log(sigmoid(x)) -> neg(softplus(neg(x)))", OpKind::Log, log_of_sigmoid},
    {"log_one_minus_sigmoid", "log(1 - sigmoid(x)) -> neg(softplus(x))", OpKind::Log, log_of_one_minus_sigmoid},
    {"log_one_plus_exp", "log(1 + exp(x)) -> softplus(x)", OpKind::Log, log_of_one_plus_exp},
    {"log_one_plus", "log(1 + x) -> log1p(x)", OpKind::Log, log_of_one_plus},
    {"log1p_exp", "log1p(exp(x)) -> softplus(x)", OpKind::Log1p,
     [](Match& m) { return m.is(0, OpKind::Exp) ? softplus(m.build(), m.in(0, 0)) : kNoMatch; }},
    {"log_softmax", "log(softmax(x)) -> log_softmax(x)", OpKind::Log, log_of_softmax},
    {"log_sum_exp", "log(reduce_sum(exp(x))) -> logsumexp(x)", OpKind::Log, log_of_sum_of_exp},
    {"expm1", "exp(x) - 1 -> expm1(x)", OpKind::Sub, exp_minus_one},
    {"sigmoid", "1 / (1 + exp(neg(x))) -> sigmoid(x)", OpKind::Div, spelled_out_sigmoid},
};

}  // namespace

std::span<const Rule> stability_rules() { return kStableRules; }

Graph stabilize(Graph graph, RuleHits* hits) { return rewrite(std::move(graph), kStableRules, hits); }

}  // namespace smelt
