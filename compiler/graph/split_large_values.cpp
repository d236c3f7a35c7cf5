#include "compiler/graph/split_large_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <queue>
#include <set>
#include <utility>
#include <vector>

#include "compiler/graph/large_regions.h"
#include "compiler/graph/seen_prefix.h"
#include "ir/op.h"
#include "ir/rewrite.h"
#include "ir/scan.h"

namespace smelt {
namespace {

/// In the turn of a loop what is more than a few parts is large, and rows that see a prefix pay from half of one on.
LargeValues in_loops(LargeValues limits) {
  limits.bytes = 4 * limits.part_bytes;
  limits.prefix_bytes = limits.part_bytes / 2;
  return limits;
}

/// Writes a group as a scan.
class LoopWriter {
 public:
  LoopWriter(const Graph& graph, const Region& region, const Group& group, const LargeValues& limits,
             GraphRebuilder& rebuilder)
      : graph_(graph),
        region_(region),
        group_(group),
        limits_(limits),
        rebuilder_(rebuilder),
        outer_(rebuilder.build()),
        build_(body_) {}

  /// `is_read`: by node, whether something outside of the loop reads it.
  void write(const std::vector<bool>& is_read) {
    body_.name = "part";
    body_.symbols = graph_.symbols;
    add_arguments(is_read);
    for (const uint32_t index : group_.nodes) compute(index);
    std::vector<uint32_t> given;
    for (const uint32_t index : group_.own) {
      if (!is_read[index] || region_.large.contains(index)) continue;
      given.push_back(index);
      add_result(index);
    }
    outer_.set_place(graph_.nodes[group_.own.front()]);
    const NodeId scan =
        make_scan(outer_, split_large_values(std::move(body_), in_loops(limits_)), std::move(inputs_), steps(), false);
    for (size_t k = 0; k < given.size(); ++k) {
      const int32_t axis = region_.cuts.at(given[k]).result;
      const NodeId part = make_part(outer_, scan, k);
      rebuilder_.replace({given[k]}, axis < 0 ? part : joined(part, axis));
    }
  }

 private:
  Extent steps() const {
    return region_.extent.is_static() ? Extent(region_.extent.bound / region_.size) : region_.extent;
  }
  bool is_inside(NodeId id, int32_t axis) const {
    return std::ranges::binary_search(group_.nodes, id.index) && region_.cuts.at(id.index).result == axis;
  }

  /// All arguments before the first node: of operands from outside, whole or in parts, and of sums.
  void add_arguments(const std::vector<bool>& is_read) {
    for (const uint32_t index : group_.nodes) {
      const Node& node = graph_.nodes[index];
      const AxisCut& cut = region_.cuts.at(index);
      for (size_t k = 0; k < node.inputs.size(); ++k) {
        const std::pair<uint32_t, int32_t> operand{node.inputs[k].index, cut.operands[k]};
        if (is_made_inside(node.inputs[k], cut.operands[k]) || arguments_.contains(operand)) continue;
        arguments_[operand] = add_argument(node.inputs[k], cut.operands[k]);
      }
    }
    for (const uint32_t index : group_.own) {
      if (region_.cuts.at(index).result >= 0 || !is_read[index]) continue;
      const TensorType& type = graph_.nodes[index].type;
      const auto ref = static_cast<int32_t>(sums_.size());
      sums_[index] = {ref, build_.argument({fmt::format("sum{}", ref), ArgRole::Carry, ref, {}}, type)};
      inputs_.push_back(outer_.constant(0, type));
    }
  }

  NodeId add_argument(NodeId input, int32_t axis) {
    const NodeId operand = rebuilder_.map(input);
    TensorType type = graph_.type(input);
    if (axis >= 0) type.shape[static_cast<size_t>(axis)] = Extent(region_.size);
    inputs_.push_back(axis >= 0 ? in_parts(operand, axis) : operand);
    const ArgRole role = axis >= 0 ? ArgRole::Slice : ArgRole::Whole;
    return build_.argument({fmt::format("x{}", inputs_.size() - 1), role, -1, {}}, type);
  }

