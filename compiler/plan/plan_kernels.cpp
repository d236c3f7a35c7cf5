#include "compiler/plan/plan_kernels.h"

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <ranges>

#include "compiler/plan/choose_stored.h"
#include "compiler/plan/index_walk.h"
#include "compiler/plan/isolate_results.h"
#include "compiler/plan/leaf_reads.h"
#include "compiler/plan/move_sums_up.h"
#include "compiler/plan/order_nodes.h"
#include "ir/op.h"
#include "ir/support/check.h"

namespace smelt {
namespace {

// Terms of a row that fill no vector of the widest machines: 3 of 16 lanes, 4.6 ms a depthwise layer of 16 x 64 x 32 x
// 32, and 0.25 side by side (`smelt profile` on AVX-512, November 2026).
constexpr int64_t kShortSum = 16;

constexpr size_t kMaxEpilogue = 8;  // stored values in one product's epilogue
constexpr size_t kMaxNest =
    12;  // ... and in one nest: the updates of all biases of a deep net would be one that is slow to compile

class Planner {
 public:
  Planner(const Graph& graph, const NodeSchedule& schedule, FusionPlan plan)
      : graph_(graph), schedule_(schedule), plan_(std::move(plan)) {
    plan_.why_split.assign(graph.size(), SplitReason::Fused);
    plan_.waits_for.assign(graph.size(), {});
    plan_.kernel_of.assign(graph.size(), -1);
    sweep_of_.assign(graph.size(), -1);
  }

  FusionPlan run() {
    for (const Output& result : graph_.results) {
      if (guards(result)) guards_.push_back(result.node);
      if (result.role == ResultRole::Variable) variable_of_[result.node] = result.ref;
    }
    for (const Argument& argument : graph_.arguments) {
      if (argument.role == ArgRole::Variable) argument_variable_[argument.node] = argument.ref;
    }
    for (const NodeId id : plan_.order) {
      if (plan_.stored[id.index]) place(id);
    }
    return std::move(plan_);
  }

 private:
  struct Read {
    int32_t kernel;
    bool aligned;  // at the element that is being written
  };

  void place(NodeId id) {
    const Kind kind = op_def(graph_[id]).kind;
    if (kind == Kind::Contract || kind == Kind::Scatter) {
      start_alone(id, kind);
      plan_.why_split[id.index] = SplitReason::OwnTiles;
    } else if (is_loop(kind)) {
      place_loop(id);
    } else if (plan_.fusion == Fusion::None || !join_existing(id)) {
      start_nest(id);
    }
    const int32_t kernel = plan_.kernel_of[id.index];
    if (std::ranges::find(guards_, id) != guards_.end()) plan_.guards.push_back(id);
    record_reads(id, kernel);
  }

  /// A carry is a variable of the body, which overwrites it once everything has read what the step before left.
  std::shared_ptr<const PlannedBody> plan_body(Graph body) const {
    for (Argument& argument : body.arguments)
      argument.role = argument.role == ArgRole::Carry ? ArgRole::Variable : ArgRole::Feed;
    for (Output& result : body.results)
      result.role = result.role == ResultRole::Carry ? ResultRole::Variable : ResultRole::Value;
    body = isolate_results(std::move(body));
    FusionPlan plan = make_plan(body, plan_.fusion);
    return std::make_shared<const PlannedBody>(PlannedBody{std::move(body), std::move(plan)});
  }

  /// A loop is a step of its own, which its results come from.
  void place_loop(NodeId id) {
    plan_.why_split[id.index] = SplitReason::Loop;
    sweep_of_[id.index] = 0;
    if (graph_[id].op == OpKind::Part) {
      plan_.kernel_of[id.index] = plan_.kernel_of[graph_[id].inputs[0].index];
      return;
    }
    plan_.kernel_of[id.index] = static_cast<int32_t>(plan_.kernels.size());
    plan_.kernels.push_back({.scan = id, .body = plan_body(*graph_[id].body)});
  }

  void start_alone(NodeId id, Kind kind) {
    KernelPlan kernel;
    if (kind == Kind::Contract) {
      kernel.product = id;
      kernel.outer = graph_.type(id).shape;
      kernel.sweeps.push_back({});
    } else {
      // One owner a column: the outer loops run over the columns, each adds up all updates to it.
      const size_t row = row_axis(graph_[id]);
      kernel.outer = graph_.type(id).shape;
      kernel.outer.erase(kernel.outer.begin() + static_cast<ptrdiff_t>(row));
      kernel.by_columns = kernel.outer.size() > row;
      kernel.sweeps.push_back({.inner = {}, .nodes = {id}});
    }
    plan_.kernel_of[id.index] = static_cast<int32_t>(plan_.kernels.size());
    sweep_of_[id.index] = 0;
    plan_.kernels.push_back(std::move(kernel));
  }

