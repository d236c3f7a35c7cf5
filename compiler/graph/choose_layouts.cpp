#include "compiler/graph/choose_layouts.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <set>

#include "ir/op.h"
#include "ir/rewrite.h"

namespace smelt {
namespace {

/// Axis i in memory is axis order[i] of the value as the model has it.
using Order = std::vector<int64_t>;

Order in_order(size_t rank) {
  Order order(rank);
  std::iota(order.begin(), order.end(), 0);
  return order;
}
bool is_in_order(const Order& order) { return std::ranges::is_sorted(order); }

Order inverse(const Order& order) {
  Order inverted(order.size());
  for (size_t i = 0; i < order.size(); ++i) inverted[static_cast<size_t>(order[i])] = static_cast<int64_t>(i);
  return inverted;
}

/// items[order[0]], items[order[1]], ..
template <typename T>
std::vector<T> arranged(const std::vector<T>& items, const Order& order) {
  std::vector<T> result;
  for (const int64_t place : order) result.push_back(items[static_cast<size_t>(place)]);
  return result;
}

bool is_windowed(const IndexMap& map) {
  return std::ranges::any_of(map.axes, [](const Affine& axis) { return !axis.terms.empty() && !axis.is_index(); });
}

/// The layouts of one convolution: what its indices stand for, seen from the operand that is read in windows.
class Convolution {
 public:
  static std::optional<Convolution> of(const IndexFormula& formula) {
    for (const IndexMap& map : formula.operands) {
      if (!is_windowed(map) || !map.axes[0].is_index()) continue;
      Convolution result(formula, map.axes[0].terms[0].first);
      for (const Affine& axis : map.axes) {
        if (axis.is_index()) continue;
        for (const auto& [index, factor] : axis.terms) result.spatial_.insert(index);
      }
      return result;
    }
    return std::nullopt;
  }

  /// Examples first, and channels, which the model has in front of the picture, last. Of weights, which have no
  /// examples, the window first and results last.
  Order order_of(const std::vector<Affine>& axes) const {
    const bool has_examples =
        std::ranges::any_of(axes, [&](const Affine& axis) { return axis == Affine::of(examples_); });
    const auto is_spatial = [&](const Affine& axis) {
      return std::ranges::any_of(axis.terms, [&](const auto& term) { return spatial_.contains(term.first); });
    };
    const auto picture = std::ranges::find_if(axes, is_spatial) - axes.begin();
    const auto place = [&](int64_t i) {
      const Affine& axis = axes[static_cast<size_t>(i)];
      if (axis == Affine::of(examples_)) return 0;
      if (i >= picture) return 1;
      if (has_examples || !axis.is_index()) return 2;
      const int32_t index = axis.terms[0].first;
      return formula_.is_summed(index) ? 3 : is_shared(index) ? 2 : 4;
    };
    Order order = in_order(axes.size());
    std::ranges::stable_sort(order, {}, place);
    return order;
  }

 private:
  Convolution(const IndexFormula& formula, int32_t examples) : formula_(formula), examples_(examples) {}

  bool is_shared(int32_t index) const {
    return std::ranges::all_of(formula_.operands, [&](const IndexMap& map) { return map.has(index); });
  }

  const IndexFormula& formula_;
  int32_t examples_;
  std::set<int32_t> spatial_;
};

class LayoutChooser {
 public:
  explicit LayoutChooser(const Graph& graph) : graph_(graph), rebuilder_(graph), orders_(graph.size()) {}

  Graph run() {
    for (uint32_t i = 0; i < graph_.size(); ++i) place({i});
    for (const Output& result : graph_.results) set(result.node, arranged_node(result.node, {}), {});
    return rebuilder_.finish();
  }

 private:
  Builder& build() { return rebuilder_.build(); }

  Order order_of(NodeId old) const {
    const Order& order = orders_[old.index];
    return order.empty() ? in_order(graph_.type(old).rank()) : order;
  }

  /// The value with its axes in `order`; empty: the model's.
  NodeId arranged_node(NodeId old, Order order) {
    if (order.empty()) order = in_order(graph_.type(old).rank());
    const NodeId node = rebuilder_.map(old);
    const Order has = order_of(old);
    if (has == order) return node;
    return build().transpose(node, arranged(inverse(has), order));
  }

  void set(NodeId old, NodeId node, Order order) {
    rebuilder_.replace(old, node);
    orders_[old.index] = is_in_order(order) ? Order() : std::move(order);
  }

