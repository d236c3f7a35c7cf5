#include "compiler/graph/large_regions.h"

#include <algorithm>
#include <utility>

#include "ir/op.h"

namespace smelt {
namespace {

int64_t bytes_of(const Graph& graph, NodeId id) { return byte_size(graph.type(id)).value_or(INT64_MAX); }

/// Finds the region around one large product.
class RegionFinder {
 public:
  RegionFinder(const Graph& graph, const std::vector<std::vector<NodeId>>& users, const LargeValues& limits)
      : graph_(graph), users_(users), limits_(limits), of_positions_(graph.size()), computed_anywhere_(graph.size()) {
    for (const Output& output : graph.results) results_.insert(output.node.index);
    for (uint32_t i = 0; i < graph.size(); ++i) {
      const Node& node = graph.nodes[i];
      const Kind kind = op_def(node).kind;
      const bool computes = kind == Kind::Elementwise || kind == Kind::Move;
      const auto made_of = [&](const std::vector<bool>& known) {
        return kind == Kind::Index || kind == Kind::Constant ||
               (computes && std::ranges::all_of(node.inputs, [&](NodeId x) { return known[x.index]; }));
      };
      of_positions_[i] = made_of(of_positions_);
      computed_anywhere_[i] = op_def(node).traits.cheap && made_of(computed_anywhere_);
    }
  }

  std::optional<Region> find(NodeId seed) {
    const Node& node = graph_[seed];
    // Keys of a long sequence are large as well, but small beside their products.
    large_ = std::max(limits_.bytes, bytes_of(graph_, seed) / limits_.growth);
    const bool grows =
        node.op == OpKind::Contract && is_large(seed) && std::ranges::all_of(node.inputs, [&](NodeId input) {
          return !is_large(input) && bytes_of(graph_, input) <= bytes_of(graph_, seed) / limits_.growth;
        });
    if (!grows) return std::nullopt;
    // Rows of one example after the other, where the least rows of all are more than a part.
    for (const bool one_by_one : {true, false}) {
      for (int32_t axis = 0; axis < static_cast<int32_t>(node.type.rank()); ++axis) {
        const Extent& extent = node.type.shape[static_cast<size_t>(axis)];
        const int64_t size = !one_by_one                     ? part_size(extent, bytes_of(graph_, seed))
                             : is_cut_one_by_one(node, axis) ? 1
                                                             : 0;
        region_ = {.cuts = {},
                   .large = {},
                   .positions = {},
                   .computed_anywhere = computed_anywhere_,
                   .extent = extent,
                   .size = size};
        if (size > 0 && grow_from(seed, axis)) return std::move(region_);
      }
    }
    return std::nullopt;
  }

 private:
  /// Masks and the like are computed where they are read, however large they are.
  bool is_large(NodeId id) const { return bytes_of(graph_, id) >= large_ && !of_positions_[id.index]; }

  /// Positions of an axis in one turn: the most that divide it and keep the part small; 0: it is not worth cutting.
  int64_t part_size(const Extent& extent, int64_t bytes) const {
    if (!extent.is_static()) return 0;
    const int64_t most = std::max(limits_.fewest_rows, limits_.part_bytes / std::max<int64_t>(bytes / extent.bound, 1));
    for (int64_t size = std::min(most, extent.bound / 2); 2 * size >= limits_.fewest_rows; --size) {
      if (extent.bound % size == 0) return size;
    }
    return 0;
  }

  /// Whether each position of the axis is a product of its own, as of an example or a head, and no other axis has rows
  /// to cut that make small parts.
  bool is_cut_one_by_one(const Node& node, int32_t axis) const {
    const IndexFormula& formula = node.attrs.formula("formula");
    const auto has_it = [&](const IndexMap& map) { return map.plain_axis_of(axis) >= 0; };
    if (node.type.shape[static_cast<size_t>(axis)].bound < 2 || !std::ranges::all_of(formula.operands, has_it))
      return false;
    const int64_t bytes = byte_size(node.type).value_or(INT64_MAX);
    return std::ranges::none_of(node.type.shape, [&](const Extent& extent) {
      const int64_t rows = part_size(extent, bytes);
      return rows > 0 && bytes / extent.bound * rows <= limits_.part_bytes;
    });
  }

  bool grow_from(NodeId seed, int32_t axis) {
    std::vector<uint32_t> todo;
    if (!add(seed.index, cut_of_result(graph_, graph_[seed], axis), todo)) return false;
    while (!todo.empty()) {
      const uint32_t at = todo.back();
      todo.pop_back();
      if (!add_operands(at, todo) || (region_.large.contains(at) && !add_users(at, todo))) return false;
    }
    return true;
  }

