// Reads schedules and plans as plan_text.h describes them.
#include "compiler/plan/plan_text.h"
#include "ir/op.h"
#include "ir/text.h"
#include "ir/text_reader.h"

namespace smelt {
namespace {

class PlanReader : TextReader {
 public:
  PlanReader(TextScanner& scanner, std::string_view text, const Graph& graph)
      : TextReader(scanner), text_(text), graph_(graph) {}

  Result<NodeSchedule> read_schedule() {
    NodeSchedule schedule;
    do {
      if (scanner_.take("deepest last")) {
        schedule.deepest_last = true;
      } else if (scanner_.take("late")) {
        SMELT_TRY(schedule.late, read_flags());
      } else if (scanner_.take("again")) {
        SMELT_TRY(schedule.again, read_flags());
      } else if (scanner_.take("rows")) {
        SMELT_TRY_VOID(read_forms(schedule, SumForm::Rows));
      } else if (scanner_.take("columns")) {
        SMELT_TRY_VOID(read_forms(schedule, SumForm::Columns));
      } else {
        return unexpected("`deepest last`, `late`, `again`, `rows` or `columns`");
      }
    } while (scanner_.take(","));
    return schedule;
  }

  Result<FusionPlan> read() {
    SMELT_TRY_VOID(expect("plan"));
    SMELT_TRY_VOID(read_fusion());
    SMELT_TRY_VOID(expect("{"));
    plan_.stored.assign(graph_.size(), false);
    plan_.kernel_of.assign(graph_.size(), -1);
    plan_.why_stored.assign(graph_.size(), StoreReason::InRegisters);
    plan_.why_split.assign(graph_.size(), SplitReason::Fused);
    plan_.waits_for.assign(graph_.size(), {});
    while (scanner_.take("store")) SMELT_TRY_VOID(read_store());
    if (scanner_.take("again")) {
      SMELT_TRY(plan_.again, read_nodes());
    }
    if (scanner_.take("order")) {
      SMELT_TRY(plan_.order, read_nodes());
    }
    if (scanner_.take("guards")) {
      SMELT_TRY(plan_.guards, read_nodes());
    }
    while (scanner_.take("kernel")) SMELT_TRY_VOID(read_kernel());
    SMELT_TRY_VOID(expect("}"));
    place_parts();
    return std::move(plan_);
  }

 private:
  Result<NodeId> read_node() {
    SMELT_TRY_VOID(expect("%"));
    SMELT_TRY(const int32_t number, read_index());
    if (static_cast<uint32_t>(number) >= graph_.size()) return wrong("no node %{}", number);
    return NodeId{static_cast<uint32_t>(number)};
  }

  bool has_node() const { return scanner_.next().starts_with("%"); }

  Result<std::vector<NodeId>> read_nodes() {
    std::vector<NodeId> nodes;
    while (has_node()) {
      SMELT_TRY(const NodeId id, read_node());
      nodes.push_back(id);
    }
    return nodes;
  }

  Result<std::vector<bool>> read_flags() {
    SMELT_TRY(const std::vector<NodeId> nodes, read_nodes());
    std::vector<bool> flags(graph_.size(), false);
    for (const NodeId id : nodes) flags[id.index] = true;
    return flags;
  }

  Result<void> read_forms(NodeSchedule& schedule, SumForm form) {
    SMELT_TRY(const std::vector<NodeId> nodes, read_nodes());
    schedule.sum_forms.resize(graph_.size(), SumForm::Any);
    for (const NodeId id : nodes) schedule.sum_forms[id.index] = form;
    return {};
  }

  Result<void> read_fusion() {
    if (scanner_.take("full")) {
      plan_.fusion = Fusion::Full;
    } else if (scanner_.take("recompute")) {
      plan_.fusion = Fusion::Recompute;
    } else {
      SMELT_TRY_VOID(expect("none"));
      plan_.fusion = Fusion::None;
    }
    return {};
  }

  template <typename Reason>
  Result<Reason> read_reason(Reason last) {
    const std::string_view word = scanner_.word();
    for (uint8_t r = 0; r <= static_cast<uint8_t>(last); ++r) {
      if (to_string(static_cast<Reason>(r)) == word) return static_cast<Reason>(r);
    }
    return wrong("no reason `{}`", word);
  }

  Result<void> read_store() {
    SMELT_TRY(const NodeId id, read_node());
    plan_.stored[id.index] = true;
    SMELT_TRY(plan_.why_stored[id.index], read_reason(StoreReason::Unfused));
    if (!scanner_.take("split")) return {};
    SMELT_TRY(plan_.why_split[id.index], read_reason(SplitReason::Loop));
    if (has_node()) {
      SMELT_TRY(plan_.waits_for[id.index], read_node());
    }
    return {};
  }

  Result<Shape> read_shape() {
    SMELT_TRY_VOID(expect("["));
    Shape shape;
    if (scanner_.take("]")) return shape;
    do {
      SMELT_TRY(const Extent extent, read_extent(graph_.symbols));
      shape.push_back(extent);
    } while (scanner_.take(","));
    SMELT_TRY_VOID(expect("]"));
    return shape;
  }

  Result<void> read_kernel() {
    const auto number = static_cast<int32_t>(plan_.kernels.size());
    KernelPlan kernel;
    SMELT_TRY(kernel.outer, read_shape());
    kernel.by_columns = scanner_.take("by columns");
    if (scanner_.take("product")) {
      SMELT_TRY(kernel.product, read_node());
      plan_.kernel_of[kernel.product.index] = number;
    }
    if (scanner_.take("loop")) {
      SMELT_TRY(kernel.scan, read_node());
      plan_.kernel_of[kernel.scan.index] = number;
      SMELT_TRY_VOID(expect("{"));
      SMELT_TRY(Graph body, read_graph(scanner_, text_));
      SMELT_TRY(FusionPlan plan, PlanReader(scanner_, text_, body).read());
      kernel.body = std::make_shared<const PlannedBody>(PlannedBody{std::move(body), std::move(plan)});
      SMELT_TRY_VOID(expect("}"));
    }
    while (scanner_.take("sweep")) {
      SweepPlan sweep;
      SMELT_TRY(sweep.inner, read_shape());
      SMELT_TRY(sweep.nodes, read_nodes());
      for (const NodeId id : sweep.nodes) plan_.kernel_of[id.index] = number;
      kernel.sweeps.push_back(std::move(sweep));
    }
    plan_.kernels.push_back(std::move(kernel));
    return {};
  }

  /// The parts of a loop come from where the loop is.
  void place_parts() {
    for (uint32_t i = 0; i < graph_.size(); ++i) {
      const Node& node = graph_.nodes[i];
      if (node.op == OpKind::Part) plan_.kernel_of[i] = plan_.kernel_of[node.inputs[0].index];
    }
  }

  const std::string_view text_;
  const Graph& graph_;
  FusionPlan plan_;
};

}  // namespace

Result<ScheduledGraph> read_source(TextScanner& scanner, std::string_view text) {
  ScheduledGraph source;
  SMELT_TRY(source.graph, read_graph(scanner, text));
  if (scanner.take("schedule")) {
    SMELT_TRY(source.schedule, PlanReader(scanner, text, source.graph).read_schedule());
  }
  return source;
}

Result<FusionPlan> read_plan(TextScanner& scanner, std::string_view text, const Graph& graph) {
  return PlanReader(scanner, text, graph).read();
}

}  // namespace smelt
