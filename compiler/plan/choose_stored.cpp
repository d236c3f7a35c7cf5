#include "compiler/plan/choose_stored.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "compiler/plan/index_walk.h"
#include "compiler/plan/order_nodes.h"
#include "ir/half_bits.h"
#include "ir/op.h"

namespace smelt {

bool is_loop(Kind kind) { return kind == Kind::Scan || kind == Kind::Part; }

bool is_always_stored(Kind kind) {
  return kind == Kind::Reduce || kind == Kind::Contract || kind == Kind::Scatter || is_loop(kind);
}

namespace {

// Cycles a vector, roughly: what recomputing a value costs against one store and one load.
constexpr int kLoadCost = 1;
constexpr int kCheapCost = 1;
constexpr int kTranscendentalCost = 15;
constexpr int kRandomCost = 80;
constexpr int kStoreIfShared = 10;   // a value with several readers is stored from this cost on
constexpr int kStoreIfRepeated = 3;  // ... and one whose elements a reader repeats
// Values in registers, one made of the other. The planner and the builder of kernels follow them recursively, and LLVM
// takes time that grows with the square of a block. `tanh(x) + 1` applied 2000 times took 21.7 s to compile with its
// gradient without a limit, and takes 4.3 s with this one, as 4000 times do: equal parts are one kernel. Nothing in
// examples/ has 40. Measured with `smelt bench`, nothing cached, in November 2026.
constexpr int kMaxDepth = 64;

int own_cost(const Node& node) {
  const OpDef& op = op_def(node);
  switch (op.kind) {
    case Kind::Elementwise: return op.traits.cheap ? kCheapCost : kTranscendentalCost;
    case Kind::Random: return kRandomCost;
    case Kind::Gather: return 2 * kLoadCost;
    default: return 0;
  }
}

/// A transposition of which few rows are read is not worth a copy.
NodeId table_to_store(const Graph& graph, const Node& gather) {
  constexpr int64_t kFew = 4;  // reads across lines of a cache cost so much more than those along them
  NodeId table = gather.inputs[0];
  const int64_t read = num_elements(gather.type.shape).value_or(INT64_MAX / kFew);
  if (read * kFew > num_elements(graph.type(table).shape).value_or(0)) return table;
  while (is_reordering(graph, table)) table = graph[table].inputs[0];
  return table;
}

/// Whether `user` reads elements of `id` several times: a broadcast, windows of a pool that overlap.
bool repeats(const Graph& graph, NodeId id, NodeId user) {
  const Node& node = graph[user];
  if (node.op == OpKind::Broadcast) return node.type.shape != graph.type(id).shape;
  return node.op == OpKind::Read && num_elements(node.type.shape) > num_elements(graph.type(id).shape);
}

/// Which nodes get a buffer, and why.
class StoreReasons {
 public:
  explicit StoreReasons(const Graph& graph) : graph_(graph), why_(graph.size(), StoreReason::InRegisters) {}

  std::vector<StoreReason> choose(Fusion fusion) && {
    store_results();
    for (uint32_t i = 0; i < graph_.size(); ++i) store_by_kind({i}, fusion);
    store_deep();
    if (fusion != Fusion::Recompute) store_costly();
    return std::move(why_);
  }

 private:
  void store(NodeId id, StoreReason reason, bool as_table = false) {
    while (graph_[id].op == OpKind::Reshape || (!as_table && is_widening(graph_, id))) id = graph_[id].inputs[0];
    StoreReason& known = why_[id.index];
    if (graph_[id].op != OpKind::Argument && known == StoreReason::InRegisters) known = reason;
  }

  /// A column of data under another shape: a copy would have as many rows as data may have.
  bool views_argument(NodeId id) const {
    const bool is_view = graph_[id].op == OpKind::Reshape;
    while (graph_[id].op == OpKind::Reshape) id = graph_[id].inputs[0];
    return is_view && graph_[id].op == OpKind::Argument;
  }

  void store_results() {
    for (const Output& result : graph_.results) {
      why_[result.node.index] = StoreReason::Result;
      if (const std::optional<NodeId> copied = copied_by(graph_, result)) store(*copied, StoreReason::Shared);
    }
  }

