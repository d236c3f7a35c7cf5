#include "compiler/loops/plan_kernels.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <ranges>

#include "compiler/loops/order_nodes.h"
#include "ir/builder.h"
#include "ir/half_bits.h"
#include "ir/op.h"
#include "ir/support/check.h"

namespace smelt {
namespace {

// Cycles a vector, roughly: what recomputing a value costs against one store and one load.
constexpr int kLoadCost = 1;
constexpr int kCheapCost = 1;
constexpr int kTranscendentalCost = 15;
constexpr int kRandomCost = 80;
constexpr int kStoreIfShared = 10;   // a value with several readers is stored from this cost on
constexpr int kStoreIfRepeated = 3;  // ... and one that a broadcast repeats
constexpr size_t kMaxEpilogue = 8;   // stored values in one product's epilogue
// Values in registers, one made of the other. The planner and the builder of kernels follow them recursively, and LLVM
// takes time that grows with the square of a block. `tanh(x) + 1` applied 2000 times took 21.7 s to compile with its
// gradient without a limit, and takes 4.3 s with this one, as 4000 times do: equal parts are one kernel. Nothing in
// examples/ has 40. Measured with `smelt bench`, nothing cached, in November 2026.
constexpr int kMaxDepth = 64;
constexpr size_t kMaxNest =
    12;  // ... and in one nest: the updates of all biases of a deep net would be one that is slow to compile

int own_cost(const Node& node) {
  const OpDef& op = op_def(node);
  switch (op.kind) {
    case Kind::Elementwise: return op.traits.cheap ? kCheapCost : kTranscendentalCost;
    case Kind::Random: return kRandomCost;
    case Kind::Gather: return 2 * kLoadCost;
    default: return 0;
  }
}

bool is_loop(Kind kind) { return kind == Kind::Scan || kind == Kind::Part; }
bool always_stored(Kind kind) {
  return kind == Kind::Reduce || kind == Kind::Contract || kind == Kind::Scatter || is_loop(kind);
}

/// Which nodes get a buffer, and why.
std::vector<StoreReason> choose_stored(const Graph& graph, Fusion fusion) {
  std::vector<StoreReason> why(graph.size(), StoreReason::InRegisters);
  const auto users = users_of(graph);
  const auto store = [&](NodeId id, StoreReason reason, bool as_table = false) {
    while (graph[id].op == OpKind::Reshape || (!as_table && is_widening(graph, id))) id = graph[id].inputs[0];
    StoreReason& known = why[id.index];
    if (graph[id].op != OpKind::Argument && known == StoreReason::InRegisters) known = reason;
  };
  // A column of data under another shape: a copy would have as many rows as data may have.
  const auto views_argument = [&](NodeId id) {
    const bool is_view = graph[id].op == OpKind::Reshape;
    while (graph[id].op == OpKind::Reshape) id = graph[id].inputs[0];
    return is_view && graph[id].op == OpKind::Argument;
  };
  for (const Output& result : graph.results) {
    why[result.node.index] = StoreReason::Result;
    if (const std::optional<NodeId> copied = copied_by(graph, result)) store(*copied, StoreReason::Shared);
  }
  for (uint32_t i = 0; i < graph.size(); ++i) {
    const Node& node = graph.nodes[i];
    const Kind kind = op_def(node).kind;
    const bool unfused = fusion == Fusion::None && !node.inputs.empty() && !views_argument({i});
    if ((always_stored(kind) || unfused) && why[i] == StoreReason::InRegisters)
      why[i] = is_loop(kind) ? StoreReason::Looped : always_stored(kind) ? StoreReason::Sum : StoreReason::Unfused;
    if (kind == Kind::Contract) {
      for (const NodeId input : node.inputs) store(input, StoreReason::ProductOperand);
    }
    if (kind == Kind::Scan) {
      for (const NodeId input : node.inputs) store(input, StoreReason::Looped, true);
    }
    if (kind == Kind::Gather) store(node.inputs[0], StoreReason::ProductOperand, true);
    if (node.op == OpKind::Cast && is_half(node.type.dtype) && always_stored(op_def(graph[node.inputs[0]]).kind)) {
      store({i}, StoreReason::Shared);  // the sum itself stays in registers
    }
    if (node.op == OpKind::Reshape && !keeps_index(graph, node)) store(node.inputs[0], StoreReason::Reshaped);
  }
  std::vector<int> depth(graph.size(), 0);
  for (uint32_t i = 0; i < graph.size(); ++i) {
    const auto deeper = [&](NodeId input) {
      return why[input.index] == StoreReason::InRegisters ? depth[input.index] : 0;
    };
    for (const NodeId input : graph.nodes[i].inputs) depth[i] = std::max(depth[i], 1 + deeper(input));
    if (depth[i] < kMaxDepth) continue;
    store({i}, StoreReason::Deep);
    depth[i] = 0;
  }
  if (fusion == Fusion::Recompute) return why;
  std::vector<int> cost(graph.size(), 0);
  for (uint32_t i = 0; i < graph.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (op_def(node).kind == Kind::Argument) {
      cost[i] = kLoadCost;
      continue;
    }
    cost[i] = own_cost(node);
    for (const NodeId input : node.inputs)
      cost[i] += why[input.index] != StoreReason::InRegisters ? kLoadCost : cost[input.index];
    if (why[i] != StoreReason::InRegisters) continue;
    const auto store_here = [&](StoreReason reason) {
      if (!is_widening(graph, {i})) {
        why[i] = reason;
        return;
      }
      store(node.inputs[0], reason);  // in half the bytes
      cost[i] = own_cost(node) + kLoadCost;
    };
    if (users[i].size() >= 2 && cost[i] >= kStoreIfShared) store_here(StoreReason::Shared);
    for (const NodeId user : users[i]) {
      const bool repeats = graph[user].op == OpKind::Broadcast && graph[user].type.shape != node.type.shape;
      if (repeats && cost[i] >= kStoreIfRepeated && why[i] == StoreReason::InRegisters)
        store_here(StoreReason::Repeated);
    }
  }
  return why;
}

/// Reads of one stored node: leaves (stored nodes and arguments) and the element of each.
using LeafVisitor = std::function<void(NodeId leaf, const std::optional<Affine>& element)>;

struct Walker {
  const Graph& graph;
  const std::vector<bool>& stored;
  const LeafVisitor& visit;

