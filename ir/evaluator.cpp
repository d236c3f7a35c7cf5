#include "ir/evaluator.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "ir/builder.h"
#include "ir/half_bits.h"
#include "ir/host_scalar.h"
#include "ir/op.h"
#include "ir/scan.h"
#include "ir/support/check.h"

namespace smelt {
namespace {

using Sizes = std::vector<int64_t>;

/// The nearest number with `digits` significant bits and exponents from `min_exponent`; ties to even.
double round_to_bits(double value, int digits, int min_exponent, double max_finite) {
  if (!std::isfinite(value) || value == 0) return value;
  const int exponent = std::max(std::ilogb(value), min_exponent);
  const double unit = std::ldexp(1.0, exponent - digits + 1);
  const double rounded = std::nearbyint(value / unit) * unit;
  return std::fabs(rounded) > max_finite ? std::copysign(INFINITY, value) : rounded;
}

/// Half precision is for memory only: there are no scalar bodies in it.
bool has_scalar_bodies(DType dtype) { return !is_half(dtype); }

double apply_body(const OpDef& def, const Attributes& attrs, std::span<const double> args, DType dtype) {
  HostScalarBuilder builder;
  std::array<Scalar, 4> scalars;
  for (size_t k = 0; k < args.size(); ++k) scalars[k] = HostScalarBuilder::value(dtype, args[k]);
  return HostScalarBuilder::to_double(def.body(builder, std::span(scalars.data(), args.size()), attrs));
}

class Evaluator {
 public:
  Evaluator(const Graph& graph, std::span<const RefTensor> arguments, std::span<const int64_t> extents,
            const EvalOptions& options)
      : graph_(graph), arguments_(arguments), extents_(extents), options_(options) {}

  Result<std::vector<RefTensor>> run() {
    values_.resize(graph_.size());
    parts_.resize(graph_.size());
    count_readers();
    for (uint32_t i = 0; i < graph_.size(); ++i) {
      if (readers_[i] == 0) continue;
      SMELT_TRY_VOID(evaluate_node({i}));
      release_operands(graph_.nodes[i]);
    }
    std::vector<RefTensor> results;
    for (const Output& output : graph_.results) results.push_back(values_[output.node.index]);
    return results;
  }

 private:
  /// Results are readers too, so that they stay.
  void count_readers() {
    const std::vector<bool> live = live_nodes(graph_);
    readers_.assign(graph_.size(), 0);
    for (uint32_t i = 0; i < graph_.size(); ++i) {
      if (!live[i]) continue;
      for (const NodeId input : graph_.nodes[i].inputs) ++readers_[input.index];
    }
    for (const Output& output : graph_.results) ++readers_[output.node.index];
  }

  void release_operands(const Node& node) {
    for (const NodeId input : node.inputs) {
      if (--readers_[input.index] == 0) values_[input.index] = {};
    }
  }

  Result<void> evaluate_node(NodeId id) {
    const Node& node = graph_[id];
    const OpDef& def = op_def(node);
    RefTensor& result = values_[id.index];
    result.type = node.type;
    result.sizes = actual_sizes(node.type.shape, extents_);
    result.values.assign(static_cast<size_t>(result.count()), 0.0);
    std::vector<const RefTensor*> operands;
    for (const NodeId input : node.inputs) operands.push_back(&values_[input.index]);
    const TensorReferenceArgs args{node, operands, result};

    switch (def.kind) {
      case Kind::Argument: SMELT_TRY_VOID(read_argument(args)); return watch(id, args);
      case Kind::Constant: {
        // Where any value is rounded its number is one of its type, as code has it.
        const double value = node.attrs.number("value");
        const bool rounds = options_.rounding != Rounding::None && is_float(node.type.dtype);
        std::ranges::fill(result.values, rounds ? round_to_float(value, node.type.dtype) : value);
        break;
      }
      case Kind::Index: fill_index(args); break;
      case Kind::Extent: result.values[0] = static_cast<double>(extents_[node.attrs.integer("symbol")]); break;
      case Kind::Elementwise: map_elements(id, args); break;
      case Kind::Reduce: fold_elements(def, args); break;
      case Kind::Gather: SMELT_TRY_VOID(check_index(node, *operands[1], operands[0]->sizes[row_axis(node)])); break;
      case Kind::Scatter: SMELT_TRY_VOID(check_index(node, *operands[0], result.sizes[row_axis(node)])); break;
      case Kind::Composite: SMELT_TRY_VOID(expand(args)); return watch(id, args);
      case Kind::Scan: return run_steps(id, args);
      case Kind::Part:
        result = parts_[node.inputs[0].index][static_cast<size_t>(node.attrs.integer("result"))];
        return watch(id, args);
      case Kind::Contract:
      case Kind::Move:
      case Kind::Random: break;
      case Kind::Meta: SMELT_CHECK(false, "`{}` cannot be evaluated", def.name);
    }
    if (def.tensor_reference != nullptr) def.tensor_reference(args);
    store(node, result);
    if (options_.adjust) options_.adjust(node, operands, result);
    return watch(id, args);
  }

