#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "compiler/graph/seen_prefix.h"
#include "ir/op.h"

namespace smelt {
namespace {

/// A whole number by position: row * t + seen * s + constant.
struct Line {
  int64_t row = 0, seen = 0, constant = 0;
};

/// Axes of a value: of rows, and of the positions that they see.
struct SeenAxes {
  int32_t row = -1, seen = -1;
};

/// Elements as they are, in another order or several times. Other movements put values of their own beside them.
bool rearranges(const Node& node) {
  return node.op == OpKind::Broadcast || node.op == OpKind::Transpose || node.op == OpKind::Reshape;
}

/// What a mask of positions says.
class MaskReader {
 public:
  explicit MaskReader(const Graph& graph) : graph_(graph) {}

  /// `ahead`, where `id` is false for all s > t + ahead.
  std::optional<int64_t> ahead(NodeId id, SeenAxes axes) const {
    const Node& node = graph_[id];
    if (rearranges(node)) {
      const std::optional<SeenAxes> inner = before_move(node, axes);
      return inner && inner->row >= 0 && inner->seen >= 0 ? ahead(node.inputs[0], *inner) : std::nullopt;
    }
    switch (node.op) {
      case OpKind::And: {
        const auto a = ahead(node.inputs[0], axes), b = ahead(node.inputs[1], axes);
        return a && b ? std::min(a, b) : a ? a : b;
      }
      case OpKind::Le: return below(node.inputs[0], node.inputs[1], axes, 0);
      case OpKind::Lt: return below(node.inputs[0], node.inputs[1], axes, 1);
      case OpKind::Ge: return below(node.inputs[1], node.inputs[0], axes, 0);
      case OpKind::Gt: return below(node.inputs[1], node.inputs[0], axes, 1);
      default: return std::nullopt;
    }
  }

 private:
  /// Of `a + less <= b` with a = s + .., b = t + ..
  std::optional<int64_t> below(NodeId a, NodeId b, SeenAxes axes, int64_t less) const {
    const auto left = line(a, axes), right = line(b, axes);
    if (!left || !right || left->seen != 1 || left->row != 0 || right->row != 1 || right->seen != 0)
      return std::nullopt;
    return right->constant - left->constant - less;
  }

  std::optional<Line> line(NodeId id, SeenAxes axes) const {
    const Node& node = graph_[id];
    if (rearranges(node)) {
      const std::optional<SeenAxes> inner = before_move(node, axes);
      return inner ? line(node.inputs[0], *inner) : std::nullopt;
    }
    switch (node.op) {
      case OpKind::Index: {
        const auto axis = static_cast<int32_t>(node.attrs.integer("axis"));
        if (axis == axes.row) return Line{.row = 1};
        if (axis == axes.seen) return Line{.seen = 1};
        return std::nullopt;
      }
      case OpKind::Constant: {
        const double value = node.attrs.number("value");
        if (std::abs(value) > 1e9 || value != std::floor(value)) return std::nullopt;
        return Line{.constant = static_cast<int64_t>(value)};
      }
      case OpKind::Cast:  // narrower integers wrap
        if (node.type.dtype != DType::I32 && node.type.dtype != DType::I64) return std::nullopt;
        return line(node.inputs[0], axes);
      case OpKind::Add:
      case OpKind::Sub: {
        const auto a = line(node.inputs[0], axes), b = line(node.inputs[1], axes);
        if (!a || !b) return std::nullopt;
        const int64_t sign = node.op == OpKind::Add ? 1 : -1;
        return Line{a->row + sign * b->row, a->seen + sign * b->seen, a->constant + sign * b->constant};
      }
      default: return std::nullopt;
    }
  }

  /// The axes of what is moved; nullopt where parts of the result are not parts of it.
  std::optional<SeenAxes> before_move(const Node& node, SeenAxes axes) const {
    SeenAxes inner;
    for (const auto& [axis, to] : {std::pair{axes.row, &inner.row}, std::pair{axes.seen, &inner.seen}}) {
      if (axis < 0) continue;
      const std::optional<AxisCut> cut = cut_of_result(graph_, node, axis);
      if (!cut) return std::nullopt;
      *to = cut->operands[0];
    }
    return inner;
  }

  const Graph& graph_;
};

/// What a value is behind the prefix.
enum class Behind : uint8_t { Anything, Zero, Lowest };

class PrefixFinder {
 public:
  PrefixFinder(const Graph& graph, const Region& region)
      : graph_(graph), region_(region), users_(users_of(graph)), masks_(graph) {}