  void operands(NodeId id, const IndexVector& index) const {
    const Node& node = graph[id];
    if (op_def(node).kind == Kind::Gather) {
      value(node.inputs[1], operand_index(graph, node, 1, index));
      visit(alias_root(graph, stored, node.inputs[0]), std::nullopt);
      return;
    }
    for (size_t k = 0; k < node.inputs.size(); ++k) value(node.inputs[k], operand_index(graph, node, k, index));
  }

  void value(NodeId id, const IndexVector& index) const {
    const Node& node = graph[id];
    if (stored[id.index] || node.op == OpKind::Argument) {
      visit(id, linear_offset(index, node.type.shape));
    } else if (node.op == OpKind::Reshape && !keeps_index(graph, node)) {
      visit(operand_root(graph, stored, id), linear_offset(index, node.type.shape));
    } else if (node.op == OpKind::Reshape) {
      value(node.inputs[0], operand_index(graph, node, 0, index));
    } else {
      operands(id, index);
    }
  }
};

class Planner {
 public:
  Planner(const Graph& graph, Fusion fusion, const NodeSchedule& schedule)
      : graph_(graph), fusion_(fusion), schedule_(schedule) {
    plan_.fusion = fusion;
    plan_.why_stored = choose_stored(graph, fusion);
    for (const StoreReason reason : plan_.why_stored) plan_.stored.push_back(reason != StoreReason::InRegisters);
    plan_.why_split.assign(graph.size(), SplitReason::Fused);
    plan_.waits_for.assign(graph.size(), {});
    plan_.kernel_of.assign(graph.size(), -1);
    sweep_of_.assign(graph.size(), -1);
    plan_.order = order_nodes(graph, schedule);
    for (uint32_t i = 0; i < schedule.again.size(); ++i) {
      if (schedule.again[i]) plan_.again.push_back({i});
    }
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
    } else if (fusion_ == Fusion::None || !join_existing(id)) {
      start_nest(id);
    }
    const int32_t kernel = plan_.kernel_of[id.index];
    if (std::ranges::find(guards_, id) != guards_.end()) plan_.guards.push_back(id);
    record_reads(id, kernel);
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
    plan_.kernels.push_back({.scan = id});
  }

