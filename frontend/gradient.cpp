// `grad(y, wrt=x)`, `jvp(y, wrt=x, along=v)` and penalties on parameters.
#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "frontend/elaborator.h"
#include "ir/index_formula.h"

namespace smelt::frontend {

/// The operands along which a gradient flows: of an `adjoint`, not those that only say how.
static std::span<const NodeId> paths_of(const Node& node) {
  return std::span(node.inputs).first(node.op == OpKind::Adjoint ? 2 : node.inputs.size());
}

/// Whether each node has an influence on `root` that a gradient follows.
std::vector<bool> ancestors_of(const Graph& graph, NodeId root) {
  std::vector<bool> reached(graph.size(), false);
  reached[root.index] = true;
  for (uint32_t i = root.index + 1; i-- > 0;) {
    const Node& node = graph.nodes[i];
    if (!reached[i] || node.op == OpKind::Stop || !is_float(node.type.dtype)) continue;
    for (const NodeId input : paths_of(node)) reached[input.index] = true;
  }
  return reached;
}

namespace {

/// Follows which axis of each value that depends on x holds the examples. A value that mixes them ends the
/// walk.
class ExampleAxis {
 public:
  /// `sums`: the sums over examples that a gradient per example was taken of, with the axis of its x that holds them.
  ExampleAxis(const Graph& graph, const std::map<NodeId, int64_t>& sums, NodeId y, NodeId x, int64_t axis)
      : graph_(graph), sums_(sums), axes_(graph.size(), kIndependent) {
    const std::vector<bool> matters = ancestors_of(graph, y);
    axes_[x.index] = axis;
    for (uint32_t i = x.index + 1; i <= y.index && !coupling_.valid(); ++i) {
      if (matters[i]) visit(NodeId{i});
    }
  }

  /// The first operation on the way to y that mixes examples; not valid when y[b] depends on x[b] alone.
  NodeId coupling() const { return coupling_; }
  /// The axis of y that holds the examples, when none are mixed and y depends on x.
  int64_t axis_of(NodeId y) const { return axes_[y.index]; }

 private:
  static constexpr int64_t kIndependent = -1;

  void visit(NodeId id) {
    const Node& node = graph_[id];
    int64_t axis = kIndependent;
    if (sums_.contains(id)) {  // read by its gradient alone, which is one per example
      axes_[id.index] = axes_[node.inputs[0].index];
      return;
    }
    for (size_t k = 0; k < paths_of(node).size(); ++k) {
      if (axes_[node.inputs[k].index] == kIndependent || node.op == OpKind::Stop) continue;
      const int64_t moved = move(node, k, axes_[node.inputs[k].index]);
      if (moved == kIndependent || (axis != kIndependent && axis != moved)) {
        coupling_ = id;
        return;
      }
      axis = moved;
    }
    axes_[id.index] = axis;
  }

  /// Where operand k's axis is in the result; kIndependent when the operation mixes its elements.
  int64_t move(const Node& node, size_t k, int64_t axis) const {
    const OpDef& op = op_def(node);
    if (op.kind == Kind::Contract) return through_formula(node, k % 2, axis);
    if (node.op == OpKind::Adjoint) return k == 0 ? axis : through_adjoint(node, axis);
    if (node.op == OpKind::Grad) return through_gradient(node, k, axis);
    if (node.op == OpKind::Jvp) return k == 0 ? axis : inside(node.inputs[0], node.inputs[1], axis);
    if (op.kind == Kind::Gather || op.kind == Kind::Scatter || op.kind == Kind::Meta) return kIndependent;
    if (node.op == OpKind::Read) return through_formula(node, k, axis);
    if (node.op == OpKind::Broadcast) return node.attrs.integers("axes")[static_cast<size_t>(axis)];
    if (node.op == OpKind::Transpose) {
      const auto& permutation = node.attrs.integers("permutation");
      return std::ranges::find(permutation, axis) - permutation.begin();
    }
    if (node.op == OpKind::Reshape) return through_reshape(graph_.type(node.inputs[k]).shape, node.type.shape, axis);
    std::vector<int64_t> folded;
    if (const AttrValue* axes = node.attrs.find("axes")) folded = std::get<std::vector<int64_t>>(*axes);
    if (const AttrValue* one = node.attrs.find("axis")) folded = {std::get<int64_t>(*one)};
    if (std::ranges::find(folded, axis) != folded.end()) return kIndependent;
    if (node.type.rank() == graph_.type(node.inputs[k]).rank()) return axis;
    return axis - std::ranges::count_if(folded, [&](int64_t removed) { return removed < axis; });
  }

