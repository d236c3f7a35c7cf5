// A bound is a sum: of the log-likelihood over what is drawn, and of the KL term over the code. Where one of them is
// averaged over an axis that the other sums, one weighs hundreds of times more than is meant.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "frontend/lints/lint.h"
#include "frontend/shapes.h"
#include "ir/example_axis.h"
#include "ir/experiment.h"

namespace smelt::frontend {

namespace {

struct Reduced {
  Axis axis;
  bool averaged = false;
  Span span;
};

/// A term of a loss and the way from it to the loss.
struct Term {
  const Uses* use = nullptr;
  std::vector<Reduced> reduced;
  bool in_loss = false;
  bool unclear = false;  // divided, or on a way that is not followed
};

class TermWalk {
 public:
  TermWalk(const FunctionContext& loss, NodeId root)
      : loss_(loss),
        graph_(loss.function.graph),
        root_(root),
        users_(users_of(graph_)),
        wanted_(ancestors_of(graph_, root)) {}

  Term follow(const Uses& use) {
    Term term{.use = &use};
    seen_.clear();
    visit(use.result.node, term);
    return term;
  }

 private:
  const Uses* reduction_of(NodeId id) const {
    for (const Uses& use : loss_.uses) {
      const bool reduces = use.name == "mean" || use.name == "sum";
      // The mean of a number is that number, and no step on the way.
      if (reduces && !use.operands.empty() && use.operands[0].node == id && use.result.node.valid() &&
          use.result.node != id && wanted_[use.result.node.index])
        return &use;
    }
    return nullptr;
  }

  void visit(NodeId id, Term& term) {
    if (!wanted_[id.index] || !seen_.insert(id).second) return;
    if (id == root_) {
      term.in_loss = true;
      return;
    }
    const Uses* reduction = reduction_of(id);
    if (reduction != nullptr) {
      for (const Axis& axis : reduction->operands[0].axes) {
        if (std::ranges::find(reduction->result.axes, axis) == reduction->result.axes.end())
          term.reduced.push_back({axis, reduction->name == "mean", reduction->span});
      }
      visit(reduction->result.node, term);
      return;
    }
    for (const NodeId user : users_[id.index]) {
      if (!wanted_[user.index]) continue;
      const Node& node = graph_[user];
      switch (node.op) {
        case OpKind::Add:
        case OpKind::Sub:
        case OpKind::Neg:
        case OpKind::Max:
        case OpKind::Broadcast:
        case OpKind::Cast: visit(user, term); break;
        case OpKind::Mul: visit(user, term), term.unclear |= rescales(node, id); break;
        default: term.unclear = true;
      }
    }
  }

  /// A factor of 10 and more is there to make up for an average.
  bool rescales(const Node& node, NodeId id) const {
    NodeId factor = node.inputs[node.inputs[0] == id ? 1 : 0];
    while (graph_[factor].op == OpKind::Broadcast || graph_[factor].op == OpKind::Cast)
      factor = graph_[factor].inputs[0];
    if (graph_[factor].op == OpKind::Extent) return true;
    const AttrValue* value = graph_[factor].op == OpKind::Constant ? graph_[factor].attrs.find("value") : nullptr;
    const auto* number = value != nullptr ? std::get_if<double>(value) : nullptr;
    return number != nullptr && std::abs(*number) >= 10;
  }

  const FunctionContext& loss_;
  const Graph& graph_;
  NodeId root_;
  std::vector<std::vector<NodeId>> users_;
  std::vector<bool> wanted_;
  std::set<NodeId> seen_;
};

bool is_kl(std::string_view name) { return name.ends_with("_kl") || name.ends_with("_kl_std"); }
bool is_likelihood(std::string_view name) {
  return name.ends_with("_log_prob") || name.ends_with("_log_prob_std") || name == "sigmoid_xent" ||
         name == "softmax_xent" || name == "mse";
}

/// The axes of what a likelihood is of: an axis in front of them counts draws, which are averaged.
Axes axes_of_data(const Uses& use) {
  const bool second = use.name == "sigmoid_xent" || use.name == "softmax_xent";
  const size_t at = second ? 1 : 0;
  return use.operands.size() > at ? use.operands[at].axes : Axes{};
}

/// `mse` averages over all of its axes itself.
Term likelihood_term(TermWalk& walk, const Uses& use) {
  Term term = walk.follow(use);
  if (use.name != "mse" || use.operands.empty()) return term;
  for (const Axis& axis : use.operands[0].axes) term.reduced.push_back({axis, true, use.span});
  return term;
}

const Reduced* find_reduced(const Term& term, const Axis& axis) {
  const auto found = std::ranges::find(term.reduced, axis, &Reduced::axis);
  return found == term.reduced.end() ? nullptr : &*found;
}

void compare(const LintInput& input, const Term& kl, const Term& likelihood) {
  const auto warn = [&](Span span, std::string message, std::string help) {
    input.diagnostics.report(Diag::W0011, span, std::move(message)).with_help(std::move(help));
  };
  const auto name = [&](const Axis& axis) { return input.shapes.axis_text(axis); };
  constexpr std::string_view kKl = "the KL term", kData = "the log-likelihood";
  const Axes data = axes_of_data(*likelihood.use);
  for (const Reduced& own : kl.reduced) {
    const Reduced* other = find_reduced(likelihood, own.axis);
    if (other != nullptr && other->averaged != own.averaged) {
      warn((own.averaged ? *other : own).span,
           fmt::format("{} is summed over {}, and {} is averaged over it", own.averaged ? kData : kKl, name(own.axis),
                       own.averaged ? kKl : kData),
           fmt::format("average both over {0}: `mean(sum(.., over=..))` sums the other axes first", name(own.axis)));
    }
    if (other != nullptr || !own.averaged) continue;
    warn(own.span, fmt::format("the KL term is averaged over {}, and a bound sums it", name(own.axis)),
         fmt::format("write `sum(kl(..), over={})`, then `mean` over the rows", name(own.axis)));
  }
  for (const Reduced& own : likelihood.reduced) {
    const bool shared = find_reduced(kl, own.axis) != nullptr;
    if (shared || !own.averaged || std::ranges::find(data, own.axis) == data.end()) continue;
    warn(own.span, fmt::format("the log-likelihood is averaged over {}, and a bound sums it", name(own.axis)),
         likelihood.use->name == "mse"
             ? fmt::format("write `mean(sum((a - b) ^ 2, over={}))`", name(own.axis))
             : fmt::format("write `sum(.., over={})`, then `mean` over the rows", name(own.axis)));
  }
}

}  // namespace

void terms_averaged_differently(const LintInput& input) {
  for (size_t i = 0; i < input.experiment.objectives.size(); ++i) {
    const FunctionContext* loss = input.loss_of(i);
    if (loss == nullptr) continue;
    NodeId root;
    for (const Output& output : loss->function.graph.results)
      if (output.role == ResultRole::Loss) root = output.node;
    if (!root.valid()) continue;
    TermWalk walk(*loss, root);
    std::vector<Term> kls, likelihoods;
    for (const Uses& use : loss->uses) {
      if (!use.result.node.valid()) continue;
      if (is_kl(use.name)) kls.push_back(walk.follow(use));
      if (is_likelihood(use.name)) likelihoods.push_back(likelihood_term(walk, use));
    }
    for (const Term& kl : kls) {
      for (const Term& likelihood : likelihoods) {
        if (kl.in_loss && likelihood.in_loss && !kl.unclear && !likelihood.unclear) compare(input, kl, likelihood);
      }
    }
  }
}

}  // namespace smelt::frontend