  /// `ahead` and the cuts of all nodes, for the axis `seen` of node `seed`.
  std::optional<int64_t> find(uint32_t seed, int32_t seen, std::map<uint32_t, AxisCut>& cuts) {
    cuts_.clear();
    todo_.clear();
    ahead_ = std::numeric_limits<int64_t>::max();
    if (!put(seed, cut_of_result(graph_, graph_.nodes[seed], seen))) return std::nullopt;
    while (!todo_.empty()) {
      const uint32_t at = todo_.back();
      todo_.pop_back();
      if (!go_on(at)) return std::nullopt;
    }
    for (const auto& [index, cut] : region_.cuts) {
      if (cuts_.contains(index)) continue;
      if (region_.large.contains(index)) return std::nullopt;
      cuts_[index] = {.result = -1, .operands = std::vector<int32_t>(graph_.nodes[index].inputs.size(), -1)};
    }
    if (!is_consistent() || !is_proved() || ahead_ == std::numeric_limits<int64_t>::max()) return std::nullopt;
    cuts = std::move(cuts_);
    return ahead_;
  }

 private:
  bool put(uint32_t index, const std::optional<AxisCut>& cut) {
    if (!cut) return false;
    const auto [known, fresh] = cuts_.try_emplace(index, *cut);
    if (fresh) todo_.push_back(index);
    return known->second.result == cut->result && known->second.operands == cut->operands;
  }

  bool go_on(uint32_t index) {
    const Node& node = graph_.nodes[index];
    const AxisCut cut = cuts_.at(index);
    for (size_t k = 0; k < node.inputs.size(); ++k) {
      const NodeId input = node.inputs[k];
      const bool is_inside = region_.cuts.contains(input.index);
      if (is_inside && cut.operands[k] >= 0 && !put(input.index, cut_of_result(graph_, graph_[input], cut.operands[k])))
        return false;
    }
    if (cut.result < 0) return true;
    for (const NodeId user : users_[index]) {
      if (!region_.cuts.contains(user.index)) continue;
      const Node& reader = graph_[user];
      for (size_t k = 0; k < reader.inputs.size(); ++k) {
        if (reader.inputs[k].index == index && !put(user.index, cut_of_operand(graph_, reader, k, cut.result, true)))
          return false;
      }
    }
    return true;
  }

  /// Every reader in the region reads the axis where its operand has it.
  bool is_consistent() const {
    return std::ranges::all_of(region_.cuts, [&](const auto& entry) {
      const Node& node = graph_.nodes[entry.first];
      const AxisCut& cut = cuts_.at(entry.first);
      for (size_t k = 0; k < node.inputs.size(); ++k) {
        const auto input = cuts_.find(node.inputs[k].index);
        if (input != cuts_.end() && input->second.result != cut.operands[k]) return false;
      }
      return true;
    });
  }

  /// Nothing behind the prefix goes into a sum, a maximum or a value that is kept.
  bool is_proved() {
    for (const auto& [index, rows] : region_.cuts) {
      const Node& node = graph_.nodes[index];
      const AxisCut& cut = cuts_.at(index);
      behind_[index] = behind(node, index);
      const bool reads_it = std::ranges::any_of(cut.operands, [](int32_t axis) { return axis >= 0; });
      const bool sums_positions = cut.result < 0 && reads_it;
      const bool sums_rows = rows.result < 0 && cut.result >= 0;
      if ((sums_positions || sums_rows) && !drops(node, rows, cut)) return false;
      const bool is_kept = rows.result >= 0 && cut.result >= 0;
      if (is_kept && !region_.large.contains(index) && !region_.positions.contains(index)) return false;
    }
    return true;
  }

  /// Whether what a sum or a maximum adds behind the prefix changes nothing.
  bool drops(const Node& node, const AxisCut& rows, const AxisCut& cut) const {
    const Behind wanted = node.op == OpKind::ReduceMax ? Behind::Lowest : Behind::Zero;
    const bool folds = node.op == OpKind::ReduceMax || node.op == OpKind::ReduceSum || node.op == OpKind::Contract;
    for (size_t k = 0; folds && k < node.inputs.size(); ++k) {
      if (cut.operands[k] >= 0 && rows.operands[k] >= 0 && of(node.inputs[k]) == wanted) return true;
    }
    return false;
  }

  Behind of(NodeId id) const {
    const auto known = behind_.find(id.index);
    return known == behind_.end() ? Behind::Anything : known->second;
  }