  /// Also masks along other axes, which cost less than to load them.
  bool is_made_inside(NodeId id, int32_t axis) const {
    return is_inside(id, axis) || (axis < 0 && region_.computed_anywhere[id.index]);
  }

  NodeId operand(NodeId id, int32_t axis) {
    if (is_inside(id, axis)) return map_.at(id.index);
    if (is_made_inside(id, axis)) return whole(id);
    return arguments_.at({id.index, axis});
  }

  NodeId whole(NodeId id) {
    NodeId& known = whole_[id.index];
    if (known.valid()) return known;
    std::vector<NodeId> operands;
    for (const NodeId input : graph_[id].inputs) operands.push_back(whole(input));
    return whole_[id.index] = build_.copy(graph_[id], std::move(operands));
  }

  void compute(uint32_t index) {
    const Node& node = graph_.nodes[index];
    const AxisCut& cut = region_.cuts.at(index);
    std::vector<NodeId> operands;
    for (size_t k = 0; k < node.inputs.size(); ++k) operands.push_back(operand(node.inputs[k], cut.operands[k]));
    map_[index] = make_part_of(build_, node, std::move(operands), {{cut, region_.size}});
  }

  void add_result(uint32_t index) {
    if (const auto sum = sums_.find(index); sum != sums_.end()) {
      const auto [ref, argument] = sum->second;
      body_.results.push_back({"sum", ResultRole::Carry, ref, build_.add(argument, map_.at(index))});
    } else {
      body_.results.push_back({"part", ResultRole::Stacked, -1, map_.at(index)});
    }
  }

  /// [.., T, ..] as [steps, .., size, ..].
  NodeId in_parts(NodeId x, int32_t axis) {
    Shape shape = outer_.type(x).shape;
    shape[static_cast<size_t>(axis)] = Extent(region_.size);
    shape.insert(shape.begin() + axis, steps());
    std::vector<int64_t> order{axis};
    for (int64_t k = 0; k < static_cast<int64_t>(shape.size()); ++k) {
      if (k != axis) order.push_back(k);
    }
    return outer_.transpose(outer_.reshape(x, shape), std::move(order));
  }

  /// [steps, .., size, ..] as [.., T, ..].
  NodeId joined(NodeId parts, int32_t axis) {
    const auto rank = static_cast<int64_t>(outer_.type(parts).rank());
    std::vector<int64_t> order;
    for (int64_t k = 1; k <= axis; ++k) order.push_back(k);
    order.push_back(0);
    for (int64_t k = axis + 1; k < rank; ++k) order.push_back(k);
    const NodeId moved = outer_.transpose(parts, std::move(order));
    Shape shape = outer_.type(moved).shape;
    shape.erase(shape.begin() + axis);
    shape[static_cast<size_t>(axis)] = region_.extent;
    return outer_.reshape(moved, shape);
  }

  const Graph& graph_;
  const Region& region_;
  const Group& group_;
  const LargeValues& limits_;
  GraphRebuilder& rebuilder_;
  Builder& outer_;
  Graph body_;
  Builder build_;
  std::vector<NodeId> inputs_;                                // of the scan
  std::map<std::pair<uint32_t, int32_t>, NodeId> arguments_;  // by operand and the axis that is cut
  std::map<uint32_t, std::pair<int32_t, NodeId>> sums_;       // carry, and its argument
  std::map<uint32_t, NodeId> map_, whole_;                    // nodes of the graph in the body: parts, and as they are
};

/// Copies the graph with a loop for each group.
class Splitter {
 public:
  Splitter(const Graph& graph, const Region& region, const std::optional<SeenPrefix>& prefix, const LargeValues& limits)
      : graph_(graph),
        region_(region),
        prefix_(prefix),
        limits_(limits),
        groups_(groups_of(graph, region)),
        unit_of_(graph.size()) {
    // Units are loops, then what remains.
    for (uint32_t i = 0; i < graph.size(); ++i) unit_of_[i] = groups_.size() + i;
    for (size_t g = 0; g < groups_.size(); ++g) {
      for (const uint32_t index : groups_[g].own) unit_of_[index] = g;
    }
  }

