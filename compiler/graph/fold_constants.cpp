#include "compiler/graph/fold_constants.h"

#include <cmath>

#include "ir/half_bits.h"
#include "ir/host_scalar.h"
#include "ir/rewrite.h"

namespace smelt {
namespace {

/// The operands' numbers, if each has one and the host can compute with it.
std::optional<std::vector<Scalar>> host_operands(const Graph& graph, const Node& node) {
  std::vector<Scalar> operands;
  for (const NodeId input : node.inputs) {
    const std::optional<double> value = splat_value(graph, input);
    if (!value || is_half(graph.type(input).dtype)) return std::nullopt;
    operands.push_back(HostScalarBuilder::value(graph.type(input).dtype, *value));
  }
  return operands;
}

std::optional<double> fold_elementwise(const Graph& graph, const Node& node) {
  if (is_half(node.type.dtype)) return std::nullopt;
  const std::optional<std::vector<Scalar>> operands = host_operands(graph, node);
  if (!operands) return std::nullopt;
  HostScalarBuilder host;
  const Scalar result = op_def(node).body(host, *operands, node.attrs);
  constexpr int64_t kExact = int64_t{1} << 53;  // a constant holds its number as a double
  if (result.host_integer > kExact || result.host_integer < -kExact) return std::nullopt;
  return HostScalarBuilder::to_double(result);
}

/// Extrema of equal numbers, and sums whose partial sums are all exact.
std::optional<double> fold_reduction(const Graph& graph, const Node& node) {
  const std::optional<double> value = splat_value(graph, node.inputs[0]);
  if (!value || is_half(node.type.dtype)) return std::nullopt;
  double count = 1;
  for (const int64_t axis : node.attrs.integers("axes")) {
    const Extent& extent = graph.type(node.inputs[0]).shape[static_cast<size_t>(axis)];
    if (!extent.is_static() || extent.bound == 0) return std::nullopt;
    count *= static_cast<double>(extent.bound);
  }
  if (node.op != OpKind::ReduceSum) return value;
  const double exact_limit = node.type.dtype == DType::F32 ? 0x1p24 : 0x1p53;
  const double sum = *value * count;
  const bool exact = is_float(node.type.dtype) && std::trunc(*value) == *value && std::fabs(sum) <= exact_limit;
  return exact ? std::optional(sum) : std::nullopt;
}

std::optional<double> fold(const Graph& graph, const Node& node) {
  switch (op_def(node).kind) {
    case Kind::Elementwise: return fold_elementwise(graph, node);
    case Kind::Reduce: return fold_reduction(graph, node);
    case Kind::Move: return reads_outside(graph, node) ? std::nullopt : splat_value(graph, node.inputs[0]);
    case Kind::Argument:
    case Kind::Constant:
    case Kind::Index:
    case Kind::Extent:
    case Kind::Contract:
    case Kind::Gather:
    case Kind::Scatter:
    case Kind::Random:
    case Kind::Scan:
    case Kind::Part:
    case Kind::Composite:
    case Kind::Meta: break;
  }
  return std::nullopt;
}

Graph fold_all(Graph graph) {
  GraphRebuilder rebuilder(graph);
  for (uint32_t i = 0; i < graph.size(); ++i) {
    // A copy, so that the fold sees operands that were folded before it; it is dead when a constant takes its
    // place.
    const NodeId copied = rebuilder.copy({i});
    const Node node = rebuilder.to()[copied];
    const std::optional<double> value = fold(rebuilder.to(), node);
    if (!value) continue;
    rebuilder.build().set_place(node);
    rebuilder.replace({i}, rebuilder.build().constant(*value, node.type));
  }
  return rebuilder.finish();
}

}  // namespace

Graph fold_constants(Graph graph) { return apart_from_grad_operands(std::move(graph), fold_all); }

}  // namespace smelt
