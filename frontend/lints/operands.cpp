// What functions of the library and distributions are given: probabilities for logits, values outside of a support,
// operands in the wrong order, a standard deviation for a log variance.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "frontend/lints/lint.h"
#include "ir/experiment.h"

namespace smelt::frontend {

namespace {

/// An operand of a function, by position, and how the function is written in a model file.
struct OperandPlace {
  std::string_view function;
  size_t operand;
  std::string_view written;
};

template <typename F>
void for_each_use(const LintInput& input, F f) {
  for (const FunctionContext* function : input.functions)
    for (const Uses& use : function->uses) f(function->function.graph, use);
}

const OperandPlace* find_place(std::span<const OperandPlace> places, std::string_view function) {
  const auto found = std::ranges::find(places, function, &OperandPlace::function);
  return found == places.end() ? nullptr : &*found;
}

/// Through additions and products with numbers: `softplus(x) + 1e-4` is a `softplus`.
NodeId shifted_source(const Graph& graph, NodeId id) {
  while (true) {
    id = source_of(graph, id);
    const Node& node = graph[id];
    const bool shifts = node.op == OpKind::Add || node.op == OpKind::Mul || node.op == OpKind::Sub;
    if (!shifts) return id;
    const bool left = is_number(graph, node.inputs[0]), right = is_number(graph, node.inputs[1]);
    if (left == right) return id;
    id = node.inputs[left ? 1 : 0];
  }
}

}  // namespace

void probabilities_for_logits(const LintInput& input) {
  static constexpr std::array kLogits = {
      OperandPlace{"sigmoid_xent", 0, "sigmoid_xent"},   OperandPlace{"softmax_xent", 0, "softmax_xent"},
      OperandPlace{"smoothed_xent", 0, "smoothed_xent"}, OperandPlace{"Bernoulli", 0, "Bernoulli"},
      OperandPlace{"Categorical", 0, "Categorical"},     OperandPlace{"softplus", 0, "softplus"},
  };
  for_each_use(input, [&](const Graph& graph, const Uses& use) {
    const OperandPlace* place = find_place(kLogits, use.name);
    if (place == nullptr || use.operands.size() <= place->operand) return;
    NodeId id = use.operands[place->operand].node;
    if (!id.valid()) return;
    id = source_of(graph, id);
    if (graph[id].op == OpKind::Neg) id = source_of(graph, graph[id].inputs[0]);
    const bool softplus = use.name == "softplus";
    const bool sigmoid = graph[id].op == OpKind::Sigmoid, softmax = graph[id].op == OpKind::Softmax;
    if (!sigmoid && (!softmax || softplus)) return;
    const std::string_view made = sigmoid ? "sigmoid" : "softmax";
    input.diagnostics
        .report(Diag::W0010, use.span,
                softplus ? fmt::format("`softplus` of a `sigmoid`: the loss of a critic takes its logits")
                         : fmt::format("`{}` takes logits, and these are the result of a `{}`", place->written, made))
        .label(graph[id].place(), fmt::format("`{}` here", made))
        .with_help(softplus ? "leave the `sigmoid` out: `mean(softplus(-logit))` is the mean of -log(sigmoid(logit))"
                            : fmt::format("leave the `{}` out: `{}` applies it itself", made, place->written));
  });
}

namespace {

/// Of which values a function is defined, or what its result can reach.
struct Support {
  std::string_view function, written;
  size_t operand;
  double low, high;
  std::string_view help;
};

std::vector<bool> learned_in(const LintInput& input, const Graph& graph) {
  return computed_from(graph, parameters_of(input, graph, [](int32_t) { return true; }));
}

/// `mse(net(x), x)`, or the density of x around `net(x)`, where `net` cannot make some of the values of x.
void out_of_reach(const LintInput& input, const Graph& graph, const Uses& use) {
  static constexpr std::array<std::string_view, 6> kDistances = {
      "mse", "l1_loss", "huber", "normal_log_prob", "normal_log_prob_std", "laplace_log_prob"};
  if (std::ranges::find(kDistances, use.name) == kDistances.end() || use.operands.size() < 2) return;
  const std::vector<bool> learned = learned_in(input, graph);
  for (const size_t k : {0, 1}) {
    const auto &made = use.operands[k], &target = use.operands[1 - k];
    if (!made.node.valid() || !target.node.valid() || !made.range || !target.range) continue;
    if (!learned[made.node.index] || learned[target.node.index]) continue;
    if (target.range->low >= made.range->low && target.range->high <= made.range->high) continue;
    input.diagnostics
        .report(Diag::W0004, use.span,
                fmt::format("values of {}..{} are compared with values of {}..{}, which cannot reach them all",
                            target.range->low, target.range->high, made.range->low, made.range->high))
        .with_help("scale the data to what the net makes, or let it end in another activation");
  }
}

}  // namespace

/// D(x) and D(G(z)), of data in 0..1 and of what ends in `tanh`: D tells them apart by their range. What is made may be
/// wider than the data, but not by just the negative half.
void nets_of_two_ranges(const LintInput& input) {
  const auto apart = [](const Range& made, const Range& data) {
    const bool reached = data.low >= made.low && data.high <= made.high;
    return !reached || (made.low == -made.high && data.low == 0 && data.high == made.high && made.high > 0);
  };
  for (const FunctionContext* function : input.functions) {
    const Graph& graph = function->function.graph;
    const std::vector<bool> learned = learned_in(input, graph);
    const auto known = [](const Uses& use) {
      return use.name.starts_with(kNetUse) && !use.operands.empty() && use.operands[0].node.valid() &&
             use.operands[0].range && std::isfinite(use.operands[0].range->low) &&
             std::isfinite(use.operands[0].range->high);
    };
    std::set<std::string_view> warned;
    for (const Uses& made : function->uses) {
      if (!known(made) || !learned[made.operands[0].node.index]) continue;
      for (const Uses& data : function->uses) {
        if (data.name != made.name || !known(data) || learned[data.operands[0].node.index]) continue;
        const Range &own = *made.operands[0].range, &theirs = *data.operands[0].range;
        if (!apart(own, theirs) || !warned.insert(made.name).second) continue;
        input.diagnostics
            .report(Diag::W0004, made.span,
                    fmt::format("`{}` is given values of {}..{} that a net makes, and data in {}..{}",
                                std::string_view(made.name).substr(kNetUse.size()), own.low, own.high, theirs.low,
                                theirs.high))
            .label(data.span, "data here")
            .with_help("scale the data to what the net makes, or let it end in another activation");
      }
    }
  }
}

void values_outside_the_support(const LintInput& input) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  static constexpr std::array kSupports = {
      Support{"bernoulli_log_prob", "Bernoulli", 0, 0, 1, "scale the data to 0..1"},
      Support{"sigmoid_xent", "sigmoid_xent", 1, 0, 1, "scale the targets to 0..1"},
      Support{"log_normal_log_prob", "LogNormal", 0, 0, kInf,
              "a LogNormal has positive values alone: shift the data, or use Normal"},
  };
  for_each_use(input, [&](const Graph& graph, const Uses& use) {
    out_of_reach(input, graph, use);
    const auto support = std::ranges::find(kSupports, use.name, &Support::function);
    if (support == kSupports.end() || use.operands.size() <= support->operand) return;
    const auto& operand = use.operands[support->operand];
    if (!operand.range || (operand.range->low >= support->low && operand.range->high <= support->high)) return;
    input.diagnostics
        .report(Diag::W0004, use.span,
                fmt::format("{} {} of data in {}..{}", support->written,
                            support->function == support->written ? "loss" : "likelihood", operand.range->low,
                            operand.range->high))
        .with_help(std::string(support->help));
  });
}