  Result<void> watch(NodeId id, const TensorReferenceArgs& args) const {
    if (options_.watcher != nullptr) options_.watcher->on_node(id, args.operands, args.result);
    return {};
  }

  Result<void> read_argument(const TensorReferenceArgs& args) {
    const int64_t index = args.node.attrs.integer("index");
    SMELT_CHECK(index < static_cast<int64_t>(arguments_.size()), "argument {} of {}", index, arguments_.size());
    const RefTensor& given = arguments_[static_cast<size_t>(index)];
    SMELT_CHECK(given.sizes == args.result.sizes && given.count() == static_cast<int64_t>(given.values.size()),
                "argument {} has sizes [{}], expected [{}]", index, fmt::join(given.sizes, ", "),
                fmt::join(args.result.sizes, ", "));
    args.result.values = given.values;
    store(args.node, args.result);
    return {};
  }

  static void fill_index(const TensorReferenceArgs& args) {
    const auto axis = static_cast<size_t>(args.node.attrs.integer("axis"));
    int64_t inner = 1;
    for (size_t i = axis + 1; i < args.result.sizes.size(); ++i) inner *= args.result.sizes[i];
    for (size_t i = 0; i < args.result.values.size(); ++i) {
      args.result.values[i] = static_cast<double>(static_cast<int64_t>(i) / inner % args.result.sizes[axis]);
    }
  }

  void map_elements(NodeId id, const TensorReferenceArgs& args) const {
    std::vector<double> scalars(args.operands.size());
    for (size_t i = 0; i < args.result.values.size(); ++i) {
      for (size_t k = 0; k < scalars.size(); ++k) scalars[k] = args.operands[k]->values[i];
      args.result.values[i] = evaluate_element(graph_, id, scalars, options_.formula);
    }
  }

  void fold_elements(const OpDef& def, const TensorReferenceArgs& args) const {
    const RefTensor& x = *args.operands[0];
    const DType dtype = args.node.type.dtype;
    const bool use_body = options_.formula == Formula::Body && has_scalar_bodies(dtype);
    const Sizes& axes = args.node.attrs.integers("axes");
    // The stride in the result of each operand axis, 0 for a reduced one.
    Sizes strides(x.sizes.size());
    int64_t stride = 1;
    for (size_t axis = x.sizes.size(); axis-- > 0;) {
      if (std::ranges::find(axes, static_cast<int64_t>(axis)) != axes.end()) continue;
      strides[axis] = stride;
      stride *= x.sizes[axis];
    }
    std::ranges::fill(args.result.values, def.identity);
    for (size_t i = 0; i < x.values.size(); ++i) {
      int64_t rest = static_cast<int64_t>(i), target = 0;
      for (size_t axis = x.sizes.size(); axis-- > 0;) {
        target += rest % x.sizes[axis] * strides[axis];
        rest /= x.sizes[axis];
      }
      const std::array<double, 2> pair{args.result.values[target], x.values[i]};
      args.result.values[target] = use_body ? apply_body(def, args.node.attrs, pair, dtype) : def.reference(pair);
    }
  }

  Result<void> check_index(const Node& node, const RefTensor& index, int64_t limit) const {
    for (const double value : index.values) {
      if (value >= 0 && value < static_cast<double>(limit)) continue;
      return fail(ErrorKind::RunTime,
                  fmt::format("`{}` has index {}, but there are {} rows", op_def(node).name, value, limit), {},
                  node.span);
    }
    return {};
  }

  /// Evaluates a graph of the expansion alone.
  Result<void> expand(const TensorReferenceArgs& args) {
    Graph inner;
    inner.symbols = graph_.symbols;
    Builder builder(inner);
    std::vector<NodeId> inputs;
    std::vector<RefTensor> arguments;
    for (const RefTensor* operand : args.operands) {
      inputs.push_back(builder.argument({}, operand->type));
      arguments.push_back(*operand);
    }
    const NodeId expanded = op_def(args.node).expand(builder, inputs, args.node.attrs);
    builder.result({"", ResultRole::Value, -1, expanded});
    EvalOptions options = options_;
    options.watcher = nullptr;  // it knows the ids of this graph
    SMELT_TRY(std::vector<RefTensor> results, smelt::evaluate(inner, arguments, extents_, options));
    args.result.values = std::move(results[0].values);
    return {};
  }

