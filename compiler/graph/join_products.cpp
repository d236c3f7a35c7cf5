#include "compiler/graph/join_products.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

#include "ir/op.h"
#include "ir/ops/contract_formula.h"
#include "ir/rewrite.h"
#include "ir/support/check.h"

namespace smelt {
namespace {

ContractFormula formula_of(const Node& node) {
  const Result<ContractFormula> formula = parse_formula(node.attrs.text("formula"));
  SMELT_CHECK(formula.has_value(), "{}", node.attrs.text("formula"));
  return *formula;
}

/// The formula with its indices named in the order in which they occur.
std::string renamed(const ContractFormula& formula) {
  std::map<std::string, std::string> names;
  ContractFormula result = formula;
  for (auto* list : {&result.lhs, &result.rhs, &result.out}) {
    for (std::string& index : *list) index = names.try_emplace(index, fmt::format("i{}", names.size())).first->second;
  }
  return to_string(result);
}

/// Operands of a product, in pairs, as `formula` reads them; none when it computes something else.
std::vector<NodeId> operands_for(const Graph& graph, const Node& product, const ContractFormula& formula,
                                 std::span<const TensorType> types) {
  std::vector<NodeId> operands = product.inputs;
  const ContractFormula own = formula_of(product);
  if (own != formula) {
    if (own.has_windows() || formula.has_windows()) return {};
    if (renamed(own) != renamed(formula)) {
      if (renamed({own.rhs, own.lhs, own.out}) != renamed(formula)) return {};
      for (size_t k = 0; k < operands.size(); k += 2) std::swap(operands[k], operands[k + 1]);
    }
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
    const std::vector<NodeId> more = operands_for(to, second, formula_of(first), types);
    if (more.empty()) continue;
    std::vector<NodeId> operands = first.inputs;
    operands.insert(operands.end(), more.begin(), more.end());
    rebuilder.build().set_place(node);
    rebuilder.replace({i}, rebuilder.build().make(OpKind::Contract, std::move(operands), first.attrs));
  }
  return rebuilder.finish();
}

}  // namespace smelt
