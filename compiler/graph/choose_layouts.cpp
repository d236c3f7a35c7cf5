#include "compiler/graph/choose_layouts.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>

#include "compiler/graph/axis_order.h"
#include "compiler/graph/convolution_layout.h"
#include "compiler/graph/reshape_blocks.h"
#include "ir/op.h"
#include "ir/rewrite.h"

namespace smelt {
namespace {

class LayoutChooser {
 public:
  explicit LayoutChooser(const Graph& graph)
      : graph_(graph),
        rebuilder_(graph),
        orders_(graph.size()),
        wishes_(graph.size()),
        is_read_(graph.size()),
        with_variable_(graph.size()),
        of_product_(graph.size()) {
    for (const Argument& argument : graph.arguments)
      with_variable_[argument.node.index] = argument.role == ArgRole::Variable && graph.type(argument.node).rank() > 1;
  }

  Graph run() {
    for (const Node& node : graph_.nodes) {
      for (const NodeId x : node.inputs) is_read_[x.index] = true;
    }
    note_wishes();
    for (uint32_t i = 0; i < graph_.size(); ++i) place({i});
    for (const Output& result : graph_.results) set(result.node, arranged_node(result.node, {}), {});
    return rebuilder_.finish();
  }

 private:
  /// How an operation that moves elements goes on with an operand that lies in another order. `axes`: the attributes
  /// that have a number for each axis, when that is all.
  struct Movement {
    OpKind op;
    bool (LayoutChooser::*place)(NodeId old, const Node& node, const Movement& how);
    std::array<std::string_view, 2> axes;
  };
  static std::span<const Movement> movements();

  Builder& build() { return rebuilder_.build(); }

  AxisOrder order_of(NodeId old) const {
    const AxisOrder& order = orders_[old.index];
    return order.empty() ? in_order(graph_.type(old).rank()) : order;
  }

  /// The value with its axes in `order`; empty: the model's.
  NodeId arranged_node(NodeId old, AxisOrder order) {
    if (order.empty()) order = in_order(graph_.type(old).rank());
    const NodeId node = rebuilder_.map(old);
    const AxisOrder has = order_of(old);
    if (has == order) return node;
    return build().transpose(node, arranged(inverse(has), order));
  }

  void set(NodeId old, NodeId node, AxisOrder order) {
    rebuilder_.replace(old, node);
    orders_[old.index] = is_in_order(order) ? AxisOrder() : std::move(order);
  }

  /// What a convolution reads is computed in its order, from where elementwise operations begin. Readers that wish for
  /// different orders get none: each arranges it for itself.
  void note_wishes() {
    std::vector<bool> torn(graph_.size());
    for (uint32_t i = graph_.size(); i-- > 0;) {
      const Node& node = graph_.nodes[i];
      if (torn[i]) wishes_[i].clear();
      const auto wish = [&](NodeId x, const AxisOrder& order) {
        if (order.size() != graph_.type(x).rank()) return;
        torn[x.index] = torn[x.index] || (!wishes_[x.index].empty() && wishes_[x.index] != order);
        wishes_[x.index] = order;
      };
      if (node.op == OpKind::Contract) {
        const IndexFormula& formula = node.attrs.formula("formula");
        const auto convolution = ConvolutionLayout::of(formula);
        for (size_t k = 0; convolution && k < node.inputs.size(); ++k)
          wish(node.inputs[k], convolution->order_of(formula.operands[k % 2].axes));
      } else if (op_def(node).kind == Kind::Elementwise && !wishes_[i].empty()) {
        for (const NodeId x : node.inputs) wish(x, wishes_[i]);
      }
    }
  }