/// The first operand is what a net says, the second what is known. Of classes, the other order is a cross entropy.
void operands_swapped(const LintInput& input) {
  struct Ordered {
    std::string_view function, written, help;
    size_t first, second;
  };
  static constexpr std::string_view kBound = "the bound has `kl(q, p)`: the posterior first, then the prior";
  static constexpr std::array kOrdered = {
      Ordered{"sigmoid_xent", "sigmoid_xent", "write `sigmoid_xent(logits, targets)`", 0, 1},
      Ordered{"hinge", "hinge", "write `hinge(scores, labels)`", 0, 1},
      Ordered{"normal_kl", "kl", kBound, 0, 2},
      Ordered{"normal_kl_std", "kl", kBound, 0, 2},
      Ordered{"laplace_kl", "kl", kBound, 0, 2},
      Ordered{"log_normal_kl", "kl", kBound, 0, 2},
      Ordered{"multivariate_normal_kl", "kl", kBound, 0, 4},
  };
  for_each_use(input, [&](const Graph& graph, const Uses& use) {
    const auto rule = std::ranges::find(kOrdered, use.name, &Ordered::function);
    if (rule == kOrdered.end() || use.operands.size() <= rule->second) return;
    const std::vector<bool> learned = learned_in(input, graph);
    const auto from_net = [&](size_t k) {
      const NodeId node = use.operands[k].node;
      return node.valid() && learned[node.index];
    };
    if (from_net(rule->first) || !from_net(rule->second)) return;
    input.diagnostics
        .report(Diag::W0012, use.span,
                fmt::format("the operands of `{}` seem to be in the wrong order: the second one comes from a net, and "
                            "the first one does not",
                            rule->written))
        .with_help(std::string(rule->help));
  });
}

