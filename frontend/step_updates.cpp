// What a step does to parameters: gradients, accumulated and clipped, the update rule of each parameter's optimiser,
// its projection, and the averages that follow.
#include <fmt/format.h>

#include <algorithm>

#include "frontend/averages.h"
#include "frontend/calls.h"
#include "frontend/evaluator.h"
#include "frontend/selectors.h"
#include "frontend/step_lines.h"
#include "frontend/variables.h"
#include "ir/example_axis.h"

namespace smelt::frontend {

/// The value of one option: numbers become run-time inputs, `loss.lr`, and so do those inside a schedule,
/// `loss.lr.cosine.a`; booleans stay compile-time.
Value StepLines::step_option(const std::string& name, const std::string& input, ast::ExprId expr,
                             const Surroundings& around) {
  Frame frame = scopes_.frame();
  frame.around = around;
  frame.around.setting = input;
  const auto entered = scopes_.enter(frame);
  const Value value = evaluator_.eval(expr);
  const Span span = scopes_.span_of(expr);
  if (const auto number = shapes_.number_of(value)) {
    check_option_ranges(name, *number, span);
    return graph_.setting(input, *number);
  }
  const auto* t = value.as<Tensor>();
  if (value.bad() || value.as<bool>() != nullptr || value.as<NoneValue>() != nullptr || (t != nullptr && t->weak))
    return value;
  auto& report = diagnostics_.report(
      Diag::E0607, span, fmt::format("option `{}` is {}, not a number or a schedule", name, shapes_.describe(value)));
  if (value.as<TupleValue>() != nullptr)
    report.with_help("from one number to another goes a schedule: `linear(1e-3, 1e-4)`, `cosine(1e-3, 1e-4)`");
  return {};
}

/// All but those that are no numbers.
StepLines::Options StepLines::options_of(size_t objective, const StepOptimiser& optimiser) {
  const bool scheduled = std::ranges::any_of(optimiser.options, [&](const auto& option) {
    return scopes_.ast().as<ast::NumberExpr>(option.second) == nullptr;
  });
  Surroundings around = scopes_.frame().around;
  if (scheduled) {
    const auto scalar = [&](const char* name, ScalarKind kind) {
      return Value(graph_.scalar_argument(graph_.scalar_input(name, kind, 0, -1)));
    };
    around.defaults["i"] = scalar("iteration", ScalarKind::Iteration);
    around.defaults["n"] = scalar("horizon", ScalarKind::Horizon);
  }
  Options options;
  for (const auto& [name, expr] : optimiser.options) {
    if (name == "decay" || name == "project" || name == "accumulate") continue;
    const std::string input = fmt::format("{}.{}{}", experiment_.objectives[objective].name, optimiser.prefix, name);
    options[name] = step_option(name, input, expr, around);
  }
  return options;
}

/// The updated parameters that have an influence on the loss. The lints tell of the others, which are left alone.
std::vector<int32_t> StepLines::trained_parameters(size_t objective, const Tensor& loss) {
  const ast::ObjectiveDecl& decl = file_.ast.objectives[objective];
  const FunctionContext& context = graph_.context();
  const std::vector<bool> reached = ancestors_of(context.function.graph, loss.node);
  std::vector<int32_t> params;
  for (const int32_t variable : experiment_.objectives[objective].updates) {
    if (experiment_.variables[static_cast<size_t>(variable)].kind != VariableKind::Param) continue;
    const auto node = context.variables.find(variable);
    if (node != context.variables.end() && reached[node->second.index]) params.push_back(variable);
  }
  if (params.empty()) {
    diagnostics_.report(Diag::E0602, decl.updates.empty() ? decl.name.span : scopes_.span_of(decl.updates[0]),
                        fmt::format("the loss of `{}` does not depend on a parameter that it updates", decl.name.text));
  }
  return params;
}

/// Which optimiser of the line each parameter has.
std::optional<std::vector<size_t>> StepLines::share_out(size_t objective, const std::vector<int32_t>& params) {
  const StepLine& line = lines_[objective];
  std::vector<size_t> owners(params.size(), 0);
  for (size_t k = 1; k < line.optimisers.size(); ++k) {
    const ast::ExprId id = line.optimisers[k].selector;
    const std::optional<Selector> selector = selectors_.eval_selector(id);
    if (!selector) return std::nullopt;
    bool any = false;
    for (size_t i = 0; i < params.size(); ++i) {
      if (std::ranges::find(selector->variables, params[i]) == selector->variables.end()) continue;
      any = true;
      if (owners[i] != 0) {
        diagnostics_
            .report(Diag::E0605, scopes_.span_of(id),
                    fmt::format("`{}` has two optimisers of its own in this line",
                                experiment_.variables[static_cast<size_t>(params[i])].path))
            .label(scopes_.span_of(line.optimisers[owners[i]].selector), "selected here as well")
            .with_help("let the selectors have no parameter in common");
        return std::nullopt;
      }
      owners[i] = k;
    }
    if (any) continue;
    diagnostics_
        .report(Diag::E0307, scopes_.span_of(id),
                fmt::format("`{}` matches no parameter that `{}` trains", selector->text,
                            experiment_.objectives[objective].name))
        .with_help("an optimiser with `for` is for some of the parameters after `updates`");
    return std::nullopt;
  }
  return owners;
}

std::vector<Tensor> StepLines::gradients_of(const Tensor& loss, const std::vector<int32_t>& params) {
  std::vector<Tensor> gradients;
  for (const int32_t variable : params) {
    const NodeId p = graph_.context().variables[variable];
    Axes axes;
    for (const Extent& extent : graph_.builder().type(p).shape) axes.push_back({kAnonymous, extent});
    gradients.push_back(graph_.tensor(graph_.builder().make(OpKind::Grad, {loss.node, p}), std::move(axes)));
  }
  return gradients;
}

void StepLines::update_parameters(size_t index, const Tensor& loss) {
  const StepLine& line = lines_[index];
  if (std::ranges::any_of(line.optimisers, [](const StepOptimiser& o) { return o.decl == nullptr; })) return;
  const std::vector<int32_t> params = trained_parameters(index, loss);
  if (params.empty()) return;
  std::vector<Options> options;
  std::vector<std::vector<int32_t>> decays;
  for (const StepOptimiser& optimiser : line.optimisers) {
    options.push_back(options_of(index, optimiser));
    decays.push_back(params);
    const auto decay = optimiser.options.find("decay");
    if (decay == optimiser.options.end()) continue;
    const std::optional<Selector> selector = selectors_.eval_selector(decay->second);
    if (!selector) return;
    decays.back() = selector->variables;
  }
  const std::optional<std::vector<size_t>> owners = share_out(index, params);
  const std::optional<Accumulation> accumulated = accumulation(index);
  if (!owners || !accumulated) return;
  graph_.builder().set_span(file_.ast.objectives[index].span);
  std::vector<Tensor> gradients = gradients_of(loss, params);
  for (size_t k = 0; k < params.size() && accumulated->every > 1; ++k)
    accumulate(index, *accumulated, params[k], gradients[k]);
  clip_gradients(gradients, options[0], line.span);
  for (size_t k = 0; k < params.size() && !diagnostics_.has_errors(); ++k) {
    const size_t owner = (*owners)[k];
    const bool decays_too = std::ranges::find(decays[owner], params[k]) != decays[owner].end();
    update_parameter(index, line.optimisers[owner], params[k], gradients[k], decays_too, options[owner], *accumulated);
  }
}

/// The number of this call of the step, from 1. Those that run together are one call, that of the first.
Tensor StepLines::update_number(size_t objective) {
  const size_t called = leader_of(objective);
  return graph_.scalar_argument(graph_.scalar_input(fmt::format("{}.update", experiment_.objectives[called].name),
                                                    ScalarKind::Update, 0, static_cast<int32_t>(called)));
}

/// `accumulate = 4`; nothing when it is no such number.
std::optional<StepLines::Accumulation> StepLines::accumulation(size_t objective) {
  using ast::BinaryOp;
  const StepOptimiser& first = lines_[objective].optimisers[0];
  const auto option = first.options.find("accumulate");
  if (option == first.options.end()) return Accumulation{};
  const Span span = scopes_.span_of(option->second);
  const std::optional<int64_t> every = shapes_.expect_integer(evaluator_.eval(option->second), span, "`accumulate`");
  if (!every) return std::nullopt;
  if (*every < 1 || *every > 10000) {
    diagnostics_.report(Diag::E0503, span, fmt::format("`accumulate` is {}; it has to be from 1 to 10000", *every));
    return std::nullopt;
  }
  if (*every == 1) return Accumulation{};
  Objective& stepped = experiment_.objectives[objective];
  stepped.accumulates = *every;
  stepped.accumulates_at = span;
  const Value ratio =
      graph_.binary(BinaryOp::Div, Value(update_number(objective)), Value(static_cast<double>(*every)), span);
  const Value whole = graph_.elementwise(OpKind::Floor, {ratio}, span, "`accumulate`");
  return Accumulation{*every, graph_.binary(BinaryOp::Eq, ratio, whole, span)};
}

/// The gradient becomes the mean of those since the last update.
void StepLines::accumulate(size_t objective, const Accumulation& accumulation, int32_t variable, Tensor& gradient) {
  using ast::BinaryOp;
  const Span span = lines_[objective].span;
  const std::string& path = experiment_.variables[static_cast<size_t>(variable)].path;
  const std::string slot = fmt::format("opt/{}/{}/accumulated", experiment_.objectives[objective].name, path);
  const auto sum = variables_.declare_variable(VariableKind::Slot, slot, gradient, {}, false, span);
  if (!sum) return;
  const Value total =
      graph_.binary(BinaryOp::Add, Value(graph_.variable_value(*sum, gradient.axes)), Value(gradient), span);
  const Value kept = graph_.elementwise(
      OpKind::Select, {accumulation.is_last, Value(graph_.constant(0, gradient.dtype, gradient.axes)), total}, span,
      "`accumulate`");
  const Value mean = graph_.binary(BinaryOp::Mul, total, Value(1.0 / static_cast<double>(accumulation.every)), span);
  if (const auto* t = kept.as<Tensor>()) graph_.write_variable(*sum, *t);
  if (const auto* t = mean.as<Tensor>()) gradient = *t;
}

/// clip_value bounds each element; clip_norm scales all gradients so that their common norm is at most c.
void StepLines::clip_gradients(std::vector<Tensor>& gradients, const Options& options, Span span) {
  using ast::BinaryOp;
  if (const auto bound = options.find("clip_value"); bound != options.end() && !bound->second.bad()) {
    const Value low = graph_.binary(BinaryOp::Mul, Value(-1.0), bound->second, span);
    for (Tensor& g : gradients) {
      const Value above = graph_.elementwise(OpKind::Max, {Value(g), low}, span, "`clip_value`");
      const Value clipped = graph_.elementwise(OpKind::Min, {above, bound->second}, span, "`clip_value`");
      if (const auto* t = clipped.as<Tensor>()) g = *t;
    }
  }
  const auto bound = options.find("clip_norm");
  if (bound == options.end() || bound->second.bad()) return;
  Value total;
  for (const Tensor& g : gradients) {  // in f64, which holds the squares of all f32
    const std::optional<Tensor> wide = graph_.cast_to(g, DType::F64, span);
    if (!wide) return;
    const Value sum = graph_.reduce(
        OpKind::ReduceSum, graph_.elementwise(OpKind::Square, {Value(*wide)}, span, "`clip_norm`"), nullptr, span);
    total = total.bad() ? sum : graph_.binary(BinaryOp::Add, total, sum, span);
  }
  const Value root = graph_.elementwise(OpKind::Sqrt, {total}, span, "`clip_norm`");
  const auto* wide_norm = root.as<Tensor>();
  const std::optional<Tensor> norm =
      wide_norm == nullptr ? std::nullopt : graph_.cast_to(*wide_norm, graph_.real(), span);
  if (!norm) return;
  graph_.context().reports.emplace_back("grad_norm", norm->node);
  graph_.context().guards.insert(norm->node);
  const Value ratio =
      graph_.binary(BinaryOp::Div, bound->second, graph_.binary(BinaryOp::Add, Value(*norm), Value(1e-6), span), span);
  const Value scale = graph_.elementwise(OpKind::Min, {ratio, Value(1.0)}, span, "`clip_norm`");
  for (Tensor& g : gradients) {
    const Value clipped = graph_.binary(BinaryOp::Mul, Value(g), scale, span);
    if (const auto* t = clipped.as<Tensor>()) g = *t;
  }
}

/// The rule of the optimiser, then the projection, then the averages; of steps that accumulate only the last keeps it.
void StepLines::update_parameter(size_t index, const StepOptimiser& optimiser, int32_t variable, Tensor gradient,
                                 bool decays, const Options& options, const Accumulation& accumulation) {
  const Axes axes = gradient.axes;
  const std::set<int32_t> written = graph_.context().written;
  Value update = Value(update_number(index));
  if (accumulation.every > 1)
    update = graph_.binary(ast::BinaryOp::Div, update, Value(static_cast<double>(accumulation.every)), optimiser.span);
  run_optimiser(index, optimiser, variable, std::move(gradient), decays, options, update);
  project(optimiser, variable, axes);
  averages_.follow(variable, update);
  if (accumulation.every == 1) return;
  const std::set<int32_t> now = graph_.context().written;
  for (const int32_t changed : now) {
    if (written.contains(changed)) continue;
    const Variable& v = experiment_.variables[static_cast<size_t>(changed)];
    Axes shape;
    for (const Extent& extent : v.type.shape) shape.push_back({kAnonymous, extent});
    const Tensor next = graph_.variable_value(changed, shape);
    const Tensor before = graph_.tensor(graph_.value_before(changed), shape);
    const Value kept = graph_.elementwise(OpKind::Select, {accumulation.is_last, Value(next), Value(before)},
                                          optimiser.span, "`accumulate`");
    if (const auto* t = kept.as<Tensor>()) graph_.write_variable(changed, *t);
  }
}

/// Of `slow loss by 0.5 when no better(..)`: the rate times a number that starts at 1, and that the run changes.
Value StepLines::slowed(size_t objective, const Value& rate, Span span) {
  const std::string& name = experiment_.objectives[objective].name;
  const auto slows = [&](const ast::TrainItem& item) {
    const auto* slow = std::get_if<ast::SlowItem>(&item.node);
    return slow != nullptr && slow->objective.text == name;
  };
  if (rate.bad() || std::ranges::none_of(train_section(file_)->items, slows)) return rate;
  return graph_.binary(ast::BinaryOp::Mul, rate, graph_.setting(slow_scalar(name), 1), span);
}

/// Evaluates the optimiser's body for one parameter.
void StepLines::run_optimiser(size_t index, const StepOptimiser& step, int32_t variable, Tensor gradient, bool decays,
                              const Options& options, const Value& update) {
  const ast::OptimiserDecl& optimiser = *step.decl;
  const std::string& path = experiment_.variables[static_cast<size_t>(variable)].path;
  Frame frame(*step.scope, &scopes_.frame());
  frame.site = fmt::format("{}/{}", graph_.context().site, path);
  const LibraryCall library_call(graph_.context(), diagnostics_, *scopes_.frame().scope, *step.scope,
                                 lines_[index].span);
  const auto entered = scopes_.enter(frame);
  for (const ast::Param& param : optimiser.params) {
    const auto given = options.find(param.name.text);
    Value value = given != options.end()        ? given->second
                  : param.default_value.valid() ? evaluator_.eval(param.default_value)
                                                : Value();
    if (param.name.text == "weight_decay" && !decays) value = Value(NoneValue{});
    if (param.name.text == "lr") value = slowed(index, value, step.span);
    scopes_.bind(param.name, std::move(value));
  }
  const Axes axes = gradient.axes;
  scopes_.bind(optimiser.param, Value(graph_.variable_value(variable, axes)), variable, true);
  scopes_.bind(optimiser.gradient, Value(std::move(gradient)));
  scopes_.bind(optimiser.update, update);
  frame.slots = fmt::format("opt/{}/{}", experiment_.objectives[index].name, path);
  Value ignored;
  for (const ast::StmtId id : optimiser.body.statements) evaluator_.execute(scopes_.ast()[id], ignored);
}

/// `project = box`: what a function makes of the new parameter takes its place.
void StepLines::project(const StepOptimiser& optimiser, int32_t variable, const Axes& axes) {
  const auto option = optimiser.options.find("project");
  if (option == optimiser.options.end()) return;
  const Span span = scopes_.span_of(option->second);
  const Value function = evaluator_.eval(option->second);
  if (function.bad()) return;
  if (function.as<FnValue>() == nullptr && function.as<IntrinsicValue>() == nullptr) {
    diagnostics_
        .report(Diag::E0607, span, fmt::format("option `project` is {}, not a function", shapes_.describe(function)))
        .with_help("write `fn box(p) = clamp(p, -0.01, 0.01)` and `project = box`");
    return;
  }
  Args args;
  args.push_back({"", Value(graph_.variable_value(variable, axes)), span});
  const Value projected = calls_.call(function, std::move(args), span, "project");
  const std::optional<Tensor> t = graph_.expect_float(projected, span);
  if (!t) return;
  const std::optional<Tensor> shaped =
      shape_of(t->axes) == shape_of(axes) && !t->weak ? t : graph_.broadcast_to(*t, axes, span);
  if (shaped) graph_.write_variable(variable, *shaped);
}

}  // namespace smelt::frontend
