#include "compiler/graph/join_products.h"

#include <algorithm>
#include <vector>

#include "ir/op.h"
#include "ir/rewrite.h"

namespace smelt {
namespace {

/// The formula with its operands exchanged.
IndexFormula exchanged(IndexFormula formula) {
  std::swap(formula.operands[0], formula.operands[1]);
  return canonical(formula);
}

/// Operands of a product, in pairs, as `formula` reads them; none when it computes something else.
Operands operands_for(const Graph& graph, const Node& product, const IndexFormula& formula,
                      std::span<const TensorType> types) {
  Operands operands = product.inputs;
  if (const IndexFormula& own = product.attrs.formula("formula"); own != formula) {
    if (exchanged(own) != formula) return {};
    for (size_t k = 0; k < operands.size(); k += 2) std::swap(operands[k], operands[k + 1]);
  }
  for (size_t k = 0; k < operands.size(); ++k) {
    if (graph.type(operands[k]) != types[k % 2]) return {};
  }
  return operands;
}

/// The operands of a product that waits are kept until the other's are there; joined, no result is. What is small lies
/// in a near cache whatever happens.
bool pays(const Graph& graph, const Node& product) {
  constexpr int64_t kSmall = int64_t{256} << 10;
  int64_t bytes = 0;
  for (const NodeId operand : product.inputs) bytes += byte_size(graph.type(operand)).value_or(0);
  return bytes <= std::max(kSmall, byte_size(product.type).value_or(0));
}

}  // namespace

Graph join_products(Graph graph) {
  const auto users = users_of(graph);
  std::vector<size_t> readers(graph.size());
  for (uint32_t i = 0; i < graph.size(); ++i) readers[i] = users[i].size();
  for (const Output& result : graph.results) ++readers[result.node.index];
  GraphRebuilder rebuilder(graph);
  for (uint32_t i = 0; i < graph.size(); ++i) {
    const Node& node = graph.nodes[i];
    rebuilder.copy({i});
    const auto is_product = [&](NodeId old) {
      return rebuilder.to()[rebuilder.map(old)].op == OpKind::Contract && readers[old.index] == 1;
    };
    if (node.op != OpKind::Add || !std::ranges::all_of(node.inputs, is_product)) continue;
    const Graph& to = rebuilder.to();
    const Node first = to[rebuilder.map(node.inputs[0])], second = to[rebuilder.map(node.inputs[1])];
    if (first.type != node.type || second.type != node.type || !(pays(to, first) || pays(to, second))) continue;
    const TensorType types[] = {to.type(first.inputs[0]), to.type(first.inputs[1])};
    const Operands more = operands_for(to, second, first.attrs.formula("formula"), types);
    if (more.empty()) continue;
    Operands operands = first.inputs;
    operands.insert(operands.end(), more.begin(), more.end());
    rebuilder.build().set_place(node);
    rebuilder.replace({i}, rebuilder.build().make(OpKind::Contract, std::move(operands), first.attrs));
  }
  return rebuilder.finish();
}

}  // namespace smelt
