#include "compiler/plan/move_sums_up.h"

#include <algorithm>
#include <compare>
#include <iterator>
#include <limits>
#include <set>
#include <utility>
#include <vector>

#include "compiler/plan/order_nodes.h"
#include "ir/op.h"

namespace smelt {
namespace {

/// Where a node is computed: what moves comes behind the node that stays at `anchor`, in the order that it had.
struct Place {
  size_t anchor = 0;
  size_t moved = 0;  // 0: it stays; else one more than where it was
  friend auto operator<=>(const Place&, const Place&) = default;
};

class SumMover {
 public:
  SumMover(const Graph& graph, const NodeSchedule& schedule, FusionPlan plan)
      : graph_(graph),
        schedule_(schedule),
        plan_(std::move(plan)),
        before_(predecessors(graph)),
        readers_(graph.size()),
        places_(graph.size()),
        position_(graph.size()),
        walked_(graph.size(), 0),
        products_(plan_.order.size() + 1, 0) {
    for (size_t at = 0; at < plan_.order.size(); ++at) {
      const NodeId id = plan_.order[at];
      places_[id.index] = {at, 0};
      position_[id.index] = at;
      products_[at + 1] = products_[at] + (graph[id].op == OpKind::Contract ? 1 : 0);
      for (const NodeId earlier : before_[id.index]) readers_[earlier.index].push_back(id);
    }
  }

  FusionPlan run() {
    for (size_t at = 0; at < plan_.order.size(); ++at) move(plan_.order[at], at);
    std::ranges::sort(plan_.order, {}, [&](NodeId id) { return places_[id.index]; });
    return std::move(plan_);
  }

 private:
  bool has_value(NodeId id) const { return plan_.stored[id.index] || graph_[id].op == OpKind::Argument; }

  void move(NodeId id, size_t at) {
    const Kind kind = op_def(graph_[id]).kind;
    if (!plan_.stored[id.index] || (kind != Kind::Contract && kind != Kind::Reduce)) return;
    Operands read = operands_of(id);
    if (read.any_late || read.bytes <= bytes_of(id)) return;
    const Place last = std::max(read.last, last_for_readers(id, at));
    if (products_[at] - products_[last.anchor + 1] == 0) return;
    read.inlined.push_back(id);
    for (const NodeId node : read.inlined) {
      Place& place = places_[node.index];
      if (place > last) place = {last.anchor, place.moved > 0 ? place.moved : place.anchor + 1};
    }
  }

  /// What a node reads, through values without memory of their own.
  struct Operands {
    Place last;         // of those with memory
    int64_t bytes = 0;  // of the largest
    bool any_late = false;
    std::vector<NodeId> inlined;
  };

  Operands operands_of(NodeId id) {
    Operands read;
    read.any_late = schedule_.is_late(id);
    std::vector<NodeId> open(before_[id.index]);
    ++walk_;
    while (!open.empty()) {
      const NodeId next = open.back();
      open.pop_back();
      if (std::exchange(walked_[next.index], walk_) == walk_) continue;
      if (has_value(next)) {
        read.last = std::max(read.last, places_[next.index]);
        read.bytes = std::max(read.bytes, bytes_of(next));
        continue;
      }
      read.any_late = read.any_late || schedule_.is_late(next);
      read.inlined.push_back(next);
      std::ranges::copy(before_[next.index], std::back_inserter(open));
    }
    return read;
  }

  /// Where all is there that elementwise readers of `id` read beside it, as far as it is there at `at`: they could join
  /// its kernel.
  Place last_for_readers(NodeId id, size_t at) {
    Place last;
    std::set<size_t> cone = {at}, open;  // old positions
    const auto add_readers = [&](NodeId node) {
      for (const NodeId reader : readers_[node.index])
        if (op_def(graph_[reader]).kind == Kind::Elementwise) open.insert(position_[reader.index]);
    };
    add_readers(id);
    while (!open.empty()) {
      const size_t next = open.extract(open.begin()).value();
      const NodeId reader = plan_.order[next];
      Place others;
      for (const NodeId other : before_[reader.index]) {
        if (!cone.contains(position_[other.index]))
          others = std::max(others, has_value(other) ? places_[other.index] : operands_of(other).last);
      }
      if (others.anchor >= at) continue;
      last = std::max(last, others);
      cone.insert(next);
      if (!plan_.stored[reader.index]) add_readers(reader);
    }
    return last;
  }

  int64_t bytes_of(NodeId id) const { return byte_size(graph_.type(id)).value_or(std::numeric_limits<int64_t>::max()); }

  const Graph& graph_;
  const NodeSchedule& schedule_;
  FusionPlan plan_;
  const std::vector<std::vector<NodeId>> before_;
  std::vector<std::vector<NodeId>> readers_;  // by node
  std::vector<Place> places_;                 // by node
  std::vector<size_t> position_;              // by node: in the old order
  std::vector<uint32_t> walked_;              // by node: the last walk that came by
  uint32_t walk_ = 0;
  std::vector<size_t> products_;  // in front of each position of the old order
};

}  // namespace

FusionPlan move_sums_up(const Graph& graph, const NodeSchedule& schedule, FusionPlan plan) {
  if (schedule.deepest_last) return plan;
  return SumMover(graph, schedule, std::move(plan)).run();
}

}  // namespace smelt
