#include "ir/find_nonfinite.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "ir/op.h"
#include "ir/rewrite.h"
#include "ir/support/check.h"

namespace smelt {
namespace {

constexpr size_t kWidest = 3;

using Mask = std::vector<bool>;  // by element
bool any(const Mask& mask) { return std::ranges::find(mask, true) != mask.end(); }

/// What is kept of a value that is not finite everywhere.
struct BadValue {
  Mask bad;
  Mask born;                 // bad elements that no bad operand explains
  std::vector<Mask> blamed;  // of each operand, the elements that made this one bad; empty when none
  std::vector<int64_t> sizes;
  std::vector<double> values;
  std::vector<RefTensor> operands;  // kept when something was born here
};

ValueRange range_of(NodeId node, const RefTensor& tensor) {
  ValueRange range{node, INFINITY, -INFINITY, 0, std::nullopt};
  for (const double value : tensor.values) {
    if (!std::isfinite(value)) {
      ++range.num_bad;
      continue;
    }
    range.low = std::min(range.low, value);
    range.high = std::max(range.high, value);
  }
  return range;
}

class Watcher final : public EvalWatcher {
 public:
  Watcher(const Graph& graph, Formula formula) : graph_(graph), formula_(formula) {}

  void on_node(NodeId id, std::span<const RefTensor* const> operands, const RefTensor& result) override {
    if (!is_float(result.type.dtype)) return;
    Mask bad(result.values.size());
    for (size_t i = 0; i < bad.size(); ++i) bad[i] = !std::isfinite(result.values[i]);
    note_width(id, result);
    if (!any(bad)) return;
    BadValue value{.bad = std::move(bad), .sizes = result.sizes, .values = result.values};
    blame(id, operands, value);
    if (any(value.born)) {
      for (const RefTensor* operand : operands) value.operands.push_back(*operand);
    }
    bad_.emplace(id, std::move(value));
  }

  const BadValue* bad(NodeId id) const {
    const auto at = bad_.find(id);
    return at == bad_.end() ? nullptr : &at->second;
  }
  std::vector<ValueRange> widest() const {
    std::vector<ValueRange> ranges;
    for (const auto& [width, range] : widest_) ranges.push_back(range);
    return ranges;
  }

 private:
  /// A constant infinity is meant: what an op makes of it is the op's doing.
  bool is_blamable(NodeId operand) const { return bad(operand) != nullptr && !splat_value(graph_, operand); }

  void blame(NodeId id, std::span<const RefTensor* const> operands, BadValue& value) const {
    const Node& node = graph_[id];
    value.blamed.resize(operands.size());
    const bool inherits = std::ranges::any_of(node.inputs, [&](NodeId input) { return is_blamable(input); });
    if (!inherits) {
      value.born = value.bad;
      return;
    }
    value.born.assign(value.bad.size(), false);
    if (op_def(node).kind == Kind::Elementwise) return blame_elements(id, operands, value);
    for (size_t k = 0; k < operands.size(); ++k) {
      if (is_blamable(node.inputs[k])) value.blamed[k] = bad(node.inputs[k])->bad;
    }
  }

  void blame_elements(NodeId id, std::span<const RefTensor* const> operands, BadValue& value) const {
    std::vector<double> args(operands.size());
    for (size_t i = 0; i < value.bad.size(); ++i) {
      if (!value.bad[i]) continue;
      for (size_t k = 0; k < args.size(); ++k) args[k] = operands[k]->values[i];
      const std::vector<size_t> guilty = guilty_operands(id, args, value.values[i]);
      value.born[i] = guilty.empty();
      for (const size_t k : guilty) {
        if (value.blamed[k].empty()) value.blamed[k].assign(value.bad.size(), false);
        value.blamed[k][i] = true;
      }
    }
  }

  /// The bad operands without which the element would be another one; all bad ones when it takes several of them.
  std::vector<size_t> guilty_operands(NodeId id, std::vector<double>& args, double element) const {
    std::vector<size_t> bad_args, guilty;
    for (size_t k = 0; k < args.size(); ++k) {
      if (std::isfinite(args[k]) || !is_blamable(graph_[id].inputs[k])) continue;
      bad_args.push_back(k);
      const double given = std::exchange(args[k], 1.0);
      const double otherwise = evaluate_element(graph_, id, args, formula_);
      args[k] = given;
      const bool same = otherwise == element || (std::isnan(otherwise) && std::isnan(element));
      if (!same) guilty.push_back(k);
    }
    return guilty.empty() ? bad_args : guilty;
  }

  void note_width(NodeId id, const RefTensor& result) {
    double top = 0;
    for (const double value : result.values) {
      if (std::isfinite(value)) top = std::max(top, std::fabs(value));
    }
    const double width = top / largest_finite(result.type.dtype);
    if (widest_.size() == kWidest && width <= widest_.rbegin()->first) return;
    widest_.emplace(width, range_of(id, result));
    if (widest_.size() > kWidest) widest_.erase(std::prev(widest_.end()));
  }