  Behind behind(const Node& node, uint32_t index) {
    const auto both = [&](size_t a, size_t b) {
      return of(node.inputs[a]) == of(node.inputs[b]) ? of(node.inputs[a]) : Behind::Anything;
    };
    const auto either = [&](Behind what) { return of(node.inputs[0]) == what || of(node.inputs[1]) == what; };
    switch (node.op) {
      case OpKind::Constant: {
        const double value = node.attrs.number("value");
        if (value == 0) return Behind::Zero;
        return std::isinf(value) && value < 0 ? Behind::Lowest : Behind::Anything;
      }
      case OpKind::Select: {
        const SeenAxes axes{.row = region_.cuts.at(index).result, .seen = cuts_.at(index).result};
        const auto ahead = of(node.inputs[2]) == Behind::Anything ? std::nullopt : masks_.ahead(node.inputs[0], axes);
        if (!ahead) return both(1, 2);
        ahead_ = ahead_ == std::numeric_limits<int64_t>::max() ? *ahead : std::max(ahead_, *ahead);
        return of(node.inputs[2]);
      }
      case OpKind::Add:
        if (either(Behind::Lowest)) return Behind::Lowest;
        return both(0, 1);
      // -inf - -inf, 0 * -inf and 0 / 0 are NaN.
      case OpKind::Sub:
        if (of(node.inputs[1]) == Behind::Lowest) return Behind::Anything;
        return of(node.inputs[0]) == Behind::Lowest ? Behind::Lowest : both_zero(node);
      case OpKind::Mul:
        if (either(Behind::Zero)) return either(Behind::Lowest) ? Behind::Anything : Behind::Zero;
        return keeps_sign(node) ? Behind::Lowest : Behind::Anything;
      case OpKind::Div:
        return of(node.inputs[0]) == Behind::Zero && of(node.inputs[1]) == Behind::Anything ? Behind::Zero
                                                                                            : Behind::Anything;
      case OpKind::Log: return of(node.inputs[0]) == Behind::Zero ? Behind::Lowest : Behind::Anything;
      case OpKind::Exp: return of(node.inputs[0]) == Behind::Lowest ? Behind::Zero : Behind::Anything;
      case OpKind::Neg: return of(node.inputs[0]) == Behind::Zero ? Behind::Zero : Behind::Anything;
      case OpKind::Max: return both(0, 1);
      case OpKind::Stop:
      case OpKind::Cast:
      case OpKind::Broadcast:
      case OpKind::Transpose:
      case OpKind::Reshape:
        return cuts_.at(index).operands[0] >= 0 && region_.cuts.at(index).operands[0] >= 0 ? of(node.inputs[0])
                                                                                           : Behind::Anything;
      default: return Behind::Anything;
    }
  }

  Behind both_zero(const Node& node) const {
    return of(node.inputs[0]) == Behind::Zero && of(node.inputs[1]) == Behind::Zero ? Behind::Zero : Behind::Anything;
  }
  /// -inf times a positive number.
  bool keeps_sign(const Node& node) const {
    const auto is_lowest_times = [&](size_t a, size_t b) {
      const std::optional<double> factor = splat_value(graph_, node.inputs[b]);
      return of(node.inputs[a]) == Behind::Lowest && factor && *factor > 0;
    };
    return is_lowest_times(0, 1) || is_lowest_times(1, 0);
  }

  const Graph& graph_;
  const Region& region_;
  const std::vector<std::vector<NodeId>> users_;
  const MaskReader masks_;
  std::map<uint32_t, AxisCut> cuts_;
  std::vector<uint32_t> todo_;
  std::map<uint32_t, Behind> behind_;
  int64_t ahead_ = 0;  // the largest of all masks; max(): there is none
};

/// Rows in order, as many in each segment but for the last.
std::vector<SeenPrefix::Segment> segments_of(int64_t rows, int64_t positions, int64_t ahead,
                                             const LargeValues& limits) {
  constexpr int64_t kMost = 8;  // each has kernels of its own: 56 % of a triangle's square is left, 53 % with 16
  const int64_t count = std::min(kMost, rows / limits.fewest_rows);
  std::vector<SeenPrefix::Segment> segments;
  if (count < 2) return segments;
  const auto round_up = [&](int64_t x) { return (x + limits.tile - 1) / limits.tile * limits.tile; };
  const int64_t size = round_up((rows + count - 1) / count);
  for (int64_t begin = 0; begin < rows; begin += size) {
    const int64_t end = std::min(begin + size, rows);
    segments.push_back({begin, end, std::clamp(round_up(end + ahead), std::min(limits.tile, positions), positions)});
  }
  return segments;
}

}  // namespace

std::optional<SeenPrefix> find_seen_prefix(const Graph& graph, const Region& region, const LargeValues& limits) {
  constexpr double kWorthIt = 0.8;  // of the table that is left
  const auto seed =
      std::ranges::find_if(region.large, [&](uint32_t index) { return graph.nodes[index].op == OpKind::Contract; });
  if (!region.extent.is_static() || seed == region.large.end()) return std::nullopt;
  const Node& table = graph.nodes[*seed];
  PrefixFinder finder(graph, region);
  for (int32_t axis = 0; axis < static_cast<int32_t>(table.type.rank()); ++axis) {
    const Extent& positions = table.type.shape[static_cast<size_t>(axis)];
    if (axis == region.cuts.at(*seed).result || !positions.is_static() || positions.bound < 2) continue;
    SeenPrefix prefix;
    const std::optional<int64_t> ahead = finder.find(*seed, axis, prefix.cuts);
    if (!ahead || *ahead < 0) continue;  // a row that sees nothing has a softmax of NaN, at all positions
    prefix.segments = segments_of(region.extent.bound, positions.bound, *ahead, limits);
    int64_t left = 0;
    for (const SeenPrefix::Segment& segment : prefix.segments) left += segment.rows() * segment.seen;
    const auto whole = static_cast<double>(region.extent.bound * positions.bound);
    if (!prefix.segments.empty() && static_cast<double>(left) <= kWorthIt * whole) return prefix;
  }
  return std::nullopt;
}

}  // namespace smelt
