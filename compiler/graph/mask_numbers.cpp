#include "compiler/graph/mask_numbers.h"

#include <cmath>
#include <limits>

#include "ir/op.h"

namespace smelt {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int kDeepest = 64;  // masks are shallow; what is deeper counts as unknown

/// Where a movement reads its operand; nullopt when that may be outside.
std::optional<Positions> moved(const Graph& graph, const Node& node, const Positions& at) {
  const TensorType& operand = graph.type(node.inputs[0]);
  const std::optional<IndexMap> map = op_def(node).access(operand, node.type, node.attrs);
  if (!map) return operand.rank() == 0 ? std::optional(Positions{}) : std::nullopt;
  if (map->bounded) return std::nullopt;
  Positions result;
  for (const Affine& axis : map->axes) result.push_back(substitute(axis, at));
  return result;
}

/// The least and the greatest difference.
struct Interval {
  double low, high;
};
std::optional<Interval> span_of(const Affine& difference) {
  const auto constant = static_cast<double>(difference.constant);
  if (difference.terms.empty()) return Interval{constant, constant};
  if (difference.terms.size() > 1 || difference.terms[0].first != kLater) return std::nullopt;
  return difference.terms[0].second > 0 ? Interval{constant, kInfinity} : Interval{-kInfinity, constant};
}

std::optional<double> decided(bool yes, bool no) {
  return yes ? std::optional(1.0) : no ? std::optional(0.0) : std::nullopt;
}

std::optional<double> compared(OpKind op, const Affine& a, const Affine& b) {
  const std::optional<Interval> d = span_of(a - b);
  if (!d) return std::nullopt;
  const bool equal = d->low == 0 && d->high == 0, apart = d->low > 0 || d->high < 0;
  switch (op) {
    case OpKind::Lt: return decided(d->high < 0, d->low >= 0);
    case OpKind::Le: return decided(d->high <= 0, d->low > 0);
    case OpKind::Gt: return decided(d->low > 0, d->high <= 0);
    case OpKind::Ge: return decided(d->low >= 0, d->high < 0);
    case OpKind::Eq: return decided(equal, apart);
    case OpKind::Ne: return decided(apart, equal);
    default: return std::nullopt;
  }
}

std::optional<Affine> position_at(const Graph& graph, NodeId id, const Positions& at, NodeId step, int depth) {
  const Node& node = graph[id];
  if (id == step) return Affine::of(kNow);
  if (depth > kDeepest) return std::nullopt;
  const auto operand = [&](size_t k) { return position_at(graph, node.inputs[k], at, step, depth + 1); };
  switch (node.op) {
    case OpKind::Index: return at[static_cast<size_t>(node.attrs.integer("axis"))];
    case OpKind::Constant: {
      const double value = node.attrs.number("value");
      if (value != std::floor(value) || std::abs(value) > 1e9) return std::nullopt;
      return Affine{static_cast<int64_t>(value), {}};
    }
    case OpKind::Cast: return operand(0);
    case OpKind::Neg: {
      const std::optional<Affine> a = operand(0);
      return a ? std::optional(*a * -1) : std::nullopt;
    }
    case OpKind::Add:
    case OpKind::Sub:
    case OpKind::Mul: {
      const std::optional<Affine> a = operand(0), b = operand(1);
      if (!a || !b) return std::nullopt;
      if (node.op == OpKind::Add) return *a + *b;
      if (node.op == OpKind::Sub) return *a - *b;
      if (a->terms.empty()) return *b * a->constant;
      return b->terms.empty() ? std::optional(*a * b->constant) : std::nullopt;
    }
    default: break;
  }
  if (op_def(node).kind != Kind::Move) return std::nullopt;
  const std::optional<Positions> inner = moved(graph, node, at);
  return inner ? position_at(graph, node.inputs[0], *inner, step, depth + 1) : std::nullopt;
}

std::optional<double> number_at(const Graph& graph, NodeId id, const Positions& at, NodeId step, int depth) {
  const Node& node = graph[id];
  if (node.op == OpKind::Constant) return node.attrs.number("value");
  if (depth > kDeepest) return std::nullopt;
  const OpDef& op = op_def(node);
  if (op.kind == Kind::Move) {
    const std::optional<Positions> inner = moved(graph, node, at);
    return inner ? number_at(graph, node.inputs[0], *inner, step, depth + 1) : std::nullopt;
  }
  if (op.kind != Kind::Elementwise) return std::nullopt;
  if (op.traits.comparison) {
    const std::optional<Affine> a = position_at(graph, node.inputs[0], at, step, depth + 1),
                                b = position_at(graph, node.inputs[1], at, step, depth + 1);
    if (a && b) return compared(node.op, *a, *b);
  }
  std::vector<std::optional<double>> operands;
  for (const NodeId input : node.inputs) operands.push_back(number_at(graph, input, at, step, depth + 1));
  return number_of(node, operands);
}

/// An op that gives `result` as soon as one of its operands, or the first one alone, is `value`.
struct Decider {
  OpKind op;
  double value, result;
  bool first_only = false;
};
constexpr Decider kDeciders[] = {
    {OpKind::Add, kInfinity, kInfinity},
    {OpKind::Add, -kInfinity, -kInfinity},
    {OpKind::Sub, kInfinity, kInfinity, true},
    {OpKind::Sub, -kInfinity, -kInfinity, true},
    {OpKind::Mul, 0, 0},
    {OpKind::Div, 0, 0, true},
    {OpKind::Max, kInfinity, kInfinity},
    {OpKind::Min, -kInfinity, -kInfinity},
    {OpKind::And, 0, 0},
    {OpKind::Or, 1, 1},
};

}  // namespace

std::optional<Affine> position_at(const Graph& graph, NodeId id, const Positions& at, NodeId step) {
  return position_at(graph, id, at, step, 0);
}

std::optional<double> number_at(const Graph& graph, NodeId id, const Positions& at, NodeId step) {
  return number_at(graph, id, at, step, 0);
}

std::optional<double> number_of(const Node& node, const std::vector<std::optional<double>>& operands) {
  if (node.op == OpKind::Select && operands[0]) return operands[*operands[0] != 0 ? 1 : 2];
  for (const Decider& decider : kDeciders) {
    if (decider.op != node.op) continue;
    for (size_t k = 0; k < (decider.first_only ? 1 : operands.size()); ++k) {
      if (operands[k] == decider.value) return decider.result;
    }
  }
  std::vector<double> numbers;
  for (const std::optional<double>& operand : operands) {
    if (!operand) return std::nullopt;
    numbers.push_back(*operand);
  }
  const ScalarReferenceFn reference = op_def(node).reference;
  if (reference == nullptr || node.op == OpKind::Cast)
    return numbers.size() == 1 ? numbers[0] : std::optional<double>();
  return reference(numbers);
}

}  // namespace smelt