  void place(NodeId old) {
    const Node& node = graph_[old];
    const bool moved = std::ranges::any_of(node.inputs, [&](NodeId x) { return !orders_[x.index].empty(); });
    build().set_place(node);
    if (node.op == OpKind::Contract) {
      const bool windowed = Convolution::of(node.attrs.formula("formula")).has_value();
      if (windowed || moved) return place_contraction(old, node);
    }
    if (moved) {
      const Kind kind = op_def(node).kind;
      if (kind == Kind::Elementwise) return place_elementwise(old, node);
      if (kind == Kind::Reduce) return place_reduction(old, node);
      if (kind == Kind::Move && place_movement(old, node)) return;
      std::vector<NodeId> inputs;
      for (const NodeId x : node.inputs) inputs.push_back(arranged_node(x, {}));
      return rebuilder_.replace(old, build().copy(node, std::move(inputs)));
    }
    rebuilder_.copy(old);
  }

  void place_elementwise(NodeId old, const Node& node) {
    const auto leads = std::ranges::find_if(node.inputs, [&](NodeId x) { return !orders_[x.index].empty(); });
    const Order order = order_of(*leads);
    std::vector<NodeId> inputs;
    for (const NodeId x : node.inputs) inputs.push_back(arranged_node(x, order));
    set(old, build().make(node.op, std::move(inputs), node.attrs), order);
  }

  void place_reduction(NodeId old, const Node& node) {
    const Order order = order_of(node.inputs[0]);
    const std::vector<int64_t>& axes = node.attrs.integers("axes");
    std::vector<int64_t> places;
    Order kept;
    for (size_t i = 0; i < order.size(); ++i) {
      if (std::ranges::find(axes, order[i]) != axes.end())
        places.push_back(static_cast<int64_t>(i));
      else
        kept.push_back(order[i] - std::ranges::count_if(axes, [&](int64_t axis) { return axis < order[i]; }));
    }
    Attributes attrs = node.attrs;
    attrs.set("axes", places);
    set(old, build().make(node.op, {rebuilder_.map(node.inputs[0])}, std::move(attrs)), kept);
  }

  bool place_movement(NodeId old, const Node& node) {
    const NodeId x = node.inputs[0];
    const Order order = order_of(x);
    const auto rearranged = [&](std::initializer_list<std::string_view> names) {
      Attributes attrs = node.attrs;
      for (const std::string_view name : names) attrs.set(name, arranged(node.attrs.integers(name), order));
      set(old, build().make(node.op, {rebuilder_.map(x)}, std::move(attrs)), order);
      return true;
    };
    switch (node.op) {
      case OpKind::Slice: return rearranged({"starts", "limits"});
      case OpKind::Pad: return rearranged({"low", "high"});
      case OpKind::Broadcast: {
        Attributes attrs = node.attrs;
        attrs.set("axes", arranged(node.attrs.integers("axes"), order));
        set(old, build().make(node.op, {rebuilder_.map(x)}, std::move(attrs)), in_order(node.type.rank()));
        return true;
      }
      case OpKind::Transpose: {
        set(old, rebuilder_.map(x), arranged(inverse(node.attrs.integers("permutation")), order));
        return true;
      }
      case OpKind::Reshape: return place_reshape(old, node, order);
      case OpKind::Read: return place_read(old, node, order);
      default: return false;
    }
  }

  /// A reshape that splits axes, or joins such as are neighbours in memory, goes through.
  bool place_reshape(NodeId old, const Node& node, const Order& order) {
    const Shape &from = graph_.type(node.inputs[0]).shape, &to = node.type.shape;
    Order result;
    std::vector<std::pair<std::vector<int64_t>, std::vector<int64_t>>> blocks;  // axes before and after
    for (size_t i = 0, j = 0; i < from.size() || j < to.size();) {
      auto& [before, after] = blocks.emplace_back();
      int64_t p = 1, q = 1;
      do {
        const bool takes_from = i < from.size() && (p <= q || j == to.size());
        if (!takes_from && j == to.size()) return false;
        if (takes_from) {
          if (!from[i].is_static() && (j >= to.size() || to[j] != from[i] || p * q != 1)) return false;
          p *= from[i].bound;
          before.push_back(static_cast<int64_t>(i++));
        } else {
          q *= to[j].bound;
          after.push_back(static_cast<int64_t>(j++));
        }
      } while (p != q || before.empty());
      // Axes of one element go with the block that they follow, but at the very end they would be a block of their own.
      while (i == from.size() && j < to.size() && to[j] == Extent(1)) after.push_back(static_cast<int64_t>(j++));
    }
    for (size_t at = 0; at < order.size();) {
      const auto block = std::ranges::find_if(blocks, [&](const auto& b) { return b.first.front() == order[at]; });
      if (block == blocks.end()) return false;
      for (const int64_t axis : block->first) {
        if (at == order.size() || order[at++] != axis) return false;
      }
      result.insert(result.end(), block->second.begin(), block->second.end());
    }
    Shape shape = arranged(to, result);
    set(old, build().reshape(rebuilder_.map(node.inputs[0]), shape), result);
    return true;
  }

