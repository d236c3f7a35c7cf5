#include <fmt/format.h>

#include "compiler/plan/fusion_plan.h"

namespace smelt {
namespace {

class PlanVerifier {
 public:
  PlanVerifier(const Graph& graph, const FusionPlan& plan) : graph_(graph), plan_(plan) {}

  std::vector<std::string> run() {
    if (plan_.stored.size() != graph_.size() || plan_.why_stored.size() != graph_.size())
      return {"the plan is one of another graph"};
    if (!plan_.order.empty()) check_order();
    if (!plan_.kernels.empty()) check_kernels();
    return std::move(violations_);
  }

 private:
  template <typename... Args>
  void violation(fmt::format_string<Args...> format, Args&&... args) {
    violations_.push_back(fmt::format(format, std::forward<Args>(args)...));
  }

  void check_order() {
    std::vector<bool> done(graph_.size(), false);
    for (const NodeId id : plan_.order) {
      for (const NodeId input : graph_[id].inputs) {
        if (!done[input.index]) violation("%{} is computed before its operand %{}", id.index, input.index);
      }
      if (done[id.index]) violation("%{} is in the order twice", id.index);
      done[id.index] = true;
    }
    if (plan_.order.size() != graph_.size())
      violation("the order has {} of {} nodes", plan_.order.size(), graph_.size());
  }

  void check_kernels() {
    std::vector<int> kernels(graph_.size(), 0);
    for (const KernelPlan& kernel : plan_.kernels) {
      if (kernel.is_product()) ++kernels[kernel.product.index];
      if (kernel.scan.valid()) ++kernels[kernel.scan.index];
      if (kernel.scan.valid() != (kernel.body != nullptr)) violation("a loop without a planned body");
      for (const SweepPlan& sweep : kernel.sweeps) {
        for (const NodeId id : sweep.nodes) ++kernels[id.index];
      }
    }
    for (uint32_t i = 0; i < graph_.size(); ++i) {
      if (graph_.nodes[i].op == OpKind::Part) continue;
      const int wanted = plan_.stored[i] ? 1 : 0;
      if (kernels[i] != wanted) violation("%{} is in {} kernels, not in {}", i, kernels[i], wanted);
    }
  }

  const Graph& graph_;
  const FusionPlan& plan_;
  std::vector<std::string> violations_;
};

}  // namespace

std::vector<std::string> verify(const Graph& graph, const FusionPlan& plan) { return PlanVerifier(graph, plan).run(); }

}  // namespace smelt
