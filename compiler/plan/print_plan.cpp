// Prints schedules and plans as plan_text.h describes them, and names what they say.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>

#include "compiler/plan/plan_text.h"
#include "ir/text.h"

namespace smelt {

std::string_view to_string(StoreReason reason) {
  constexpr std::array<std::string_view, 10> kWords = {"in_registers", "result", "sum",      "product_operand",
                                                       "reshaped",     "shared", "repeated", "looped",
                                                       "deep",         "unfused"};
  return kWords[static_cast<size_t>(reason)];
}

std::string_view to_string(SplitReason reason) {
  constexpr std::array<std::string_view, 8> kWords = {"fused",          "own_tiles",   "waits_for_other",
                                                      "sum_in_product", "other_shape", "other_elements",
                                                      "kernel_full",    "loop"};
  return kWords[static_cast<size_t>(reason)];
}

namespace {

std::string numbers(const std::vector<NodeId>& nodes) {
  std::string text;
  for (const NodeId id : nodes) text += fmt::format(" %{}", id.index);
  return text;
}

template <typename Wanted>
std::string part(const char* word, size_t size, const Wanted& wanted) {
  std::vector<NodeId> nodes;
  for (uint32_t i = 0; i < size; ++i) {
    if (wanted(NodeId{i})) nodes.push_back({i});
  }
  return nodes.empty() ? "" : word + numbers(nodes);
}

class PlanPrinter {
 public:
  PlanPrinter(const Graph& graph, const FusionPlan& plan) : graph_(graph), plan_(plan) {}

  std::string run() {
    constexpr std::array<std::string_view, 3> kFusion = {"full", "recompute", "none"};
    out_ = fmt::format("plan {} {{\n", kFusion[static_cast<size_t>(plan_.fusion)]);
    for (uint32_t i = 0; i < graph_.size(); ++i) {
      if (plan_.stored[i]) out_ += store({i});
    }
    line("again", plan_.again);
    line("order", plan_.order);
    line("guards", plan_.guards);
    for (const KernelPlan& one : plan_.kernels) kernel(one);
    return out_ + "}\n";
  }

 private:
  void line(const char* word, const std::vector<NodeId>& nodes) {
    if (!nodes.empty()) out_ += fmt::format("  {}{}\n", word, numbers(nodes));
  }

  std::string store(NodeId id) const {
    std::string text = fmt::format("  store %{} {}", id.index, to_string(plan_.why_stored[id.index]));
    if (!plan_.why_split.empty() && plan_.why_split[id.index] != SplitReason::Fused) {
      text += fmt::format(" split {}", to_string(plan_.why_split[id.index]));
      if (plan_.waits_for[id.index].valid()) text += fmt::format(" %{}", plan_.waits_for[id.index].index);
    }
    return text + "\n";
  }

  void kernel(const KernelPlan& kernel) {
    out_ += fmt::format("  kernel {}", to_string(kernel.outer, graph_.symbols));
    if (kernel.by_columns) out_ += " by columns";
    if (kernel.is_product()) out_ += fmt::format(" product %{}", kernel.product.index);
    if (kernel.scan.valid()) {
      out_ += fmt::format(" loop %{} {{\n{}{}  }}\n", kernel.scan.index, indented(print(kernel.body->graph)),
                          indented(print(kernel.body->graph, kernel.body->plan)));
      return;
    }
    out_ += "\n";
    for (const SweepPlan& sweep : kernel.sweeps)
      out_ += fmt::format("    sweep {}{}\n", to_string(sweep.inner, graph_.symbols), numbers(sweep.nodes));
  }

  const Graph& graph_;
  const FusionPlan& plan_;
  std::string out_;
};

}  // namespace

std::string print(const ScheduledGraph& source) {
  const NodeSchedule& schedule = source.schedule;
  const size_t size = source.graph.size();
  std::vector<std::string> parts;
  if (schedule.deepest_last) parts.emplace_back("deepest last");
  const auto add = [&](std::string text) {
    if (!text.empty()) parts.push_back(std::move(text));
  };
  add(part("late", size, [&](NodeId id) { return schedule.is_late(id); }));
  add(part("again", size, [&](NodeId id) { return !schedule.again.empty() && schedule.again[id.index]; }));
  add(part("rows", size, [&](NodeId id) { return schedule.sum_form(id) == SumForm::Rows; }));
  add(part("columns", size, [&](NodeId id) { return schedule.sum_form(id) == SumForm::Columns; }));
  const std::string text = print(source.graph);
  return parts.empty() ? text : fmt::format("{}schedule {}\n", text, fmt::join(parts, ", "));
}

std::string print(const Graph& graph, const FusionPlan& plan) { return PlanPrinter(graph, plan).run(); }

}  // namespace smelt