  /// The result's axes in the order in which `order` reads their indices.
  static Order order_of_result(const IndexMap& map, const Order& order, int32_t rank) {
    Order result;
    const auto add = [&](int32_t index) {
      if (index < rank && std::ranges::find(result, index) == result.end()) result.push_back(index);
    };
    for (const int64_t axis : order) {
      for (const auto& [index, factor] : map.axes[static_cast<size_t>(axis)].terms) add(index);
    }
    for (int32_t index = 0; index < rank; ++index) add(index);
    return result;
  }

  /// `formula` with its operands' axes and its result's axes in those orders.
  static IndexFormula arranged_formula(const IndexFormula& formula, const std::vector<Order>& orders,
                                       const Order& result) {
    std::vector<Affine> numbers;
    for (int32_t i = 0; i < formula.num_indices(); ++i) numbers.push_back(Affine::of(i));
    IndexFormula changed = formula;
    for (size_t i = 0; i < result.size(); ++i) {
      numbers[static_cast<size_t>(result[i])] = Affine::of(static_cast<int32_t>(i));
      changed.extents[i] = formula.extents[static_cast<size_t>(result[i])];
    }
    for (size_t k = 0; k < changed.operands.size(); ++k) {
      std::vector<Affine>& axes = changed.operands[k].axes;
      axes = arranged(axes, orders[k]);
      for (Affine& axis : axes) axis = substitute(axis, numbers);
    }
    return changed;
  }

  bool place_read(NodeId old, const Node& node, const Order& order) {
    const IndexFormula& formula = node.attrs.formula("formula");
    const Order result = order_of_result(formula.operands[0], order, formula.rank);
    Attributes attrs = node.attrs;
    attrs.set("formula", arranged_formula(formula, {order}, result));
    set(old, build().make(node.op, {rebuilder_.map(node.inputs[0])}, std::move(attrs)), result);
    return true;
  }

  void place_contraction(NodeId old, const Node& node) {
    const IndexFormula& formula = node.attrs.formula("formula");
    std::vector<Affine> result_axes;
    for (int32_t i = 0; i < formula.rank; ++i) result_axes.push_back(Affine::of(i));
    std::vector<Order> orders;
    Order result;
    if (const auto convolution = Convolution::of(formula)) {
      for (const IndexMap& map : formula.operands) orders.push_back(convolution->order_of(map.axes));
      result = convolution->order_of(result_axes);
    } else {
      for (size_t k = 0; k < 2; ++k) orders.push_back(order_of(node.inputs[k]));
      const size_t leads = is_in_order(orders[0]) ? 1 : 0;
      result = formula.rank < 3 ? in_order(result_axes.size())
                                : order_of_result(formula.operands[leads], orders[leads], formula.rank);
    }
    std::vector<NodeId> inputs;
    for (size_t k = 0; k < node.inputs.size(); ++k) inputs.push_back(arranged_node(node.inputs[k], orders[k % 2]));
    Attributes attrs = node.attrs;
    attrs.set("formula", canonical(arranged_formula(formula, orders, result)));
    set(old, build().make(node.op, std::move(inputs), std::move(attrs)), result);
  }

  const Graph& graph_;
  GraphRebuilder rebuilder_;
  std::vector<Order> orders_;  // by old node; empty: the model's
};

bool has_windows(const Graph& graph) {
  return std::ranges::any_of(graph.nodes, [](const Node& node) {
    return node.op == OpKind::Contract && Convolution::of(node.attrs.formula("formula"));
  });
}

}  // namespace

Graph choose_layouts(Graph graph) {
  if (!has_windows(graph)) return graph;
  return LayoutChooser(graph).run();
}

}  // namespace smelt
