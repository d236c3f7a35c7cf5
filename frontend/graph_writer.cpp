#include "frontend/graph_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "ir/half_bits.h"

namespace smelt::frontend {

namespace {

/// The largest magnitude of a run-time number that is whole: dims and whole numbers by `+`, `-` and `*`. Nothing where
/// it may have a fraction.
std::optional<double> whole_magnitude(const Graph& graph, NodeId id, int depth = 0) {
  constexpr int kDeepest = 12;
  if (depth > kDeepest) return std::nullopt;
  const Node& node = graph[id];
  if (node.op == OpKind::Extent) return static_cast<double>(node.attrs.integer("bound"));
  if (node.op == OpKind::Constant) {
    const double value = node.attrs.number("value");
    return std::floor(value) == value ? std::optional(std::abs(value)) : std::nullopt;
  }
  const bool is_sum = node.op == OpKind::Add || node.op == OpKind::Sub, is_one = node.op == OpKind::Neg;
  const bool is_extremum = node.op == OpKind::Max || node.op == OpKind::Min;
  if (!is_sum && !is_one && !is_extremum && node.op != OpKind::Mul) return std::nullopt;
  const std::optional<double> a = whole_magnitude(graph, node.inputs[0], depth + 1);
  if (!a || is_one) return a;
  const std::optional<double> b = whole_magnitude(graph, node.inputs[1], depth + 1);
  if (!b) return std::nullopt;
  return is_sum ? *a + *b : is_extremum ? std::max(*a, *b) : *a * *b;
}

/// Whether a run-time number becomes one of whole numbers without loss.
bool becomes_whole(const Graph& graph, const Tensor& x, DType dtype) {
  if (dtype != DType::I32 && dtype != DType::I64) return false;
  const std::optional<double> most = whole_magnitude(graph, x.node);
  return most && *most <= (dtype == DType::I64 ? 0x1p53 : static_cast<double>(std::numeric_limits<int32_t>::max()));
}

}  // namespace

void GraphWriter::check_number_of_nodes(const FunctionContext& function, size_t nodes, Span span) {
  if (nodes <= limits_.nodes || std::exchange(too_large_, true)) return;
  diagnostics_
      .report(
          Diag::E0204, span,
          fmt::format("`{}` would have {} operations; the limit is {}", function.function.name, nodes, limits_.nodes))
      .with_help("shorten the repeats, or apply fewer layers; " + raise_limit(&Limits::nodes, nodes));
}

Tensor GraphWriter::tensor(NodeId node, Axes axes) {
  Tensor t;
  t.node = node;
  t.graph = context_->id;
  t.dtype = builder().type(node).dtype;
  t.axes = std::move(axes);
  if (builder().graph().size() > limits_.nodes && !std::exchange(too_large_, true)) {
    const Span here = scopes_.frame().instance != nullptr ? scopes_.frame().instance->span : context_->function.span;
    diagnostics_
        .report(Diag::E0204, here,
                fmt::format("`{}` has more than {} operations", context_->function.name, limits_.nodes))
        .with_help("shorten the repeats, or apply fewer layers; " + double_limit(&Limits::nodes, limits_));
  }
  return t;
}

Tensor GraphWriter::constant(double value, DType dtype, const Axes& axes) {
  return tensor(builder().constant(value, {dtype, shape_of(axes)}), axes);
}

/// x with result axis places[i] reading its axis i; the others repeat.
Tensor GraphWriter::expand(const Tensor& x, const Axes& axes, const std::vector<int64_t>& places) {
  bool same = axes.size() == x.axes.size();
  for (size_t i = 0; same && i < places.size(); ++i) same = places[i] == static_cast<int64_t>(i);
  Tensor result = x;
  result.axes = axes;
  if (!same) result.node = builder().broadcast(x.node, shape_of(axes), places);
  return result;
}

std::optional<Tensor> GraphWriter::cast_to(const Tensor& x, DType dtype, Span span) {
  if (x.dtype == dtype) {
    Tensor strong = x;
    strong.weak = false;
    return strong;
  }
  if (x.weak && class_of(dtype) != DTypeClass::Float && !becomes_whole(builder().graph(), x, dtype)) {
    diagnostics_.report(Diag::E0501, span, fmt::format("a run-time number does not become {}", to_string(dtype)))
        .with_help("convert the tensor: `cast(.., f32)`");
    return std::nullopt;
  }
  builder().set_span(span);
  Tensor result = tensor(builder().cast(x.node, dtype), x.axes);
  result.range = x.range;
  result.grid = x.grid;
  return result;
}

/// Losses, metrics and reports are f32 whatever they were computed from, or f64 when that is the type of the run.
std::optional<Tensor> GraphWriter::reported(const Tensor& number, Span span) {
  const bool stays = is_float(number.dtype) && !is_half(number.dtype) && !number.weak;
  return stays ? std::optional(number) : cast_to(number, real(), span);
}

/// A run-time input of the step with this name and start value.
Value GraphWriter::setting(const std::string& name, double value) {
  return Value(scalar_argument(scalar_input(name, ScalarKind::Setting, value, -1)));
}

/// Numbers become constants of `literal_dtype`, dims known at run time become their extent, a selector of one
/// parameter that parameter.
std::optional<Tensor> GraphWriter::expect_tensor(const Value& value, Span span, std::optional<DType> literal_dtype) {
  if (value.bad()) return std::nullopt;
  if (const auto* t = value.as<Tensor>()) {
    if (t->graph == context_->id) return *t;
    diagnostics_.report(Diag::E0502, span, "the value is not known here")
        .with_help("start values are computed before the first step; they depend on sizes and attributes only");
    return std::nullopt;
  }
  if (const auto* dim = value.as<DimValue>(); dim != nullptr && !shapes_.number_of(value)) {
    const Extent extent = shapes_.dim_of(dim->id).extent;
    Tensor t = tensor(builder().extent(extent.symbol, extent.bound, DType::F64), {});
    t.weak = true;
    return t;
  }
  if (const auto* selector = value.as<Selector>();
      selector != nullptr && selector->exact && selector->variables.size() == 1) {
    return variable_value(selector->variables[0], axes_of_variable(selector->variables[0]));
  }
  if (const auto* selector = value.as<Selector>(); selector != nullptr && selector->variables.empty()) {
    missed_parameters_ = true;  // a trial: out of one it is an error of the selector
    return std::nullopt;
  }
  const DType dtype = literal_dtype.value_or(real());
  if (const auto* flag = value.as<bool>(); flag != nullptr && (dtype == DType::Bool || !literal_dtype))
    return constant(*flag ? 1 : 0, DType::Bool, {});
  const std::optional<double> number = shapes_.number_of(value);
  if (number && dtype == DType::Bool) {
    diagnostics_.report(Diag::E0501, span, fmt::format("{} meets a tensor of bool", *number))
        .with_help("what holds or not becomes 1 or 0 by `cast(.., f32)`");
    return std::nullopt;
  }
  if (!number || dtype == DType::Bool) {
    diagnostics_
        .report(Diag::E0403, span,
                fmt::format("expected a {} tensor, found {}", dtype == DType::Bool ? "bool" : "number or",
                            shapes_.describe(value)))
        .with_help(shapes_.help_for_no_value(value));
    return std::nullopt;
  }
  if (!is_float(dtype) && *number != std::trunc(*number)) {
    diagnostics_.report(Diag::E0501, span, fmt::format("{} meets a tensor of {}", *number, to_string(dtype)))
        .with_help("convert the tensor: `cast(.., f32)`");
    return std::nullopt;
  }
  return constant(*number, dtype, {});
}

std::optional<Tensor> GraphWriter::expect_float(const Value& value, Span span) {
  std::optional<Tensor> t = expect_tensor(value, span, real());
  if (!t) return std::nullopt;
  if (class_of(t->dtype) == DTypeClass::Float && t->column < 0) return t;
  const bool converts = t->column >= 0 || t->dtype == DType::U8 || t->dtype == DType::I8 || t->dtype == DType::I16;
  if (converts) return cast_to(*t, real(), span);
  diagnostics_.report(Diag::E0501, span, fmt::format("expected a float tensor, found `{}`", shapes_.type_text(*t)))
      .with_help("convert it: `cast(.., f32)`");
  return std::nullopt;
}

/// Current value in the function that is being built; its argument is made when it is first read.
NodeId GraphWriter::variable_node(int32_t variable) {
  const auto known = context_->variables.find(variable);
  if (known != context_->variables.end()) return known->second;
  if (context_->is_init) return {};
  const Variable& v = experiment_.variables[static_cast<size_t>(variable)];
  const NodeId node = builder().argument({v.path, ArgRole::Variable, variable, {}}, v.type);
  context_->variables.emplace(variable, node);
  return node;
}

Axes GraphWriter::axes_of_variable(int32_t variable) const {
  if (const auto known = axes_of_variables_.find(variable); known != axes_of_variables_.end()) return known->second;
  Axes axes;
  for (const Extent& extent : experiment_.variables[static_cast<size_t>(variable)].type.shape)
    axes.push_back({kAnonymous, extent});
  return axes;
}

Tensor GraphWriter::variable_value(int32_t variable, const Axes& axes) {
  if (const auto* averages = scopes_.frame().around.averages) {
    const auto average = averages->find(variable);
    if (average != averages->end()) variable = average->second;
  }
  const NodeId node = variable_node(variable);
  return node.valid() ? tensor(node, axes)
                      : constant(0, experiment_.variables[static_cast<size_t>(variable)].type.dtype, axes);
}

void GraphWriter::write_variable(int32_t variable, const Tensor& value) {
  variable_node(variable);
  context_->variables[variable] = value.node;
  context_->written.insert(variable);
}

NodeId GraphWriter::value_before(int32_t variable) const {
  const std::vector<Argument>& arguments = context_->function.graph.arguments;
  const auto found = std::ranges::find_if(arguments, [&](const Argument& argument) {
    return argument.role == ArgRole::Variable && argument.ref == variable;
  });
  return found == arguments.end() ? NodeId() : found->node;
}

NodeId GraphWriter::seed_argument() {
  if (!context_->seed.valid()) context_->seed = builder().argument({"seed", ArgRole::Seed, -1, {}}, {DType::I64, {}});
  return context_->seed;
}

NodeId GraphWriter::run_argument() {
  if (context_->run.valid()) return context_->run;
  const TensorType type{DType::I64, {}};
  context_->run =
      context_->is_init ? builder().constant(0, type) : builder().argument({"run", ArgRole::Run, -1, {}}, type);
  return context_->run;
}

int32_t GraphWriter::scalar_input(const std::string& name, ScalarKind kind, double initial, int32_t ref) {
  for (size_t i = 0; i < experiment_.scalars.size(); ++i) {
    if (experiment_.scalars[i].name == name) return static_cast<int32_t>(i);
  }
  experiment_.scalars.push_back({name, kind, initial, ref});
  return static_cast<int32_t>(experiment_.scalars.size() - 1);
}

Tensor GraphWriter::scalar_argument(int32_t scalar) {
  NodeId& node = context_->scalars[scalar];
  if (!node.valid()) {
    node = builder().argument({experiment_.scalars[static_cast<size_t>(scalar)].name, ArgRole::Scalar, scalar, {}},
                              {DType::F64, {}});
  }
  Tensor t = tensor(node, {});
  t.weak = true;
  return t;
}

void GraphWriter::note_use(std::string_view name, const std::vector<Value>& operands, const Value& result, Span span,
                           bool by_logvar) {
  if (context_->trial || scopes_.frame().scope->library) return;
  const auto operand = [&](const Value& value) {
    FunctionContext::Use::Operand made;
    made.number = shapes_.number_of(value);
    if (const auto* t = value.as<Tensor>(); t != nullptr && t->graph == context_->id) {
      made.node = t->node;
      made.axes = t->axes;
      made.range = t->range;
    }
    return made;
  };
  FunctionContext::Use use{std::string(name), span, {}, operand(result), by_logvar};
  for (const Value& value : operands) use.operands.push_back(operand(value));
  context_->uses.push_back(std::move(use));
}

Tensor GraphWriter::part(const Tensor& x, size_t place, const Axis& axis, int64_t start, std::optional<double> outside,
                         Span span) {
  IndexFormula formula{static_cast<int32_t>(x.axes.size()), {IndexMap{{}, outside.has_value()}}, {}};
  for (int32_t index = 0; index < formula.rank; ++index) {
    formula.operands[0].axes.push_back(Affine::of(index));
    formula.extents.push_back(unstated());
  }
  formula.operands[0].axes[place] = Affine::of(static_cast<int32_t>(place)) + start;
  formula.extents[place] = axis.extent;
  builder().set_span(span);
  Tensor result = x;
  result.node = builder().read(x.node, std::move(formula), outside.value_or(0));
  result.axes[place] = axis;
  result.column = -1;
  if (outside) result.range.reset();
  return result;
}

Tensor GraphWriter::rows_along(const Tensor& x, size_t place, NodeId rows, const Axis& axis, Span span) {
  std::vector<int64_t> to_front{static_cast<int64_t>(place)}, back(x.axes.size());
  for (size_t k = 0; k < x.axes.size(); ++k)
    if (k != place) to_front.push_back(static_cast<int64_t>(k));
  for (size_t k = 0; k < back.size(); ++k) back[static_cast<size_t>(to_front[k])] = static_cast<int64_t>(k);
  builder().set_span(span);
  const NodeId table = place == 0 ? x.node : builder().transpose(x.node, to_front);
  Tensor result = x;
  result.node = builder().make(OpKind::Gather, {table, rows});
  if (builder().type(rows).rank() == 0) {
    result.axes.erase(result.axes.begin() + static_cast<std::ptrdiff_t>(place));
  } else {
    result.axes[place] = axis;
    if (place != 0) result.node = builder().transpose(result.node, back);
  }
  return result;
}

}  // namespace smelt::frontend