  void start_nest(NodeId id) {
    KernelPlan kernel;
    const Node& node = graph_[id];
    if (op_def(node).kind == Kind::Reduce) {
      kernel.outer = node.type.shape;
      kernel.by_columns = runs_by_columns(id);
    } else {
      kernel.outer = node.type.shape;
      kernel.by_columns = kernel.outer.size() == 1;
      if (kernel.outer.size() > 1) kernel.outer.pop_back();
    }
    plan_.kernels.push_back(std::move(kernel));
    const SplitReason obstacle = join(id, static_cast<int32_t>(plan_.kernels.size()) - 1);
    SMELT_CHECK(obstacle == SplitReason::Fused, "node {} does not fit its own kernel", id.index);
  }

  bool keeps_last_axis(const Node& reduce) const {
    const int64_t last = static_cast<int64_t>(graph_.type(reduce.inputs[0]).rank()) - 1;
    return std::ranges::find(reduce.attrs.integers("axes"), last) == reduce.attrs.integers("axes").end();
  }

  bool runs_by_columns(NodeId reduce) const {
    const Node& node = graph_[reduce];
    const SumForm form = schedule_.sum_form(reduce);
    if (node.type.rank() == 0 || form == SumForm::Rows) return false;
    if (form == SumForm::Columns || keeps_last_axis(node)) return true;
    const auto [known, is_new] = lies_in_columns_.try_emplace(reduce);
    if (is_new) known->second = lies_in_columns(reduce);
    return known->second;
  }

  /// Whatever the order of the operand's axes is: neighbouring sums read neighbouring elements, and the terms of a sum
  /// lie apart. A formula has its summed indices last, `m[n, d] = max[t] x[n, t, d]`. Windows that slide, `k[u] * x[i +
  /// u]`, lie side by side too, and their sums have no lanes to add up; not where neighbours are read backwards, `x[u -
  /// i]`.
  bool lies_in_columns(NodeId reduce) const {
    const Node& node = graph_[reduce];
    const auto last_outer = static_cast<int32_t>(node.type.rank()) - 1;
    const auto last_inner = last_outer + static_cast<int32_t>(node.attrs.integers("axes").size());
    const bool is_short = inner_shape(reduce, 0).back().bound < kShortSum;
    bool beside = false, along = false;  // what is the same for neighbours is along in neither
    for_each_leaf(reduce, [&](NodeId, const std::optional<Affine>& element) {
      const int64_t down = element ? std::abs(element->coefficient(last_inner)) : 1;
      const int64_t across = element ? element->coefficient(last_outer) : -2;
      const bool neighbours = std::abs(across) == 1, slides = across == 1 && down == 1;
      along = along || (down == 1 && across != 0 && !neighbours);
      beside = beside || slides || (neighbours && (down > 1 || is_short));
    });
    return beside && !along;
  }

  bool join_existing(NodeId id) {
    const int32_t earliest = earliest_kernel(id);
    const auto num_kernels = static_cast<int32_t>(plan_.kernels.size());
    if (earliest < 0) return false;  // reads nothing computed: a kernel of its own keeps it close to its readers
    note_waiting(id, earliest);
    const int32_t first = schedule_.is_late(id) ? std::max(earliest, num_kernels - 1) : earliest;
    for (int32_t k = first; k < num_kernels; ++k) {
      const SplitReason obstacle = join(id, k);
      SplitReason& noted = plan_.why_split[id.index];
      if (obstacle == SplitReason::Fused) {
        const bool in_product = plan_.kernels[static_cast<size_t>(k)].is_product();
        if (in_product || noted != SplitReason::WaitsForOther) noted = SplitReason::Fused;
        return true;
      }
      if (noted == SplitReason::Fused) noted = obstacle;
    }
    return false;
  }

  /// Notes when `id` reads a product whose epilogue it would fit, but has to wait for another value, or for what must
  /// be finite before anything is committed.
  void note_waiting(NodeId id, int32_t earliest) {
    NodeId last;
    int32_t last_kernel = -1, product = -1;
    const auto wait_for = [&](NodeId value) {
      const int32_t kernel = plan_.kernel_of[value.index];
      if (kernel <= last_kernel) return;
      last = value;
      last_kernel = kernel;
    };
    for_each_leaf(id, [&](NodeId leaf, const std::optional<Affine>&) {
      const int32_t kernel = plan_.kernel_of[leaf.index];
      if (kernel < 0) return;
      wait_for(leaf);
      const KernelPlan& plan = plan_.kernels[static_cast<size_t>(kernel)];
      if (plan.is_product() && fits(id, plan) == SplitReason::Fused) product = std::max(product, kernel);
    });
    if (product < 0 || product >= earliest) return;
    if (variable_of_.contains(id)) std::ranges::for_each(plan_.guards, wait_for);
    if (last_kernel <= product) return;
    plan_.why_split[id.index] = SplitReason::WaitsForOther;
    plan_.waits_for[id.index] = last;
  }

