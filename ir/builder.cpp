#include "ir/builder.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/support/check.h"

namespace smelt {
namespace {

constexpr int64_t kMaxTensorBytes = int64_t{1} << 47;  // the address space of a process

std::string_view to_string(AttrType type) {
  switch (type) {
    case AttrType::Int: return "an integer";
    case AttrType::Float: return "a number";
    case AttrType::String: return "a string";
    case AttrType::Ints: return "a list of integers";
    case AttrType::Type: return "a tensor type";
    case AttrType::Formula: return "an index formula";
  }
  return "?";
}

/// The attributes in the order of the record and under the record's names, which outlive the node.
Result<Attributes> checked_attributes(const OpDef& op, const Attributes& given) {
  Attributes attrs;
  for (const AttrDef& def : op.attributes) {
    const AttrValue* value = given.find(def.name);
    if (value == nullptr) {
      return fail(ErrorKind::Model, fmt::format("`{}` lacks attribute `{}`", op.name, def.name));
    }
    if (value->index() != static_cast<size_t>(def.type)) {
      return fail(ErrorKind::Model,
                  fmt::format("attribute `{}` of `{}` is {}", def.name, op.name, to_string(def.type)));
    }
    if (const auto* formula = std::get_if<IndexFormula>(value)) {
      attrs.set(def.name, canonical(*formula));
    } else {
      attrs.set(def.name, *value);
    }
  }
  for (const auto& [name, value] : given) {
    const bool known = std::ranges::find(op.attributes, name, &AttrDef::name) != op.attributes.end();
    if (!known) return fail(ErrorKind::Model, fmt::format("`{}` has no attribute `{}`", op.name, name));
  }
  return attrs;
}

/// Whether strides and the bytes of one row fit. The rows of a data column may have any bound: nothing but
/// the reader allocates them.
bool is_addressable(const TensorType& type, Kind kind) {
  for (const Extent& extent : type.shape) {
    if (extent.bound < 0) return false;
  }
  TensorType row = type;
  if (kind == Kind::Argument && !row.shape.empty()) row.shape.erase(row.shape.begin());
  const std::optional<int64_t> bytes = byte_size(row);
  return bytes && *bytes <= kMaxTensorBytes;
}

bool is_identity(std::span<const int64_t> axes, size_t rank) {
  if (axes.size() != rank) return false;
  for (size_t i = 0; i < rank; ++i) {
    if (axes[i] != static_cast<int64_t>(i)) return false;
  }
  return true;
}

std::vector<int64_t> sorted(std::vector<int64_t> axes) {
  std::ranges::sort(axes);
  return axes;
}

}  // namespace

Result<TensorType> infer_type(const Graph& graph, OpKind op, std::span<const NodeId> inputs, const Attributes& attrs) {
  const OpDef& def = op_def(op);
  std::vector<TensorType> operands;
  for (const NodeId input : inputs) operands.push_back(graph.type(input));
  SMELT_TRY(TensorType type, def.infer({def, operands, attrs, graph.symbols}));
  if (!is_addressable(type, def.kind)) {
    return fail(ErrorKind::Limit,
                fmt::format("`{}` makes `{}`, which no memory can hold", def.name, to_string(type, graph.symbols)));
  }
  return type;
}

Result<NodeId> Builder::push(OpKind op, Operands inputs, Attributes attrs) {
  const OpDef& def = op_def(op);
  if (!takes(def, inputs.size())) {
    return fail(ErrorKind::Model,
                fmt::format("`{}` takes {} operands, got {}", def.name, def.operands.size(), inputs.size()));
  }
  for (const NodeId input : inputs) {
    SMELT_CHECK(input.index < graph_.size(), "operand {} of `{}` in a graph of {} nodes", input.index, def.name,
                graph_.size());
  }
  SMELT_TRY(Attributes checked, checked_attributes(def, attrs));
  auto type = infer_type(graph_, op, inputs, checked);
  if (!type) {
    Error error = std::move(type).error();
    if (error.span.empty()) error.span = span_;
    return std::unexpected(std::move(error));
  }
  graph_.nodes.push_back({op, std::move(inputs), std::move(checked), *std::move(type), span_, call_});
  return NodeId{graph_.size() - 1};
}

NodeId Builder::make(OpKind op, Operands inputs, Attributes attrs) {
  const Result<NodeId> id = push(op, std::move(inputs), std::move(attrs));
  SMELT_CHECK(id.has_value(), "{}", id.error().message);
  return *id;
}

NodeId Builder::copy(const Node& node, Operands inputs) {
  Node copied = node;
  copied.inputs = std::move(inputs);
  graph_.nodes.push_back(std::move(copied));
  return {graph_.size() - 1};
}

NodeId Builder::argument(Argument argument, TensorType type) {
  const auto position = static_cast<int64_t>(graph_.arguments.size());
  argument.node = make(OpKind::Argument, {}, {{"index", position}, {"type", std::move(type)}});
  graph_.arguments.push_back(std::move(argument));
  return graph_.arguments.back().node;
}

NodeId Builder::constant(double value, const TensorType& type) {
  return make(OpKind::Constant, {}, {{"value", value}, {"type", type}});
}

NodeId Builder::index(const TensorType& type, int64_t axis) {
  return make(OpKind::Index, {}, {{"axis", axis}, {"type", type}});
}

NodeId Builder::position(Shape shape) {  // by value: it may be that of a node, which moves
  const TensorType type{DType::I32, shape};
  const std::vector<int64_t> strides = row_major_strides(shape);
  NodeId sum;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    NodeId term = index(type, static_cast<int64_t>(axis));
    if (strides[axis] != 1) {
      const NodeId stride = constant(static_cast<double>(strides[axis]), type);
      term = mul(term, stride);
    }
    sum = sum.valid() ? add(sum, term) : term;
  }
  return sum.valid() ? sum : constant(0, type);
}