  const Graph& graph_;
  Formula formula_;
  std::map<NodeId, BadValue> bad_;
  std::multimap<double, ValueRange, std::greater<>> widest_;  // by share of the dtype's largest number
};

std::vector<int64_t> index_of(int64_t element, const std::vector<int64_t>& sizes) {
  std::vector<int64_t> index(sizes.size());
  for (size_t axis = sizes.size(); axis-- > 0;) {
    index[axis] = element % sizes[axis];
    element /= sizes[axis];
  }
  return index;
}

/// Walks back from the bad results along the elements that made them bad.
class BackwardWalk {
 public:
  BackwardWalk(const Graph& graph, const Watcher& watcher) : graph_(graph), watcher_(watcher), wanted_(graph.size()) {}

  void want_results(NonFiniteSearch& search) {
    for (size_t r = 0; r < graph_.results.size(); ++r) {
      const NodeId node = graph_.results[r].node;
      const BadValue* value = watcher_.bad(node);
      if (value == nullptr) continue;
      search.bad_results.push_back(r);
      want(node, value->bad);
    }
  }

  /// The first node that gave birth to a wanted element.
  std::optional<NonFiniteOrigin> find_origin() {
    std::optional<uint32_t> first;
    for (uint32_t i = graph_.size(); i-- > 0;) {
      if (wanted_[i].empty()) continue;
      const BadValue& value = *watcher_.bad({i});
      if (first_common(value.born, wanted_[i]) >= 0) first = i;
      for (size_t k = 0; k < value.blamed.size(); ++k) {
        if (!value.blamed[k].empty()) want_through(graph_.nodes[i], k, value, wanted_[i]);
      }
    }
    if (!first) return std::nullopt;
    return describe({*first});
  }

  std::vector<size_t> reached_from(NodeId origin, const std::vector<size_t>& bad_results) const {
    std::vector<bool> reached(graph_.size());
    reached[origin.index] = true;
    for (uint32_t i = origin.index + 1; i < graph_.size(); ++i) {
      const bool bad = watcher_.bad({i}) != nullptr;
      reached[i] =
          bad && std::ranges::any_of(graph_.nodes[i].inputs, [&](NodeId input) { return bool{reached[input.index]}; });
    }
    std::vector<size_t> results;
    std::ranges::copy_if(bad_results, std::back_inserter(results),
                         [&](size_t r) { return bool{reached[graph_.results[r].node.index]}; });
    return results;
  }

 private:
  void want(NodeId id, const Mask& elements) {
    Mask& wanted = wanted_[id.index];
    if (wanted.empty()) wanted.assign(elements.size(), false);
    for (size_t i = 0; i < elements.size(); ++i) wanted[i] = wanted[i] || elements[i];
  }

  void want_through(const Node& node, size_t k, const BadValue& value, const Mask& wanted) {
    Mask elements = value.blamed[k];
    if (op_def(node).kind == Kind::Elementwise) {
      for (size_t i = 0; i < elements.size(); ++i) elements[i] = elements[i] && wanted[i];
      if (!any(elements)) return;
    }
    want(node.inputs[k], elements);
  }

  static int64_t first_common(const Mask& a, const Mask& b) {
    for (size_t i = 0; i < a.size(); ++i) {
      if (a[i] && b[i]) return static_cast<int64_t>(i);
    }
    return -1;
  }

  NonFiniteOrigin describe(NodeId id) const {
    const BadValue& value = *watcher_.bad(id);
    const int64_t first = first_common(value.born, wanted_[id.index]);
    NonFiniteOrigin origin{.node = id, .sizes = value.sizes, .first = index_of(first, value.sizes)};
    origin.value = value.values[static_cast<size_t>(first)];
    origin.num_bad = std::ranges::count(value.bad, true);
    origin.num_elements = static_cast<int64_t>(value.bad.size());
    for (size_t k = 0; k < value.operands.size(); ++k) {
      ValueRange range = range_of(graph_[id].inputs[k], value.operands[k]);
      if (op_def(graph_[id]).kind == Kind::Elementwise) range.at = value.operands[k].values[static_cast<size_t>(first)];
      origin.operands.push_back(range);
    }
    return origin;
  }

  const Graph& graph_;
  const Watcher& watcher_;
  std::vector<Mask> wanted_;
};

}  // namespace

Result<NonFiniteSearch> find_nonfinite(const Graph& graph, std::span<const RefTensor> arguments,
                                       std::span<const int64_t> extents, Formula formula) {
  Watcher watcher(graph, formula);
  SMELT_TRY_VOID(
      evaluate(graph, arguments, extents, {.rounding = Rounding::ToDType, .formula = formula, .watcher = &watcher}));
  NonFiniteSearch search;
  BackwardWalk walk(graph, watcher);
  walk.want_results(search);
  if (search.bad_results.empty()) {
    search.widest = watcher.widest();
    return search;
  }
  search.origin = walk.find_origin();
  SMELT_CHECK(search.origin.has_value(), "graph `{}`: a value that is not finite comes from nowhere", graph.name);
  search.reached = walk.reached_from(search.origin->node, search.bad_results);
  return search;
}

}  // namespace smelt
