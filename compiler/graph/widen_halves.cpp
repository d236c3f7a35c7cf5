#include "compiler/graph/widen_halves.h"

#include <algorithm>

#include "ir/half_bits.h"
#include "ir/rewrite.h"

namespace smelt {
namespace {

/// Whether the op looks at what the bits mean. A cast does so itself.
bool computes(const Node& node) {
  switch (op_def(node).kind) {
    case Kind::Elementwise: return node.op != OpKind::Cast && node.op != OpKind::Select && node.op != OpKind::Stop;
    case Kind::Reduce:
    case Kind::Contract: return true;
    case Kind::Scatter: return !op_def(node).traits.overwrites;
    case Kind::Argument:
    case Kind::Constant:
    case Kind::Index:
    case Kind::Extent:
    case Kind::Move:
    case Kind::Gather:
    case Kind::Random:
    case Kind::Scan:
    case Kind::Part:
    case Kind::Composite:
    case Kind::Meta: return false;
  }
  return false;
}

/// Of the op in f32: an attribute may state the type of the result.
Attributes widened(Attributes attrs) {
  for (const auto& [name, value] : Attributes(attrs)) {
    const auto* type = std::get_if<TensorType>(&value);
    if (type != nullptr && is_half(type->dtype)) attrs.set(name, TensorType{DType::F32, type->shape});
  }
  return attrs;
}

}  // namespace

Graph widen_halves(Graph graph) {
  GraphRebuilder rebuilder(graph);
  for (uint32_t i = 0; i < graph.size(); ++i) {
    const Node& node = graph.nodes[i];
    const auto narrow = [&](NodeId id) { return is_half(graph.type(id).dtype); };
    if (!computes(node) || !std::ranges::any_of(node.inputs, narrow)) {
      rebuilder.copy({i});
      continue;
    }
    Builder& b = rebuilder.build();
    b.set_place(node);
    std::vector<NodeId> inputs;
    for (const NodeId input : node.inputs) {
      inputs.push_back(narrow(input) ? b.cast(rebuilder.map(input), DType::F32) : rebuilder.map(input));
    }
    rebuilder.replace({i}, b.cast(b.make(node.op, std::move(inputs), widened(node.attrs)), node.type.dtype));
  }
  return rebuilder.finish();
}

}  // namespace smelt