  int64_t through_formula(const Node& node, size_t k, int64_t axis) const {
    const IndexFormula& formula = node.attrs.formula("formula");
    const Affine& position = formula.operands[k].axes[static_cast<size_t>(axis)];
    if (!position.is_index() || formula.is_summed(position.terms[0].first)) return kIndependent;
    return position.terms[0].first;
  }

  /// A custom adjoint mixes what its value mixes: the clause is taken to keep to that.
  int64_t through_adjoint(const Node& node, int64_t axis) const {
    NodeId value = node.inputs[0];
    while (graph_[value].op == OpKind::Adjoint) value = graph_[value].inputs[0];
    return inside(graph_[value].inputs[0], node.inputs[1], axis);  // what `stop` holds
  }

  /// dy[b]/dx[b] of y[b] depends on what y[b] depends on.
  int64_t through_gradient(const Node& node, size_t k, int64_t axis) const {
    const auto sum = sums_.find(node.inputs[0]);
    if (sum == sums_.end() || (k == 1 && axis != sum->second)) return kIndependent;
    return sum->second;
  }

  /// The axis of y that follows axis `axis` of x.
  int64_t inside(NodeId y, NodeId x, int64_t axis) const {
    const ExampleAxis own(graph_, sums_, y, x, axis);
    return own.coupling().valid() ? kIndependent : own.axis_of(y);
  }

  static int64_t through_reshape(const Shape& from, const Shape& to, int64_t axis) {
    int64_t before = 1, reached = 1;
    for (int64_t i = 0; i < axis; ++i) before *= from[static_cast<size_t>(i)].bound;
    for (size_t j = 0; j < to.size(); ++j) {
      if (reached == before && to[j] == from[static_cast<size_t>(axis)]) return static_cast<int64_t>(j);
      reached *= to[j].bound;
    }
    return kIndependent;
  }