  void start_alone(NodeId id, Kind kind) {
    KernelPlan kernel;
    if (kind == Kind::Contract) {
      kernel.kind = KernelKind::Product;
      kernel.product = id;
      kernel.outer = graph_.type(id).shape;
      kernel.sweeps.push_back({});
    } else {
      // One owner a column: the outer loops run over the columns, each adds up all updates to it.
      const Shape& shape = graph_.type(id).shape;
      kernel.outer.assign(shape.begin() + 1, shape.end());
      kernel.vector_outer = !kernel.outer.empty();
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
      kernel.vector_outer = !kernel.outer.empty() && keeps_last_axis(node) && schedule_.sum_form(id) != SumForm::Rows;
    } else {
      kernel.outer = node.type.shape;
      kernel.vector_outer = kernel.outer.size() == 1;
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
        const bool in_product = plan_.kernels[static_cast<size_t>(k)].kind == KernelKind::Product;
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
    for_each_leaf(id, own_index(id), [&](NodeId leaf, const std::optional<Affine>&) {
      const int32_t kernel = plan_.kernel_of[leaf.index];
      if (kernel < 0) return;
      wait_for(leaf);
      const KernelPlan& plan = plan_.kernels[static_cast<size_t>(kernel)];
      if (plan.kind == KernelKind::Product && fits(id, plan) == SplitReason::Fused) product = std::max(product, kernel);
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
    for_each_leaf(id, own_index(id), [&](NodeId leaf, const std::optional<Affine>&) {
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

  /// Loop variables of the node that is being placed: outer loops first, then the sweep's.
  IndexVector own_index(NodeId id) const {
    const Node& node = graph_[id];
    IndexVector index;
    if (op_def(node).kind != Kind::Reduce) {
      for (size_t axis = 0; axis < node.type.rank(); ++axis) index.push_back(Affine::of(static_cast<int32_t>(axis)));
      return index;
    }
    return reduce_operand_index(node);
  }

  IndexVector reduce_operand_index(const Node& node) const {
    const std::vector<int64_t>& axes = node.attrs.integers("axes");
    IndexVector index;
    int32_t outer = 0, inner = static_cast<int32_t>(node.type.rank());
    for (size_t axis = 0; axis < graph_.type(node.inputs[0]).rank(); ++axis) {
      const bool reduced = std::ranges::find(axes, static_cast<int64_t>(axis)) != axes.end();
      index.push_back(Affine::of(reduced ? inner++ : outer++));
    }
    return index;
  }

  void for_each_leaf(NodeId id, const IndexVector& index, const LeafVisitor& visit) const {
    const Walker walker{graph_, plan_.stored, visit};
    const Node& node = graph_[id];
    switch (op_def(node).kind) {
      case Kind::Reduce: walker.value(node.inputs[0], index); break;
      case Kind::Contract:
      case Kind::Scatter:
        for (const NodeId input : node.inputs) visit(operand_root(graph_, plan_.stored, input), std::nullopt);
        break;
      case Kind::Scan:
        for (const NodeId input : node.inputs) visit(alias_root(graph_, plan_.stored, input), std::nullopt);
        break;
      case Kind::Part: visit(node.inputs[0], std::nullopt); break;
      default:
        if (node.op == OpKind::Reshape && !keeps_index(graph_, node)) {
          visit(operand_root(graph_, plan_.stored, node.inputs[0]), linear_offset(index, node.type.shape));
        } else {
          walker.operands(id, index);
        }
    }
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
    if (kernel.kind == KernelKind::Product) {
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
    if (kind == Kind::Reduce) {
      const SumForm form = schedule_.sum_form(id);
      if (form != SumForm::Any && (form == SumForm::Columns) != kernel.vector_outer) return SplitReason::OtherShape;
      return when(node.type.shape == kernel.outer && (!kernel.vector_outer || keeps_last_axis(node)));
    }
    if (kernel.vector_outer || kernel.outer.empty()) return when(node.type.shape == kernel.outer);
    return when(node.type.rank() >= kernel.outer.size() &&
                std::ranges::equal(kernel.outer, node.type.shape | std::views::take(kernel.outer.size())));
  }

  /// Puts `id` into kernel k when its shape fits and what it reads from k itself is already there at the same point
  /// of the outer loops; else says what is in the way.
  SplitReason join(NodeId id, int32_t k) {
    KernelPlan& kernel = plan_.kernels[static_cast<size_t>(k)];
    if (const SplitReason obstacle = fits(id, kernel); obstacle != SplitReason::Fused) return obstacle;
    const size_t num_outer = kernel.kind == KernelKind::Product ? graph_.type(id).rank() : kernel.outer.size();
    const Shape inner = inner_shape(id, num_outer);
    int32_t sweep = 0;
    bool aligned = true;
    for_each_leaf(id, own_index(id), [&](NodeId leaf, const std::optional<Affine>& element) {
      if (plan_.kernel_of[leaf.index] != k) return;
      const std::optional<int32_t> at = first_sweep_after(leaf, element, inner, kernel);
      if (!at) aligned = false;
      sweep = std::max(sweep, at.value_or(0));
    });
    if (!aligned) return SplitReason::OtherElements;
    if (kernel.kind == KernelKind::Nest) {
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
    const size_t num_outer = kernel.kind == KernelKind::Product ? node.type.rank() : kernel.outer.size();
    const int32_t sweep = sweep_of_[leaf.index];
    IndexVector own;
    for (size_t axis = 0; axis < node.type.rank(); ++axis) own.push_back(Affine::of(static_cast<int32_t>(axis)));
    const bool same_element = *element == linear_offset(own, node.type.shape);
    if (op_def(node).kind == Kind::Reduce) return same_element ? std::optional(sweep + 1) : std::nullopt;
    // The same formula in loops of other lengths names other elements: [4, 1] and [4, 2] are both i + j.
    if (same_element && inner_shape(leaf, num_outer) == inner) return sweep;
    if (kernel.kind == KernelKind::Product || kernel.vector_outer) return std::nullopt;
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
    const IndexVector index = own_index(id);
    for_each_leaf(id, index, [&](NodeId leaf, const std::optional<Affine>& element) {
      const auto variable = argument_variable_.find(leaf);
      if (variable == argument_variable_.end()) return;
      const bool elementwise = op_def(graph_[id]).kind != Kind::Reduce && element &&
                               graph_.type(leaf).shape == graph_.type(id).shape &&
                               *element == linear_offset(index, graph_.type(leaf).shape);
      reads_[variable->second].push_back({kernel, elementwise});
    });
  }

  const Graph& graph_;
  const Fusion fusion_;
  const NodeSchedule& schedule_;
  FusionPlan plan_;
  std::vector<int32_t> sweep_of_;
  std::vector<NodeId> guards_;
  std::map<NodeId, int32_t> variable_of_;        // Variable results
  std::map<NodeId, int32_t> argument_variable_;  // Variable arguments
  std::map<int32_t, std::vector<Read>> reads_;   // by variable
};

}  // namespace

FusionPlan plan_kernels(const Graph& graph, Fusion fusion, const NodeSchedule& schedule) {
  return Planner(graph, fusion, schedule).run();
}

std::string print(const Graph& graph, const FusionPlan& plan) {
  std::string out = fmt::format("func @{}\n", graph.name);
  for (size_t k = 0; k < plan.kernels.size(); ++k) {
    const KernelPlan& kernel = plan.kernels[k];
    out += fmt::format("  kernel {} {}{}\n", k, to_string(kernel.outer, graph.symbols),
                       kernel.kind == KernelKind::Product ? " product" : "");
    if (kernel.scan.valid()) out += fmt::format("    %{} = scan\n", kernel.scan.index);
    if (kernel.product.valid()) out += fmt::format("    %{} = contract\n", kernel.product.index);
    for (const SweepPlan& sweep : kernel.sweeps) {
      if (sweep.nodes.empty()) continue;
      out += fmt::format("    sweep {}:", to_string(sweep.inner, graph.symbols));
      for (const NodeId id : sweep.nodes) out += fmt::format(" %{} {}", id.index, op_def(graph[id]).name);
      out += "\n";
    }
    for (const NodeId guard : plan.guards) {
      if (static_cast<int32_t>(k) == plan.kernel_of[guard.index])
        out += fmt::format("    stop here unless %{} is finite\n", guard.index);
    }
  }
  return out;
}

}  // namespace smelt