  /// Runs the body of a scan step after step; its results wait in `parts_`.
  Result<void> run_steps(NodeId id, const TensorReferenceArgs& args) {
    const Graph& body = *args.node.body;
    EvalOptions options = options_;
    options.watcher = nullptr;  // it knows the ids of this graph
    const int64_t steps = args.result.sizes[0];
    std::vector<RefTensor> inputs;
    for (size_t k = 0; k < args.operands.size(); ++k) inputs.push_back(*args.operands[k]);
    std::vector<RefTensor>& parts = parts_[id.index];
    for (size_t k = 0; k < body.results.size(); ++k) {
      const TensorType type = part_type(args.node, k);
      RefTensor part{type, actual_sizes(type.shape, extents_), {}};
      if (body.results[k].role == ResultRole::Carry)
        part.values = args.operands[carry_argument(body, body.results[k].ref)]->values;
      part.values.resize(static_cast<size_t>(part.count()));
      parts.push_back(std::move(part));
    }
    const auto is_over = [&] {
      return may_stop(args.node) && parts[carry_result(body, until_of(args.node))].values[0] != 0;
    };
    for (int64_t turn = 0; turn < steps && !is_over(); ++turn) {
      const int64_t step = is_reversed(args.node) ? steps - 1 - turn : turn;
      for (size_t k = 0; k < inputs.size(); ++k) {
        if (body.arguments[k].role == ArgRole::Slice) inputs[k] = element_of(*args.operands[k], step);
      }
      SMELT_TRY(const std::vector<RefTensor> results, smelt::evaluate(body, inputs, extents_, options));
      for (size_t k = 0; k < results.size(); ++k) {
        if (body.results[k].role == ResultRole::Carry) {
          parts[k].values = results[k].values;
          inputs[carry_argument(body, body.results[k].ref)].values = results[k].values;
        } else {
          std::ranges::copy(results[k].values, parts[k].values.begin() + step * results[k].count());
        }
      }
    }
    return {};
  }

  /// Element `step` of the first axis.
  static RefTensor element_of(const RefTensor& x, int64_t step) {
    RefTensor element{{x.type.dtype, Shape(x.type.shape.begin() + 1, x.type.shape.end())},
                      Sizes(x.sizes.begin() + 1, x.sizes.end()),
                      {}};
    const auto begin = x.values.begin() + step * element.count();
    element.values.assign(begin, begin + element.count());
    return element;
  }

  /// Makes the values those of the node's dtype. Integers are always whole: `cast` saturates; elsewhere a
  /// value that is not finite comes from a division by zero, whose result is 0.
  void store(const Node& node, RefTensor& tensor) const {
    const DType dtype = node.type.dtype;
    if (is_float(dtype)) {
      if (options_.rounding == Rounding::None || (options_.rounding == Rounding::Halves && !is_half(dtype))) return;
      for (double& value : tensor.values) value = round_to_float(value, dtype);
      return;
    }
    const bool keeps_infinity = op_def(node).kind != Kind::Elementwise || node.op == OpKind::Cast;
    for (double& value : tensor.values) {
      const double number = keeps_infinity || std::isfinite(value) ? value : 0.0;
      value = HostScalarBuilder::to_double(HostScalarBuilder::value(dtype, number));
    }
  }

  const Graph& graph_;
  std::span<const RefTensor> arguments_;
  std::span<const int64_t> extents_;
  const EvalOptions& options_;
  std::vector<RefTensor> values_;
  std::vector<std::vector<RefTensor>> parts_;  // of scans
  std::vector<uint32_t> readers_;              // that were not evaluated yet
};

}  // namespace

double round_to_float(double value, DType dtype) {
  switch (dtype) {
    case DType::F16: return round_to_bits(value, 11, -14, largest_finite(dtype));
    case DType::BF16: return round_to_bits(value, 8, -126, largest_finite(dtype));
    case DType::F32: return static_cast<float>(value);
    default: return value;
  }
}

int64_t RefTensor::count() const {
  int64_t product = 1;
  for (const int64_t size : sizes) product *= size;
  return product;
}

std::vector<int64_t> actual_sizes(const Shape& shape, std::span<const int64_t> extents) {
  std::vector<int64_t> sizes;
  for (const Extent& extent : shape) {
    if (extent.is_static()) {
      sizes.push_back(extent.bound);
      continue;
    }
    SMELT_CHECK(static_cast<size_t>(extent.symbol) < extents.size(), "run-time dimension {} has no size",
                extent.symbol);
    const int64_t size = extents[static_cast<size_t>(extent.symbol)];
    SMELT_CHECK(size >= 0 && size <= extent.bound, "size {} of a dimension bounded by {}", size, extent.bound);
    sizes.push_back(size);
  }
  return sizes;
}

double evaluate_element(const Graph& graph, NodeId id, std::span<const double> args, Formula formula) {
  const Node& node = graph[id];
  const OpDef& def = op_def(node);
  const auto has_body = [&](NodeId input) { return has_scalar_bodies(graph.type(input).dtype); };
  if (formula == Formula::Reference || !has_scalar_bodies(node.type.dtype) ||
      !std::ranges::all_of(node.inputs, has_body)) {
    return def.reference(args);
  }
  HostScalarBuilder builder;
  std::array<Scalar, 4> scalars;
  for (size_t k = 0; k < args.size(); ++k)
    scalars[k] = HostScalarBuilder::value(graph.type(node.inputs[k]).dtype, args[k]);
  return HostScalarBuilder::to_double(def.body(builder, std::span(scalars.data(), args.size()), node.attrs));
}

Result<std::vector<RefTensor>> evaluate(const Graph& graph, std::span<const RefTensor> arguments,
                                        std::span<const int64_t> extents, const EvalOptions& options) {
  return Evaluator(graph, arguments, extents, options).run();
}

}  // namespace smelt
