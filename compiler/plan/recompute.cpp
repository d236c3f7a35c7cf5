#include "compiler/plan/recompute.h"

#include <algorithm>
#include <limits>
#include <map>
#include <utility>
#include <vector>

#include "ir/op.h"
#include "ir/rewrite.h"

namespace smelt {
namespace {

/// Appends what a schedule says of a node, for a graph that is being built.
void append(NodeSchedule& to, const NodeSchedule& from, NodeId id) {
  to.late.push_back(from.is_late(id));
  to.again.push_back(!from.again.empty() && from.again[id.index]);
  to.sum_forms.push_back(from.sum_form(id));
}

class LateCopies {
 public:
  LateCopies(const ScheduledGraph& from, const FusionPlan& plan, const Recomputation& what)
      : from_(from),
        graph_(from.graph),
        plan_(plan),
        first_kernel_(from.graph.size(), kNever),
        rebuilder_(from.graph),
        copies_(from.graph.size()) {
    for (const auto& [id, kernel] : what.from) first_kernel_[id.index] = kernel;
  }

  ScheduledGraph run() {
    schedule_.deepest_last = from_.schedule.deepest_last;
    for (uint32_t i = 0; i < graph_.size(); ++i) {
      const NodeId id{i};
      const int32_t kernel = plan_.stored[i] ? plan_.kernel_of[i] : -1;
      if (kernel < 0 || !reads_copies(id, kernel)) {
        rebuilder_.copy(id);
      } else {
        rebuilder_.replace(id, push(id, [&](NodeId input) {
                             return reaches(input, kernel) ? copy(input, kernel) : rebuilder_.map(input);
                           }));
      }
      append(schedule_, from_.schedule, id);
    }
    return drop_dead();
  }

 private:
  static constexpr int32_t kNever = std::numeric_limits<int32_t>::max();

  bool is_again(NodeId id) const { return first_kernel_[id.index] != kNever; }

  /// Whether a reader in `kernel` reads a copy of `id`, or computes it in registers from one.
  bool reaches(NodeId id, int32_t kernel) {
    if (is_again(id)) return first_kernel_[id.index] <= kernel;
    if (plan_.stored[id.index] || graph_[id].op == OpKind::Argument) return false;
    const auto [known, fresh] = reaches_.try_emplace({id, kernel});
    if (fresh) known->second = reads_copies(id, kernel);
    return known->second;
  }

  bool reads_copies(NodeId id, int32_t kernel) {
    return std::ranges::any_of(graph_[id].inputs, [&](NodeId input) { return reaches(input, kernel); });
  }

  template <typename Operand>
  NodeId push(NodeId id, const Operand& operand) {
    const Node& node = graph_[id];
    std::vector<NodeId> inputs;
    for (const NodeId input : node.inputs) inputs.push_back(operand(input));
    return rebuilder_.build().copy(node, std::move(inputs));
  }

  /// The late value of `id` for a reader in `kernel`, which is copied or in registers. Values in registers are copied
  /// along, because one with more readers than before might be stored.
  NodeId copy(NodeId id, int32_t kernel) {
    NodeId& known = copies_[id.index];
    if (known.valid()) return known;
    const NodeId now = push(id, [&](NodeId input) { return copy_operand(input, kernel); });
    append(schedule_, from_.schedule, id);
    schedule_.late.back() = true;
    schedule_.again.back() = is_again(id);
    known = now;
    return now;
  }

  NodeId copy_operand(NodeId id, int32_t kernel) {
    if (reaches(id, kernel)) return copy(id, kernel);
    const Node& node = graph_[id];
    const bool kept = plan_.stored[id.index] || node.inputs.empty() || node.type.rank() == 0;
    return kept ? rebuilder_.map(id) : copy(id, kernel);
  }

  ScheduledGraph drop_dead() {
    const Graph whole = rebuilder_.finish();
    const std::vector<bool> live = live_nodes(whole);
    // A copy whose original is gone is the only one.
    for (uint32_t i = 0; i < graph_.size(); ++i) {
      if (is_again({i}) && copies_[i].valid() && !live[rebuilder_.map({i}).index])
        schedule_.again[copies_[i].index] = false;
    }
    GraphRebuilder kept(whole);
    NodeSchedule schedule;
    schedule.deepest_last = schedule_.deepest_last;
    for (uint32_t i = 0; i < whole.size(); ++i) {
      if (!live[i]) continue;
      kept.copy({i});
      append(schedule, schedule_, {i});
    }
    return {kept.finish(), std::move(schedule)};
  }

  const ScheduledGraph& from_;
  const Graph& graph_;
  const FusionPlan& plan_;
  std::vector<int32_t> first_kernel_;  // by node
  GraphRebuilder rebuilder_;
  NodeSchedule schedule_;  // of the graph that is being built
  std::vector<NodeId> copies_;
  std::map<std::pair<NodeId, int32_t>, bool> reaches_;  // by value in registers, and kernel of its reader
};

}  // namespace

ScheduledGraph recompute(const ScheduledGraph& from, const FusionPlan& plan, const Recomputation& what) {
  return LateCopies(from, plan, what).run();
}

}  // namespace smelt