  Graph run() {
    GraphRebuilder rebuilder(graph_);
    const std::vector<bool> is_read = read_outside();
    for (const size_t unit : order()) {
      if (unit >= groups_.size()) {
        rebuilder.copy({static_cast<uint32_t>(unit - groups_.size())});
      } else if (prefix_) {
        write_segments(graph_, region_, *prefix_, groups_[unit], is_read, rebuilder);
      } else {
        LoopWriter(graph_, region_, groups_[unit], limits_, rebuilder).write(is_read);
      }
    }
    return rebuilder.finish();
  }

 private:
  /// Calls `visit` for each node that a unit reads and does not compute.
  void for_each_read(size_t unit, const std::function<void(uint32_t)>& visit) {
    for (const uint32_t index : nodes_of(unit)) {
      const Operands& inputs = graph_.nodes[index].inputs;
      for (size_t k = 0; k < inputs.size(); ++k) {
        const bool inside = unit < groups_.size() && std::ranges::binary_search(groups_[unit].nodes, inputs[k].index) &&
                            region_.cuts.at(inputs[k].index).result == region_.cuts.at(index).operands[k];
        if (!inside) visit(inputs[k].index);
      }
    }
  }
  const std::vector<uint32_t>& nodes_of(size_t unit) {
    if (unit < groups_.size()) return groups_[unit].nodes;
    single_ = {static_cast<uint32_t>(unit - groups_.size())};
    return single_;
  }

  /// By node, whether a unit reads it that does not compute it.
  std::vector<bool> read_outside() {
    std::vector<bool> read(graph_.size());
    for (const Output& output : graph_.results) read[output.node.index] = true;
    for (const size_t unit : units()) for_each_read(unit, [&](uint32_t index) { read[index] = true; });
    return read;
  }

  std::set<size_t> units() const { return {unit_of_.begin(), unit_of_.end()}; }

  /// Each unit after all that it reads, those that came first in the graph first.
  std::vector<size_t> order() {
    std::map<size_t, std::set<size_t>> readers;
    std::map<size_t, size_t> waits_for;
    for (const size_t unit : units()) {
      std::set<size_t> read;
      for_each_read(unit, [&](uint32_t index) { read.insert(unit_of_[index]); });
      waits_for[unit] = read.size();
      for (const size_t other : read) readers[other].insert(unit);
    }
    using Ready = std::pair<uint32_t, size_t>;  // by the first node
    std::priority_queue<Ready, std::vector<Ready>, std::greater<>> ready;
    const auto push = [&](size_t unit) { ready.push({nodes_of(unit).front(), unit}); };
    for (const auto& [unit, count] : waits_for) {
      if (count == 0) push(unit);
    }
    std::vector<size_t> sorted;
    while (!ready.empty()) {
      const size_t unit = ready.top().second;
      ready.pop();
      sorted.push_back(unit);
      for (const size_t reader : readers[unit]) {
        if (--waits_for[reader] == 0) push(reader);
      }
    }
    return sorted;
  }

  const Graph& graph_;
  const Region& region_;
  const std::optional<SeenPrefix>& prefix_;
  const LargeValues& limits_;
  const std::vector<Group> groups_;
  std::vector<size_t> unit_of_;  // by node
  std::vector<uint32_t> single_;
};

}  // namespace

Graph split_large_values(Graph graph, const LargeValues& limits) {
  LargeValues smaller = limits;
  smaller.bytes = std::min(limits.bytes, limits.prefix_bytes);
  // A loop stands where a region was, and its parts are no seeds: the search ends. Segments are smaller tables, of
  // which fewer and fewer are worth cutting.
  while (true) {
    std::optional<SeenPrefix> prefix;
    const auto sees_prefix = [&](const Region& region) {
      prefix = region.size > 1 ? find_seen_prefix(graph, region, limits) : std::nullopt;
      return prefix.has_value();
    };
    std::optional<Region> region = find_large_region(graph, limits, [&](const Region& found) {
      sees_prefix(found);
      return true;
    });
    if (!region && smaller.bytes < limits.bytes) region = find_large_region(graph, smaller, sees_prefix);
    if (!region) return graph;
    graph = Splitter(graph, *region, prefix, limits).run();
  }
}

Graph split_large_values(Graph graph) { return split_large_values(std::move(graph), LargeValues{}); }

}  // namespace smelt
