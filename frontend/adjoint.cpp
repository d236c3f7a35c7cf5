// Custom adjoints: a `fn` with a `vjp` clause says what the cotangents of its parameters are.
#include <fmt/format.h>

#include "frontend/calls.h"
#include "frontend/evaluator.h"
#include "frontend/graph_writer.h"
#include "frontend/scopes.h"

namespace smelt::frontend {

namespace {

/// Whether this parameter can have a cotangent: a float tensor of the graph, not a number of the step.
const Tensor* differentiable(const Value& value) {
  const auto* t = value.as<Tensor>();
  return t != nullptr && !t->weak && class_of(t->dtype) == DTypeClass::Float ? t : nullptr;
}

bool is_nothing(const Value& value) {
  const auto* integer = value.as<int64_t>();
  return value.as<NoneValue>() != nullptr || (integer != nullptr && *integer == 0);
}

}  // namespace

/// The values of the clause, one for each parameter, with the result and its cotangent bound.
std::optional<std::vector<Value>> Calls::vjp_values(const ast::FnDecl& decl, const Tensor& result, const Tensor& ct) {
  const ast::VjpClause& clause = *decl.vjp;
  const BlockScope scope(scopes_.frame());
  scopes_.bind(clause.result, Value(result));
  scopes_.bind(clause.cotangent, Value(ct));
  const Value value = evaluator_.eval_body(clause.body);
  if (value.bad()) return std::nullopt;
  const auto* tuple = value.as<TupleValue>();
  std::vector<Value> values = tuple != nullptr ? tuple->items : std::vector<Value>{value};
  if (values.size() == decl.params.size()) return values;
  diagnostics_
      .report(Diag::E0506, clause.span,
              fmt::format("the `vjp` of `{}` has {} values for {} parameters", decl.name.text, values.size(),
                          decl.params.size()))
      .label(decl.name.span, "declared here")
      .with_help("give each parameter its cotangent, in order; `none` where there is none: `vjp(y, ct) = (ct, none)`");
  return std::nullopt;
}

/// The cotangent of one parameter, shaped like it. Nothing when there is none.
std::optional<Tensor> Calls::parameter_cotangent(const ast::FnDecl& decl, const ast::Param& param,
                                                 const Value& argument, const Value& value) {
  if (is_nothing(value)) return std::nullopt;
  const Span span = decl.vjp->span;
  const Tensor* x = differentiable(argument);
  if (x == nullptr) {
    diagnostics_
        .report(Diag::E0506, span,
                fmt::format("parameter `{}` of `{}` is {}, which has no cotangent", param.name.text, decl.name.text,
                            shapes_.describe(argument)))
        .with_help("write `none` in its place");
    return std::nullopt;
  }
  std::optional<Tensor> g = graph_.expect_float(value, span);
  if (g) g = graph_.cast_to(*g, x->dtype, span);
  if (!g) return std::nullopt;
  if (g->axes.size() > x->axes.size()) {
    diagnostics_
        .report(Diag::E0506, span,
                fmt::format("the cotangent of `{}` is `{}`, the parameter `{}`", param.name.text, shapes_.type_text(*g),
                            shapes_.type_text(*x)))
        .with_help("sum it over the axes that the parameter does not have");
    return std::nullopt;
  }
  return graph_.broadcast_to(*g, x->axes, span);
}

/// `result` with its derivative replaced: its own graph is stopped, and each parameter gets what the clause says.
Value Calls::with_adjoint(const ast::FnDecl& decl, const Value& value) {
  const Span span = decl.vjp->span;
  const std::optional<Tensor> result = value.as<Tensor>() != nullptr ? graph_.expect_float(value, span) : std::nullopt;
  if (!result) {
    if (!value.bad() && value.as<Tensor>() == nullptr)
      diagnostics_.report(
          Diag::E0506, span,
          fmt::format("`{}` is {}; only a float tensor has a `vjp`", decl.name.text, shapes_.describe(value)));
    return {};
  }
  graph_.builder().set_span(span);
  const NodeId ct = graph_.builder().make(
      OpKind::Cotangent, {},
      {{"id", int64_t{graph_.context().cotangents++}}, {"type", graph_.builder().type(result->node)}});
  const std::optional<std::vector<Value>> values = vjp_values(decl, *result, graph_.tensor(ct, result->axes));
  if (!values) return {};
  const size_t errors = diagnostics_.reported_errors();
  NodeId node = graph_.builder().make(OpKind::Stop, {result->node});
  for (size_t i = 0; i < decl.params.size(); ++i) {
    const Value argument = scopes_.find_local(decl.params[i].name.text)->value;
    const std::optional<Tensor> g = parameter_cotangent(decl, decl.params[i], argument, (*values)[i]);
    if (!g) continue;
    graph_.builder().set_span(span);
    node = graph_.builder().make(OpKind::Adjoint, {node, argument.as<Tensor>()->node, ct, g->node});
  }
  if (diagnostics_.reported_errors() > errors) return {};
  Tensor custom = *result;
  custom.node = node;
  return Value(custom);
}

}  // namespace smelt::frontend