  /// The first kernel in which `id` may be computed, by its operands, and by the readers of what it overwrites.
  int32_t earliest_kernel(NodeId id) {
    int32_t earliest = -1;
    for_each_leaf(id, [&](NodeId leaf, const std::optional<Affine>&) {
      earliest = std::max(earliest, plan_.kernel_of[leaf.index]);
    });
    const auto variable = variable_of_.find(id);
    if (variable == variable_of_.end()) return earliest;
    for (const NodeId guard : plan_.guards) {
      earliest = std::max(earliest, plan_.kernel_of[guard.index] + 1);
    }
    for (const Read& read : reads_[variable->second]) {
      earliest = std::max(earliest, read.kernel + (read.aligned ? 0 : 1));
    }
    return earliest;
  }

  void for_each_leaf(NodeId id, const LeafVisitor& visit) const {
    smelt::for_each_leaf(graph_, plan_.stored, id, visit);
  }

  Shape inner_shape(NodeId id, size_t num_outer) const {
    const Node& node = graph_[id];
    if (op_def(node).kind != Kind::Reduce) {
      return {node.type.shape.begin() + static_cast<ptrdiff_t>(num_outer), node.type.shape.end()};
    }
    Shape inner;
    std::vector<int64_t> axes = node.attrs.integers("axes");
    std::ranges::sort(axes);
    for (const int64_t axis : axes) inner.push_back(graph_.type(node.inputs[0]).shape[static_cast<size_t>(axis)]);
    return inner;
  }

  SplitReason fits(NodeId id, const KernelPlan& kernel) const {
    const Node& node = graph_[id];
    const Kind kind = op_def(node).kind;
    const auto when = [](bool fits) { return fits ? SplitReason::Fused : SplitReason::OtherShape; };
    if (kernel.is_product()) {
      if (kind == Kind::Reduce) return SplitReason::SumInProduct;
      if (node.type.shape != kernel.outer) return SplitReason::OtherShape;
      return kernel.sweeps[0].nodes.size() < kMaxEpilogue ? SplitReason::Fused : SplitReason::KernelFull;
    }
    if (kernel.scan.valid()) return SplitReason::Loop;
    if (!kernel.sweeps.empty() && op_def(graph_[kernel.sweeps[0].nodes[0]]).kind == Kind::Scatter)
      return SplitReason::OwnTiles;
    size_t values = 0;
    for (const SweepPlan& sweep : kernel.sweeps) values += sweep.nodes.size();
    if (values >= kMaxNest) return SplitReason::KernelFull;
    // A sum down the columns, in a nest that goes row by row, would take one element of a line of the cache at a time.
    if (kind == Kind::Reduce) return when(node.type.shape == kernel.outer && runs_by_columns(id) == kernel.by_columns);
    if (kernel.by_columns || kernel.outer.empty()) return when(node.type.shape == kernel.outer);
    return when(node.type.rank() >= kernel.outer.size() &&
                std::ranges::equal(kernel.outer, node.type.shape | std::views::take(kernel.outer.size())));
  }

  /// Puts `id` into kernel k when its shape fits and what it reads from k itself is already there at the same point
  /// of the outer loops; else says what is in the way.
  SplitReason join(NodeId id, int32_t k) {
    KernelPlan& kernel = plan_.kernels[static_cast<size_t>(k)];
    if (const SplitReason obstacle = fits(id, kernel); obstacle != SplitReason::Fused) return obstacle;
    const size_t num_outer = kernel.is_product() ? graph_.type(id).rank() : kernel.outer.size();
    const Shape inner = inner_shape(id, num_outer);
    int32_t sweep = 0;
    bool aligned = true;
    for_each_leaf(id, [&](NodeId leaf, const std::optional<Affine>& element) {
      if (plan_.kernel_of[leaf.index] != k) return;
      const std::optional<int32_t> at = first_sweep_after(leaf, element, inner, kernel);
      if (!at) aligned = false;
      sweep = std::max(sweep, at.value_or(0));
    });
    if (!aligned) return SplitReason::OtherElements;
    if (!kernel.is_product()) {
      auto at = std::find_if(kernel.sweeps.begin() + sweep, kernel.sweeps.end(),
                             [&](const SweepPlan& plan) { return plan.inner == inner; });
      // A variable may only be overwritten after earlier sweeps have read it.
      if (variable_of_.contains(id) && at != kernel.sweeps.end() && at + 1 != kernel.sweeps.end())
        at = kernel.sweeps.end();
      sweep = static_cast<int32_t>(at - kernel.sweeps.begin());
      if (at == kernel.sweeps.end()) kernel.sweeps.push_back({.inner = inner, .nodes = {}});
    }
    kernel.sweeps[static_cast<size_t>(sweep)].nodes.push_back(id);
    plan_.kernel_of[id.index] = k;
    sweep_of_[id.index] = sweep;
    return SplitReason::Fused;
  }