namespace {

constexpr std::array<std::string_view, 4> kScaled = {"Normal", "LogNormal", "TruncatedNormal", "Laplace"};

std::string_view spread_of(const Uses& use) { return use.name == "Laplace" ? "scale" : "standard deviation"; }

/// Whether it is what `relu` gives, in another shape.
const Node* relu_of(const Graph& graph, NodeId id) {
  static constexpr std::array kMoves = {OpKind::Broadcast, OpKind::Transpose, OpKind::Reshape, OpKind::Slice,
                                        OpKind::Cast};
  if (!id.valid()) return nullptr;
  while (std::ranges::find(kMoves, graph[id].op) != kMoves.end()) id = graph[id].inputs[0];
  return graph[id].op == OpKind::Relu ? &graph[id] : nullptr;
}

/// A product with weights, maybe with a bias: any number, negative ones too.
bool is_unbounded(const Graph& graph, NodeId id) {
  id = source_of(graph, id);
  const Node& node = graph[id];
  if (node.op == OpKind::Contract) return true;
  if (node.op != OpKind::Add) return false;
  return is_unbounded(graph, node.inputs[0]) || is_unbounded(graph, node.inputs[1]);
}

}  // namespace

void deviation_or_log_variance(const LintInput& input) {
  static constexpr std::array kPositive = {OpKind::Softplus, OpKind::Exp, OpKind::Sqrt, OpKind::Abs, OpKind::Square};
  for_each_use(input, [&](const Graph& graph, const Uses& use) {
    if (std::ranges::find(kScaled, use.name) == kScaled.end()) return;
    const NodeId given = use.operands.size() > 1 ? use.operands[1].node : NodeId();
    if (!given.valid()) return;
    if (use.by_logvar) {
      const Node& node = graph[shifted_source(graph, given)];
      if (std::ranges::find(kPositive, node.op) == kPositive.end()) return;
      input.diagnostics
          .report(Diag::W0013, use.span,
                  fmt::format("`logvar` is given the result of `{0}`, which is positive: that looks like a standard "
                              "deviation, not like the logarithm of a variance",
                              op_def(node).name))
          .label(node.place(), fmt::format("`{}` here", op_def(node).name))
          .with_help("write `Normal(mean = m, std = s)`, or give `logvar` the output of a layer as it is");
    } else if (is_unbounded(graph, given)) {
      input.diagnostics
          .report(
              Diag::W0013, use.span,
              fmt::format("the {} of this {} is what a layer gives, which may be negative", spread_of(use), use.name))
          .label(graph[source_of(graph, given)].place(), "any number comes out here")
          .with_help(use.name == "Normal" ? "write `Normal(mean = m, logvar = ..)`, or `std = softplus(..)`"
                                          : "make it positive: `softplus(..)`");
    }
  });
}

void deviation_of_zero(const LintInput& input) {
  for_each_use(input, [&](const Graph& graph, const Uses& use) {
    if (use.by_logvar || std::ranges::find(kScaled, use.name) == kScaled.end() || use.operands.size() < 2) return;
    if (const Node* relu = relu_of(graph, use.operands[1].node)) {
      input.diagnostics
          .report(Diag::W0015, use.span,
                  fmt::format("the {} of this {} is the result of `relu`, which is often 0", spread_of(use), use.name))
          .label(relu->place(), "`relu` here")
          .with_help("write `softplus(..)`, which is above 0");
    }
    if (!use.operands[1].number || *use.operands[1].number != 0) return;
    input.diagnostics
        .report(Diag::W0015, use.span,
                fmt::format("a {} with a {} of 0: every draw is its mean, and its density is infinite there", use.name,
                            spread_of(use)))
        .with_help("write the value itself where no noise is meant, else a positive number");
  });
}

}  // namespace smelt::frontend
