#include "compiler/graph/merge_equal_nodes.h"

#include <algorithm>
#include <bit>
#include <string>
#include <unordered_map>

#include "ir/rewrite.h"

namespace smelt {
namespace {

/// Everything that decides a node's value, as bytes. Doubles go in by their bits: 0 and -0 differ, equal NaNs
/// do not.
class KeyWriter {
 public:
  void number(int64_t value) { key_.append(reinterpret_cast<const char*>(&value), sizeof value); }

  void type(const TensorType& type) {
    number(static_cast<int64_t>(type.dtype));
    extents(type.shape);
  }

  void extents(const Shape& list) {
    number(static_cast<int64_t>(list.size()));
    for (const Extent& extent : list) {
      number(extent.bound);
      number(extent.symbol);
    }
  }

  void formula(const IndexFormula& formula) {
    number(formula.rank);
    extents(formula.extents);
    number(static_cast<int64_t>(formula.operands.size()));
    for (const IndexMap& map : formula.operands) {
      number(map.bounded);
      number(static_cast<int64_t>(map.axes.size()));
      for (const Affine& axis : map.axes) {
        number(axis.constant);
        number(static_cast<int64_t>(axis.terms.size()));
        for (const auto& [index, factor] : axis.terms) {
          number(index);
          number(factor);
        }
      }
    }
  }

  void attribute(const AttrValue& value) {
    struct Visitor {
      KeyWriter& key;
      void operator()(int64_t integer) { key.number(integer); }
      void operator()(double real) { key.number(std::bit_cast<int64_t>(real)); }
      void operator()(const std::string& text) {
        key.number(static_cast<int64_t>(text.size()));
        key.key_ += text;
      }
      void operator()(const std::vector<int64_t>& list) {
        key.number(static_cast<int64_t>(list.size()));
        for (const int64_t entry : list) key.number(entry);
      }
      void operator()(const TensorType& type) { key.type(type); }
      void operator()(const IndexFormula& formula) { key.formula(formula); }
    };
    std::visit(Visitor{*this}, value);
  }

  std::string take() { return std::move(key_); }

 private:
  std::string key_;
};

std::string key_of(const Node& node, std::vector<NodeId> inputs) {
  if (op_def(node).traits.commutative) std::ranges::sort(inputs);
  KeyWriter key;
  key.number(static_cast<int64_t>(node.op));
  for (const NodeId input : inputs) key.number(input.index);
  key.number(reinterpret_cast<intptr_t>(node.body.get()));  // one body, not two that look alike
  for (const auto& [name, value] : node.attrs) {
    key.attribute(value);
  }
  return key.take();
}

Graph merge_all(Graph graph) {
  std::unordered_map<std::string, NodeId> first;
  GraphRebuilder rebuilder(graph);
  for (uint32_t i = 0; i < graph.size(); ++i) {
    const Node& node = graph.nodes[i];
    std::string key = key_of(node, rebuilder.map(node.inputs));
    if (const auto found = first.find(key); found != first.end()) {
      rebuilder.replace({i}, found->second);
    } else {
      first.emplace(std::move(key), rebuilder.copy({i}));
    }
  }
  return rebuilder.finish();
}

}  // namespace

Graph merge_equal_nodes(Graph graph) { return apart_from_grad_operands(std::move(graph), merge_all); }

}  // namespace smelt
