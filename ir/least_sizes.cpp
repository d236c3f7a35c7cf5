#include "ir/least_sizes.h"

#include <algorithm>

#include "ir/op.h"

namespace smelt {
namespace {

class LeastSizes {
 public:
  explicit LeastSizes(const Graph& graph) : sizes_(graph.symbols.size()) {
    for (size_t k = 0; k < sizes_.size(); ++k) sizes_[k].symbol = static_cast<int32_t>(k);
  }

  void look_at(const Graph& graph) {
    for (const Node& node : graph.nodes) {
      const Span span = node.call.empty() ? node.span : node.call;  // in the model file
      for (const Extent& extent : node.type.shape) need_size(graph, extent, span);
      if (node.op == OpKind::Extent)
        need_size(graph, Extent(1, static_cast<int32_t>(node.attrs.integer("symbol"))), span);
      if (node.op == OpKind::Read) need_parts(graph, node, span);
      if (node.body != nullptr) look_at(*node.body);
    }
  }

  std::vector<LeastSize> take() {
    std::erase_if(sizes_, [](const LeastSize& least) { return least.size <= 1; });
    return std::move(sizes_);
  }

 private:
  void need(const Graph& graph, int32_t symbol, int64_t size, Span span) {
    const Size whole = size_of_symbol(graph.symbols, symbol);
    if (least_of(whole) >= size) return;
    // One dimension has to be large enough itself; of a sum, each may be small where the others are large.
    if (whole.terms.size() == 1) {
      const int64_t factor = whole.terms[0].factor, rest = size - whole.number;
      symbol = whole.terms[0].symbol;
      size = (rest + factor - 1) / factor;
    }
    LeastSize& least = sizes_[static_cast<size_t>(symbol)];
    const bool says_where = size == least.size && least.span.empty();  // constants have no line of their own
    if (size > least.size || says_where) least = {least.symbol, size, span};
  }

  void need_size(const Graph& graph, const Extent& extent, Span span) {
    if (!extent.is_static()) need(graph, extent.symbol, 1, span);
  }

  /// Positions of a fixed number of elements have to be there.
  void need_parts(const Graph& graph, const Node& node, Span span) {
    const IndexMap& map = node.attrs.formula("formula").operands[0];
    const Shape& from = graph.type(node.inputs[0]).shape;
    for (size_t axis = 0; axis < from.size() && !map.bounded; ++axis) {
      const auto is_free = [&](const auto& term) {
        return node.type.shape[static_cast<size_t>(term.first)].is_static();
      };
      if (from[axis].is_static() || !std::ranges::all_of(map.axes[axis].terms, is_free)) continue;
      need(graph, from[axis].symbol, range_of(map.axes[axis], bounds_of(node.type.shape)).high + 1, span);
    }
  }

  std::vector<LeastSize> sizes_;
};

}  // namespace

std::vector<LeastSize> least_sizes(const Graph& graph) {
  LeastSizes least(graph);
  least.look_at(graph);
  return least.take();
}

}  // namespace smelt
