#include "frontend/derivatives.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/example_axis.h"

namespace smelt::frontend {

/// y and x of a derivative, when y depends on x.
std::optional<std::pair<Tensor, Tensor>> Derivatives::derivative_operands(const Value& y, const Value& x, Span span,
                                                                          std::string_view named) {
  const auto of = graph_.expect_float(y, span), with = graph_.expect_float(x, span);
  if (!of || !with) return std::nullopt;
  if (of->weak || with->weak) {
    diagnostics_.report(Diag::E0505, span, "a run-time number of the step has no gradient");
    return std::nullopt;
  }
  if (with->node.index > of->node.index || !ancestors_of(graph_.builder().graph(), of->node)[with->node.index]) {
    diagnostics_.report(Diag::E0602, span, fmt::format("the value does not depend on {}", named))
        .with_help("use the very value that the expression was computed from");
    return std::nullopt;
  }
  return std::pair(*of, *with);
}

/// Names the innermost layer that mixes the examples, else the operation.
void Derivatives::report_coupling(NodeId coupling, Span span) {
  const std::string_view op = op_def(graph_.builder().graph()[coupling]).name;
  for (const FunctionContext::LayerCall& call : graph_.context().layer_calls) {
    if (coupling.index < call.begin || coupling.index >= call.end) continue;
    diagnostics_
        .report(Diag::E0505, span,
                fmt::format("examples are mixed: the value of one depends on others through layer `{}` ({})", call.path,
                            call.layer))
        .label(call.span, fmt::format("`{}` mixes the examples with a `{}`", call.layer, op))
        .with_help(op == op_def(OpKind::Scan).name
                       ? "differentiate a scalar, `grad(sum(e), wrt=x)`: of examples that the steps keep apart it is "
                         "that of each"
                       : "a layer such as BatchNorm cannot stand under a gradient per example; LayerNorm can");
    return;
  }
  diagnostics_
      .report(Diag::E0505, span, fmt::format("examples are mixed: the value of one depends on others through `{}`", op))
      .label(graph_.builder().graph()[coupling].span, "mixes the examples")
      .with_help("differentiate a scalar: `grad(sum(e), wrt=x)`");
}

/// By each of several values, or by one. y is a scalar, or one value per example; then y[b] has to depend on x[b]
/// alone, and the gradient of the sum is that of each.
Value Derivatives::gradient(const Value& y, const Value& x, Span span, std::string_view named) {
  if (const auto* several = x.as<TupleValue>()) {
    TupleValue gradients;
    for (const Value& one : several->items) {
      gradients.items.push_back(gradient(y, one, span, fmt::format("value {} of `wrt`", gradients.items.size() + 1)));
      if (gradients.items.back().bad()) return {};
    }
    return Value(std::move(gradients));
  }
  const auto operands = derivative_operands(y, x, span, named);
  if (!operands) return {};
  const auto& [of, with] = *operands;
  NodeId scalar = of.node;
  if (!of.axes.empty()) {
    const auto place = std::ranges::find(with.axes, of.axes[0]);
    if (of.axes.size() > 1 || place == with.axes.end()) {
      diagnostics_
          .report(Diag::E0505, span,
                  fmt::format("the gradient of `{}` is not one of a scalar or of one value per example",
                              shapes_.type_text(of)))
          .with_help("apply `sum` or `mean`");
      return {};
    }
    const int64_t axis = place - with.axes.begin();
    const NodeId coupling =
        ExampleAxis(graph_.builder().graph(), graph_.context().example_sums, of.node, with.node, axis).coupling();
    if (coupling.valid()) {
      report_coupling(coupling, span);
      return {};
    }
    scalar = graph_.builder().make(OpKind::ReduceSum, {of.node}, {{"axes", std::vector<int64_t>{0}}});
    graph_.context().example_sums.axes[scalar] = axis;
  }
  graph_.builder().set_span(span);
  return Value(graph_.tensor(graph_.builder().make(OpKind::Grad, {scalar, with.node}), with.axes));
}

/// How y changes when x changes along v: forward mode, for a y of any shape.
Value Derivatives::directional_derivative(const Value& y, const Value& x, const Value& v, Span span) {
  const auto operands = derivative_operands(y, x, span);
  std::optional<Tensor> along = operands ? graph_.expect_float(v, span) : std::nullopt;
  if (along) along = graph_.cast_to(*along, operands->second.dtype, span);
  if (along) along = graph_.broadcast_to(*along, operands->second.axes, span);
  if (!along) return {};
  graph_.builder().set_span(span);
  return Value(
      graph_.tensor(graph_.builder().make(OpKind::Jvp, {operands->first.node, operands->second.node, along->node}),
                    operands->first.axes));
}

/// l2: half the sum of squares; l1: the sum of magnitudes.
Value Derivatives::penalty(const Value& what, bool squared, Span span) {
  std::vector<Tensor> parts;
  const auto* selector = what.as<Selector>();
  const auto* layer = what.as<LayerValue>();
  Selector whole;
  if (layer != nullptr && layer->averages != nullptr) {  // an average by its name
    for (const auto& [parameter, average] : *layer->averages) whole.variables.push_back(average);
    selector = &whole;
  } else if (layer != nullptr) {  // a model by its name
    for (size_t i = 0; i < experiment_.variables.size(); ++i) {
      if (experiment_.variables[i].path.starts_with(layer->instance->path + "."))
        whole.variables.push_back(static_cast<int32_t>(i));
    }
    selector = &whole;
  }
  if (selector != nullptr) {
    for (const int32_t variable : selector->variables) {
      const Variable& v = experiment_.variables[static_cast<size_t>(variable)];
      if (v.kind != VariableKind::Param && v.average_of.empty()) continue;
      Axes axes;
      for (const Extent& extent : v.type.shape) axes.push_back({kAnonymous, extent});
      parts.push_back(graph_.variable_value(variable, axes));
    }
    if (parts.empty()) return Value(graph_.constant(0, graph_.real(), {}));
  } else {
    const auto x = graph_.expect_float(what, span);
    if (!x) return {};
    parts.push_back(*x);
  }
  Value total;
  for (const Tensor& part : parts) {
    const Value each =
        graph_.elementwise(squared ? OpKind::Square : OpKind::Abs, {Value(part)}, span, squared ? "`l2`" : "`l1`");
    const Value sum = graph_.reduce(OpKind::ReduceSum, each, nullptr, span);
    total = total.bad() ? sum : graph_.binary(ast::BinaryOp::Add, total, sum, span);
  }
  return squared ? graph_.binary(ast::BinaryOp::Mul, Value(0.5), total, span) : total;
}

}  // namespace smelt::frontend