  /// What the node is, and what it needs of its operands.
  void store_by_kind(NodeId id, Fusion fusion) {
    const Node& node = graph_[id];
    const Kind kind = op_def(node).kind;
    StoreReason& why = why_[id.index];
    const bool unfused = fusion == Fusion::None && !node.inputs.empty() && !views_argument(id);
    if ((is_always_stored(kind) || unfused) && why == StoreReason::InRegisters)
      why = is_loop(kind) ? StoreReason::Looped : is_always_stored(kind) ? StoreReason::Sum : StoreReason::Unfused;
    if (kind == Kind::Contract) {
      for (const NodeId input : node.inputs) store(input, StoreReason::ProductOperand);
    }
    if (kind == Kind::Scan) {
      for (const NodeId input : node.inputs) store(input, StoreReason::Looped, true);
    }
    // The table may be written in place: what is put is computed before, of its old rows.
    if (op_def(node).traits.overwrites) store(node.inputs[1], StoreReason::ProductOperand);
    if (kind == Kind::Gather) store(table_to_store(graph_, node), StoreReason::ProductOperand, true);
    if (node.op == OpKind::Cast && is_half(node.type.dtype) && is_always_stored(op_def(graph_[node.inputs[0]]).kind)) {
      store(id, StoreReason::Shared);  // the sum itself stays in registers
    }
    if (node.op == OpKind::Reshape && !keeps_index(graph_, node)) store(node.inputs[0], StoreReason::Reshaped);
  }

  void store_deep() {
    std::vector<int> depth(graph_.size(), 0);
    for (uint32_t i = 0; i < graph_.size(); ++i) {
      const auto deeper = [&](NodeId input) {
        return why_[input.index] == StoreReason::InRegisters ? depth[input.index] : 0;
      };
      for (const NodeId input : graph_.nodes[i].inputs) depth[i] = std::max(depth[i], 1 + deeper(input));
      if (depth[i] < kMaxDepth) continue;
      store({i}, StoreReason::Deep);
      depth[i] = 0;
    }
  }

  /// What would be computed several times, when that costs more than memory.
  void store_costly() {
    const auto users = users_of(graph_);
    std::vector<int> cost(graph_.size(), 0);
    for (uint32_t i = 0; i < graph_.size(); ++i) {
      const Node& node = graph_.nodes[i];
      if (op_def(node).kind == Kind::Argument) {
        cost[i] = kLoadCost;
        continue;
      }
      cost[i] = own_cost(node);
      for (const NodeId input : node.inputs)
        cost[i] += why_[input.index] != StoreReason::InRegisters ? kLoadCost : cost[input.index];
      // A scalar is computed once a kernel, not at each point.
      if (node.type.rank() == 0 && cost[i] < kStoreIfShared) cost[i] = std::min(cost[i], kLoadCost);
      if (why_[i] != StoreReason::InRegisters) continue;
      const auto store_here = [&](StoreReason reason) {
        if (!is_widening(graph_, {i})) {
          why_[i] = reason;
          return;
        }
        store(node.inputs[0], reason);  // in half the bytes
        cost[i] = own_cost(node) + kLoadCost;
      };
      if (users[i].size() >= 2 && cost[i] >= kStoreIfShared) store_here(StoreReason::Shared);
      for (const NodeId user : users[i]) {
        // Of a padded value each reader asks again whether it is outside.
        const bool costly =
            cost[i] >= kStoreIfRepeated || (node.op == OpKind::Pad && graph_[user].op == OpKind::Read) ||
            (graph_[user].op == OpKind::Broadcast && is_turned_for_many(graph_, {i}, graph_[user].type.shape));
        if (repeats(graph_, {i}, user) && costly && why_[i] == StoreReason::InRegisters)
          store_here(StoreReason::Repeated);
      }
    }
  }

  const Graph& graph_;
  std::vector<StoreReason> why_;
};

}  // namespace

FusionPlan choose_stored(const Graph& graph, const NodeSchedule& schedule, Fusion fusion) {
  FusionPlan plan;
  plan.fusion = fusion;
  plan.why_stored = StoreReasons(graph).choose(fusion);
  for (const StoreReason reason : plan.why_stored) plan.stored.push_back(reason != StoreReason::InRegisters);
  for (uint32_t i = 0; i < schedule.again.size(); ++i) {
    if (schedule.again[i]) plan.again.push_back({i});
  }
  return plan;
}

}  // namespace smelt
