#include "fuzz/halves.h"

#include <algorithm>
#include <vector>

#include "compiler/codegen/make_target.h"
#include "ir/half_bits.h"
#include "ir/op.h"

namespace smelt::fuzz {
namespace {

/// Whether the op's result is a half that is computed and rounded, not one of its operands' elements.
bool computes_half(const Graph& graph, const Node& node) {
  if (!is_half(node.type.dtype)) return false;
  const Kind kind = op_def(node).kind;
  if (kind == Kind::Elementwise) return node.op != OpKind::Cast && node.op != OpKind::Select && node.op != OpKind::Stop;
  const bool sums = kind == Kind::Reduce || kind == Kind::Contract || kind == Kind::Scatter || kind == Kind::Composite;
  return sums && !op_def(node).traits.overwrites &&
         std::ranges::any_of(node.inputs, [&](NodeId input) { return is_half(graph.type(input).dtype); });
}

/// Whether a half lies between y and x, on a way that gradients take.
bool goes_through_halves(const Graph& graph, NodeId y, NodeId x) {
  std::vector<bool> from_x(graph.size(), false), to_y(graph.size(), false);
  from_x[x.index] = to_y[y.index] = true;
  const auto passes = [&](uint32_t i) {
    return graph.nodes[i].op != OpKind::Stop && is_float(graph.nodes[i].type.dtype);
  };
  for (uint32_t i = x.index + 1; i <= y.index; ++i) {
    from_x[i] =
        passes(i) && std::ranges::any_of(graph.nodes[i].inputs, [&](NodeId input) { return from_x[input.index]; });
  }
  for (uint32_t i = y.index + 1; i-- > x.index;) {
    if (!to_y[i] || !passes(i)) continue;
    if (from_x[i] && is_half(graph.nodes[i].type.dtype)) return true;
    for (const NodeId input : graph.nodes[i].inputs) to_y[input.index] = true;
  }
  return false;
}

}  // namespace

HalfRounding half_rounding(const Graph& graph) {
  const std::vector<bool> live = live_nodes(graph);
  HalfRounding found = HalfRounding::None;
  for (uint32_t i = 0; i < graph.size(); ++i) {
    if (!live[i]) continue;
    const Node& node = graph.nodes[i];
    if (computes_half(graph, node)) return HalfRounding::Freely;
    if (node.op == OpKind::Grad && goes_through_halves(graph, node.inputs[0], node.inputs[1]))
      return HalfRounding::Freely;
    if (is_half(node.type.dtype)) found = HalfRounding::Once;
  }
  return found;
}

bool has_bf16_pairs(const Graph& graph, const std::string& cpu) {
  const bool has_bf16 =
      std::ranges::any_of(graph.nodes, [](const Node& node) { return node.type.dtype == DType::BF16; });
  if (!has_bf16) return false;
  const Result<Target> target = make_target(cpu);
  return target && target->has_bf16_pairs;
}

}  // namespace smelt::fuzz