  const Graph& graph_;
  const std::map<NodeId, int64_t>& sums_;
  std::vector<int64_t> axes_;
  NodeId coupling_;
};

}  // namespace

/// y and x of a derivative, when y depends on x.
std::optional<std::pair<Tensor, Tensor>> Elaborator::derivative_operands(const Value& y, const Value& x, Span span) {
  const auto of = expect_float(y, span), with = expect_float(x, span);
  if (!of || !with) return std::nullopt;
  if (of->weak || with->weak) {
    error(Diag::E0505, span, "a run-time number of the step has no gradient");
    return std::nullopt;
  }
  if (with->node.index > of->node.index || !ancestors_of(graph().graph(), of->node)[with->node.index]) {
    error(Diag::E0602, span, "the value does not depend on what `wrt` names")
        .with_help("use the very value that the expression was computed from");
    return std::nullopt;
  }
  return std::pair(*of, *with);
}

/// Names the innermost layer that mixes the examples, else the operation.
void Elaborator::report_coupling(NodeId coupling, Span span) {
  const std::string_view op = op_def(graph().graph()[coupling]).name;
  for (const FunctionContext::LayerCall& call : context_->layer_calls) {
    if (coupling.index < call.begin || coupling.index >= call.end) continue;
    error(Diag::E0505, span,
          fmt::format("examples are mixed: the value of one depends on others through layer `{}` ({})", call.path,
                      call.layer))
        .label(call.span, fmt::format("`{}` mixes the examples with a `{}`", call.layer, op))
        .with_help("a layer such as BatchNorm cannot stand under a gradient per example; LayerNorm can");
    return;
  }
  error(Diag::E0505, span, fmt::format("examples are mixed: the value of one depends on others through `{}`", op))
      .label(graph().graph()[coupling].span, "mixes the examples")
      .with_help("differentiate a scalar: `grad(sum(e), wrt=x)`");
}

/// y is a scalar, or one value per example; then y[b] has to depend on x[b] alone, and the gradient of the
/// sum is that of each.
Value Elaborator::gradient(const Value& y, const Value& x, Span span) {
  const auto operands = derivative_operands(y, x, span);
  if (!operands) return {};
  const auto& [of, with] = *operands;
  NodeId scalar = of.node;
  if (!of.axes.empty()) {
    const auto place = std::ranges::find(with.axes, of.axes[0]);
    if (of.axes.size() > 1 || place == with.axes.end()) {
      error(Diag::E0505, span,
            fmt::format("the gradient of `{}` is not one of a scalar or of one value per example", type_text(of)))
          .with_help("apply `sum` or `mean`");
      return {};
    }
    const int64_t axis = place - with.axes.begin();
    const NodeId coupling = ExampleAxis(graph().graph(), context_->example_sums, of.node, with.node, axis).coupling();
    if (coupling.valid()) {
      report_coupling(coupling, span);
      return {};
    }
    scalar = graph().make(OpKind::ReduceSum, {of.node}, {{"axes", std::vector<int64_t>{0}}});
    context_->example_sums[scalar] = axis;
  }
  graph().set_span(span);
  return Value(tensor(graph().make(OpKind::Grad, {scalar, with.node}), with.axes));
}

/// How y changes when x changes along v: forward mode, for a y of any shape.
Value Elaborator::directional_derivative(const Value& y, const Value& x, const Value& v, Span span) {
  const auto operands = derivative_operands(y, x, span);
  std::optional<Tensor> along = operands ? expect_float(v, span) : std::nullopt;
  if (along) along = cast_to(*along, operands->second.dtype, span);
  if (along) along = broadcast_to(*along, operands->second.axes, span);
  if (!along) return {};
  graph().set_span(span);
  return Value(tensor(graph().make(OpKind::Jvp, {operands->first.node, operands->second.node, along->node}),
                      operands->first.axes));
}

/// l2: half the sum of squares; l1: the sum of magnitudes.
Value Elaborator::penalty(const Value& what, bool squared, Span span) {
  std::vector<Tensor> parts;
  const auto* selector = what.as<Selector>();
  const auto* layer = what.as<LayerValue>();
  Selector whole;
  if (layer != nullptr) {  // a model by its name
    for (size_t i = 0; i < experiment_.variables.size(); ++i) {
      if (experiment_.variables[i].path.starts_with(layer->instance->path + "."))
        whole.variables.push_back(static_cast<int32_t>(i));
    }
    selector = &whole;
  }
  if (selector != nullptr) {
    for (const int32_t variable : selector->variables) {
      const Variable& v = experiment_.variables[static_cast<size_t>(variable)];
      if (v.kind != VariableKind::Param) continue;
      Axes axes;
      for (const Extent& extent : v.type.shape) axes.push_back({kAnonymous, extent});
      parts.push_back(variable_value(variable, axes));
    }
    if (parts.empty()) return Value(constant(0, real(), {}));
  } else {
    const auto x = expect_float(what, span);
    if (!x) return {};
    parts.push_back(*x);
  }
  Value total;
  for (const Tensor& part : parts) {
    const Value each =
        elementwise(squared ? OpKind::Square : OpKind::Abs, {Value(part)}, span, squared ? "`l2`" : "`l1`");
    const Value sum = reduce(OpKind::ReduceSum, each, nullptr, span);
    total = total.bad() ? sum : binary(ast::BinaryOp::Add, total, sum, span);
  }
  return squared ? binary(ast::BinaryOp::Mul, Value(0.5), total, span) : total;
}

}  // namespace smelt::frontend