NodeId Builder::extent(int32_t symbol, int64_t bound, DType dtype) {
  return make(OpKind::Extent, {}, {{"symbol", int64_t{symbol}}, {"bound", bound}, {"type", TensorType{dtype, {}}}});
}

NodeId Builder::count(NodeId x, std::span<const int64_t> axes, DType dtype) {
  const Shape shape = type(x).shape;
  int64_t product = 1;
  NodeId result;
  for (const int64_t axis : axes) {
    const Extent& size = shape[static_cast<size_t>(axis)];
    if (size.is_static()) {
      product *= size.bound;
      continue;
    }
    const NodeId factor = extent(size.symbol, size.bound, dtype);
    result = result.valid() ? mul(result, factor) : factor;
  }
  if (!result.valid()) return constant(static_cast<double>(product), {dtype, {}});
  return product == 1 ? result : mul(result, like(result, static_cast<double>(product)));
}

NodeId Builder::cast(NodeId a, DType dtype) {
  if (type(a).dtype == dtype) return a;
  return make(OpKind::Cast, {a}, {{"dtype", std::string(smelt::to_string(dtype))}});
}

NodeId Builder::reduce_sum(NodeId x, std::vector<int64_t> axes) {
  if (axes.empty()) return x;
  return make(OpKind::ReduceSum, {x}, {{"axes", sorted(std::move(axes))}});
}

NodeId Builder::reduce_max(NodeId x, std::vector<int64_t> axes) {
  if (axes.empty()) return x;
  return make(OpKind::ReduceMax, {x}, {{"axes", sorted(std::move(axes))}});
}

NodeId Builder::reduce_min(NodeId x, std::vector<int64_t> axes) {
  if (axes.empty()) return x;
  return make(OpKind::ReduceMin, {x}, {{"axes", sorted(std::move(axes))}});
}

NodeId Builder::broadcast(NodeId x, const Shape& shape, std::vector<int64_t> axes) {
  if (type(x).shape == shape && is_identity(axes, shape.size())) return x;
  return make(OpKind::Broadcast, {x}, {{"axes", std::move(axes)}, {"type", TensorType{type(x).dtype, shape}}});
}

NodeId Builder::broadcast_back(NodeId reduced, const Shape& shape, std::span<const int64_t> axes) {
  std::vector<int64_t> kept;
  for (int64_t axis = 0; axis < static_cast<int64_t>(shape.size()); ++axis) {
    if (std::ranges::find(axes, axis) == axes.end()) kept.push_back(axis);
  }
  return broadcast(reduced, shape, std::move(kept));
}

NodeId Builder::transpose(NodeId x, std::vector<int64_t> permutation) {
  if (is_identity(permutation, type(x).rank())) return x;
  return make(OpKind::Transpose, {x}, {{"permutation", std::move(permutation)}});
}

NodeId Builder::reshape(NodeId x, const Shape& shape) {
  if (type(x).shape == shape) return x;
  return make(OpKind::Reshape, {x}, {{"type", TensorType{type(x).dtype, shape}}});
}

NodeId Builder::contract(NodeId a, NodeId b, IndexFormula formula) {
  return make(OpKind::Contract, {a, b}, {{"formula", std::move(formula)}});
}

NodeId Builder::read(NodeId x, IndexFormula formula, double outside) {
  return make(OpKind::Read, {x}, {{"formula", std::move(formula)}, {"outside", outside}});
}

}  // namespace smelt