  /// The first sweep of `kernel` in which a node with the loops `inner` may read `element` of `leaf`, which the same
  /// kernel computes; nullopt when another point of the outer loops would have to have run.
  std::optional<int32_t> first_sweep_after(NodeId leaf, const std::optional<Affine>& element, const Shape& inner,
                                           const KernelPlan& kernel) const {
    if (!element) return std::nullopt;
    const Node& node = graph_[leaf];
    const size_t num_outer = kernel.is_product() ? node.type.rank() : kernel.outer.size();
    const int32_t sweep = sweep_of_[leaf.index];
    IndexVector own;
    for (size_t axis = 0; axis < node.type.rank(); ++axis) own.push_back(Affine::of(static_cast<int32_t>(axis)));
    const bool same_element = *element == linear_offset(own, node.type.shape);
    if (op_def(node).kind == Kind::Reduce) return same_element ? std::optional(sweep + 1) : std::nullopt;
    // The same formula in loops of other lengths names other elements: [4, 1] and [4, 2] are both i + j.
    if (same_element && inner_shape(leaf, num_outer) == inner) return sweep;
    if (kernel.is_product() || kernel.by_columns) return std::nullopt;
    // Another element of the same row: its sweep must have finished.
    const std::vector<int64_t> strides = row_major_strides(node.type.shape);
    for (size_t axis = 0; axis < num_outer; ++axis) {
      if (element->coefficient(static_cast<int32_t>(axis)) != strides[axis]) return std::nullopt;
    }
    const int64_t row = num_outer == 0 ? std::numeric_limits<int64_t>::max() : strides[num_outer - 1];
    return stays_within_row(*element, row, num_outer, inner) ? std::optional(sweep + 1) : std::nullopt;
  }

  /// Whether no iteration of the inner loops leaves the row, those that a mask leaves out among them: what lies one row
  /// on and one column back has an offset within the row's size too.
  static bool stays_within_row(const Affine& element, int64_t row_size, size_t num_outer, const Shape& inner) {
    int64_t first = element.constant, last = element.constant;
    for (const auto& [loop, coefficient] : element.terms) {
      if (static_cast<size_t>(loop) < num_outer) continue;
      const int64_t reach = coefficient * (inner[static_cast<size_t>(loop) - num_outer].bound - 1);
      (reach < 0 ? first : last) += reach;
    }
    return first >= 0 && last < row_size;
  }

  void record_reads(NodeId id, int32_t kernel) {
    const IndexVector index = loop_indices(graph_, id);
    for_each_leaf(id, [&](NodeId leaf, const std::optional<Affine>& element) {
      const auto variable = argument_variable_.find(leaf);
      if (variable == argument_variable_.end()) return;
      const bool elementwise = op_def(graph_[id]).kind != Kind::Reduce && element &&
                               graph_.type(leaf).shape == graph_.type(id).shape &&
                               *element == linear_offset(index, graph_.type(leaf).shape);
      reads_[variable->second].push_back({kernel, elementwise});
    });
  }

  const Graph& graph_;
  const NodeSchedule& schedule_;
  FusionPlan plan_;
  std::vector<int32_t> sweep_of_;
  mutable std::map<NodeId, bool> lies_in_columns_;  // of reductions over the last axis
  std::vector<NodeId> guards_;
  std::map<NodeId, int32_t> variable_of_;        // Variable results
  std::map<NodeId, int32_t> argument_variable_;  // Variable arguments
  std::map<int32_t, std::vector<Read>> reads_;   // by variable
};

}  // namespace

FusionPlan plan_kernels(const Graph& graph, const NodeSchedule& schedule, FusionPlan plan) {
  return Planner(graph, schedule, std::move(plan)).run();
}

FusionPlan make_plan(const Graph& graph, Fusion fusion, const NodeSchedule& schedule) {
  FusionPlan plan = order_nodes(graph, schedule, choose_stored(graph, schedule, fusion));
  return plan_kernels(graph, schedule, move_sums_up(graph, schedule, std::move(plan)));
}

}  // namespace smelt