  /// Whether a node may be in the region with this cut; a large one is looked around from.
  bool add(uint32_t index, const std::optional<AxisCut>& cut, std::vector<uint32_t>& todo) {
    if (!cut || graph_.nodes[index].body != nullptr) return false;
    const auto [found, is_new] = region_.cuts.try_emplace(index, *cut);
    if (!is_new) return found->second.result == cut->result && found->second.operands == cut->operands;
    if (!is_large({index})) return true;
    if (cut->result < 0 || results_.contains(index)) return false;
    region_.large.insert(index);
    todo.push_back(index);
    return true;
  }

  bool add_operands(uint32_t index, std::vector<uint32_t>& todo) {
    const Node& node = graph_.nodes[index];
    for (size_t k = 0; k < node.inputs.size(); ++k) {
      const NodeId input = node.inputs[k];
      const int32_t axis = region_.cuts.at(index).operands[k];
      if (!is_large(input)) {
        if (axis >= 0) add_positions(input.index, cut_of_result(graph_, graph_[input], axis), todo);
        continue;
      }
      if (axis < 0 || !add(input.index, cut_of_result(graph_, graph_[input], axis), todo)) return false;
    }
    return true;
  }

  /// Where it can be; else the value is an operand of the loop.
  void add_positions(uint32_t index, const std::optional<AxisCut>& cut, std::vector<uint32_t>& todo) {
    if (!cut || !of_positions_[index] || !region_.cuts.try_emplace(index, *cut).second) return;
    region_.positions.insert(index);
    todo.push_back(index);
  }

  bool add_users(uint32_t index, std::vector<uint32_t>& todo) {
    const int32_t axis = region_.cuts.at(index).result;
    for (const NodeId user : users_[index]) {
      const Node& node = graph_[user];
      for (size_t k = 0; k < node.inputs.size(); ++k) {
        if (node.inputs[k].index == index && !add(user.index, cut_of_operand(graph_, node, k, axis), todo))
          return false;
      }
    }
    return true;
  }

  const Graph& graph_;
  const std::vector<std::vector<NodeId>>& users_;
  const LargeValues& limits_;
  int64_t large_ = 0;  // bytes from which on a value is large, for the region at hand
  std::set<uint32_t> results_;
  std::vector<bool> of_positions_;       // by node: computed of indices and constants alone
  std::vector<bool> computed_anywhere_;  // by cheap operations
  Region region_;
};

/// Whether a node of the region reads parts of what `own` computes: not a sum over all of them, or all of a value.
bool reads_parts(const Graph& graph, const Region& region, const std::set<uint32_t>& own, uint32_t index) {
  const Operands& inputs = graph.nodes[index].inputs;
  for (size_t k = 0; k < inputs.size(); ++k) {
    if (!own.contains(inputs[k].index)) continue;
    const int32_t part = region.cuts.at(inputs[k].index).result;
    if (part < 0 || part != region.cuts.at(index).operands[k]) return false;
  }
  return true;
}

}  // namespace

std::vector<Group> groups_of(const Graph& graph, const Region& region) {
  std::vector<Group> groups;
  std::set<uint32_t> left;
  for (const auto& [index, cut] : region.cuts) {
    if (!region.positions.contains(index)) left.insert(index);
  }
  while (!left.empty()) {
    Group group;
    std::set<uint32_t> own;
    std::vector<bool> behind(graph.size());
    for (uint32_t i = *left.begin(); i < graph.size(); ++i) {
      const Operands& inputs = graph.nodes[i].inputs;
      const bool is_behind = std::ranges::any_of(inputs, [&](NodeId input) { return behind[input.index]; });
      if (left.contains(i) && !is_behind && reads_parts(graph, region, own, i)) {
        own.insert(i);
        left.erase(i);
      } else {
        behind[i] = is_behind || std::ranges::any_of(inputs, [&](NodeId input) { return own.contains(input.index); });
      }
    }
    std::set<uint32_t> nodes = own;
    std::vector<uint32_t> todo(own.begin(), own.end());
    while (!todo.empty()) {
      const uint32_t at = todo.back();
      todo.pop_back();
      const AxisCut& cut = region.cuts.at(at);
      for (size_t k = 0; k < cut.operands.size(); ++k) {
        const NodeId input = graph.nodes[at].inputs[k];
        if (region.is_part(input, cut.operands[k]) && nodes.insert(input.index).second) todo.push_back(input.index);
      }
    }
    group.own.assign(own.begin(), own.end());
    group.nodes.assign(nodes.begin(), nodes.end());
    groups.push_back(std::move(group));
  }
  return groups;
}

std::optional<Region> find_large_region(const Graph& graph, const LargeValues& limits,
                                        const std::function<bool(const Region&)>& accepts) {
  const std::vector<std::vector<NodeId>> users = users_of(graph);
  RegionFinder finder(graph, users, limits);
  for (uint32_t i = 0; i < graph.size(); ++i) {
    if (std::optional<Region> region = finder.find({i}); region && accepts(*region)) return region;
  }
  return std::nullopt;
}

}  // namespace smelt