  void place(NodeId old) {
    const Node& node = graph_[old];
    const bool moved = std::ranges::any_of(node.inputs, [&](NodeId x) { return !orders_[x.index].empty(); });
    build().set_place(node);
    if (node.op == OpKind::Contract) {
      const bool windowed = ConvolutionLayout::of(node.attrs.formula("formula")).has_value();
      const bool follows = !windowed && follows_wish(old, node);
      of_product_[old.index] = !follows;
      if (windowed || moved || follows) return place_contraction(old, node);
    }
    const Kind kind = op_def(node).kind;
    if (kind == Kind::Elementwise) {
      with_variable_[old.index] = std::ranges::any_of(node.inputs, [&](NodeId x) { return with_variable_[x.index]; });
      of_product_[old.index] = std::ranges::any_of(node.inputs, [&](NodeId x) { return of_product_[x.index]; });
    }
    const bool keeps_order = with_variable_[old.index] || of_product_[old.index];
    if (kind == Kind::Elementwise && !moved && !keeps_order && !wishes_[old.index].empty())
      return place_elementwise(old, node);
    if (node.op == OpKind::Broadcast && !wishes_[old.index].empty() && place_movement(old, node)) return;
    if (moved) {
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
    // Where a variable takes part, such as in an optimiser's update, its own order is kept: it is read and written.
    const auto leads = std::ranges::find_if(node.inputs, [&](NodeId x) { return !orders_[x.index].empty(); });
    const AxisOrder order = with_variable_[old.index]    ? in_order(node.type.rank())
                            : leads == node.inputs.end() ? wishes_[old.index]
                                                         : order_of(*leads);
    std::vector<NodeId> inputs;
    for (const NodeId x : node.inputs) inputs.push_back(arranged_node(x, order));
    set(old, build().make(node.op, std::move(inputs), node.attrs), order);
  }

  void place_reduction(NodeId old, const Node& node) {
    const AxisOrder order = order_of(node.inputs[0]);
    const std::vector<int64_t>& axes = node.attrs.integers("axes");
    std::vector<int64_t> places;
    AxisOrder kept;
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

  /// A broadcast may give its axes in any order: in the one that is wished, or its operand's, with what is repeated in
  /// front of the innermost axis, along which vectors run.
  bool place_broadcast(NodeId old, const Node& node, const Movement&) {
    const AxisOrder order = order_of(node.inputs[0]);
    const std::vector<int64_t> axes = arranged(node.attrs.integers("axes"), order);
    AxisOrder result = wishes_[old.index];
    if (result.empty() && is_in_order(order)) result = in_order(node.type.rank());
    if (result.empty()) {
      result = axes;
      for (int64_t axis = 0; axis < static_cast<int64_t>(node.type.rank()); ++axis) {
        if (std::ranges::find(axes, axis) == axes.end()) result.insert(result.end() - 1, axis);
      }
    }
    Attributes attrs = node.attrs;
    attrs.set("axes", arranged(inverse(result), axes));
    attrs.set("type", TensorType{node.type.dtype, arranged(node.type.shape, result)});
    set(old, build().make(node.op, {rebuilder_.map(node.inputs[0])}, std::move(attrs)), result);
    return true;
  }

  /// False: the operand is read in the model's order.
  bool place_movement(NodeId old, const Node& node) {
    const auto how = std::ranges::find(movements(), node.op, &Movement::op);
    return how != movements().end() && (this->*how->place)(old, node, *how);
  }

  bool place_by_axis(NodeId old, const Node& node, const Movement& how) {
    const AxisOrder order = order_of(node.inputs[0]);
    Attributes attrs = node.attrs;
    for (const std::string_view name : how.axes) attrs.set(name, arranged(node.attrs.integers(name), order));
    set(old, build().make(node.op, {rebuilder_.map(node.inputs[0])}, std::move(attrs)), order);
    return true;
  }

  bool place_transpose(NodeId old, const Node& node, const Movement&) {
    const AxisOrder order = order_of(node.inputs[0]);
    set(old, rebuilder_.map(node.inputs[0]), arranged(inverse(node.attrs.integers("permutation")), order));
    return true;
  }

  /// A reshape that splits axes, or joins such as are neighbours in memory, goes through.
  bool place_reshape(NodeId old, const Node& node, const Movement&) {
    const AxisOrder order = order_of(node.inputs[0]);
    const Shape &from = graph_.type(node.inputs[0]).shape, &to = node.type.shape;
    const std::optional<std::vector<ReshapeBlock>> blocks = reshape_blocks(from, to);
    if (!blocks) return false;
    AxisOrder axes = order, result;
    std::erase_if(axes, [&](int64_t axis) { return from[static_cast<size_t>(axis)] == Extent(1); });
    for (auto at = axes.begin(); at != axes.end();) {
      const auto block = std::ranges::find_if(*blocks, [&](const ReshapeBlock& b) { return b.before.front() == *at; });
      if (block == blocks->end()) return false;
      for (const int64_t axis : block->before) {
        if (at == axes.end() || *at++ != axis) return false;
      }
      result.insert(result.end(), block->after.begin(), block->after.end());
    }
    for (size_t j = 0; j < to.size(); ++j) {  // an axis of one element stays behind the axis in front of it
      if (to[j] != Extent(1)) continue;
      const auto before = std::ranges::find(result, static_cast<int64_t>(j) - 1);
      result.insert(before == result.end() ? result.begin() : before + 1, static_cast<int64_t>(j));
    }
    set(old, build().reshape(rebuilder_.map(node.inputs[0]), arranged(to, result)), result);
    return true;
  }

  /// The result's axes in the order in which `order` reads their indices.
  static AxisOrder order_of_result(const IndexMap& map, const AxisOrder& order, int32_t rank) {
    AxisOrder result;
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
  static IndexFormula arranged_formula(const IndexFormula& formula, const std::vector<AxisOrder>& orders,
                                       const AxisOrder& result) {
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

  bool place_read(NodeId old, const Node& node, const Movement&) {
    const AxisOrder order = order_of(node.inputs[0]);
    const IndexFormula& formula = node.attrs.formula("formula");
    const AxisOrder result = order_of_result(formula.operands[0], order, formula.rank);
    Attributes attrs = node.attrs;
    attrs.set("formula", arranged_formula(formula, {order}, result));
    set(old, build().make(node.op, {rebuilder_.map(node.inputs[0])}, std::move(attrs)), result);
    return true;
  }

  /// A product that sums one term is one of elements: its reader's order is as good as any.
  bool follows_wish(NodeId old, const Node& node) const {
    if (wishes_[old.index].empty()) return false;
    const IndexFormula& formula = node.attrs.formula("formula");
    std::vector<Shape> shapes;
    for (size_t k = 0; k < formula.operands.size(); ++k) shapes.push_back(graph_.type(node.inputs[k]).shape);
    const Result<Shape> extents = extents_of(formula, shapes);
    const auto summed = std::span(*extents).subspan(static_cast<size_t>(formula.rank));
    return std::ranges::all_of(summed, [](const Extent& terms) { return terms == Extent(1); });
  }

  void place_contraction(NodeId old, const Node& node) {
    const IndexFormula& formula = node.attrs.formula("formula");
    std::vector<Affine> result_axes;
    for (int32_t i = 0; i < formula.rank; ++i) result_axes.push_back(Affine::of(i));
    std::vector<AxisOrder> orders;  // of the first pair: the others are read alike
    for (size_t k = 0; k < 2; ++k) orders.push_back(order_of(node.inputs[k]));
    // Seen as its operands lie in memory, so that a second run sees the same: of a picture that a convolution has made,
    // the first axis there is that of the examples.
    IndexFormula placed = formula;
    for (size_t k = 0; k < placed.operands.size(); ++k)
      placed.operands[k].axes = arranged(formula.operands[k].axes, orders[k]);
    AxisOrder result;
    if (const auto convolution = ConvolutionLayout::of(placed)) {
      // What is a result of the graph and nothing else is computed in the order that it is asked for.
      result = is_read_[old.index] ? convolution->order_of(result_axes) : in_order(result_axes.size());
    } else if (follows_wish(old, node)) {
      result = wishes_[old.index];
    } else {
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
  std::vector<AxisOrder> orders_;    // by old node; empty: the model's
  std::vector<AxisOrder> wishes_;    // by old node: the order in which a convolution reads it; empty: none does
  std::vector<bool> is_read_;        // by a node
  std::vector<bool> with_variable_;  // made by element of a variable among others
  std::vector<bool> of_product_;     // by node: the order that a product gave it is kept, whatever a reader wishes
};

std::span<const LayoutChooser::Movement> LayoutChooser::movements() {
  static constexpr Movement kMovements[] = {
      {OpKind::Slice, &LayoutChooser::place_by_axis, {"starts", "limits"}},
      {OpKind::Pad, &LayoutChooser::place_by_axis, {"low", "high"}},
      {OpKind::Broadcast, &LayoutChooser::place_broadcast, {}},
      {OpKind::Transpose, &LayoutChooser::place_transpose, {}},
      {OpKind::Reshape, &LayoutChooser::place_reshape, {}},
      {OpKind::Read, &LayoutChooser::place_read, {}},
  };
  return kMovements;
}

bool has_windows(const Graph& graph) {
  return std::ranges::any_of(graph.nodes, [](const Node& node) {
    return node.op == OpKind::Contract && ConvolutionLayout::of(node.attrs.formula("formula"));
  });
}

}  // namespace

Graph choose_layouts(Graph graph) {
  if (!has_windows(graph)) return graph;
  return LayoutChooser(graph).run();
}

}  // namespace smelt
