// Step lines: which optimiser with which options, and its update rule for each parameter.
#include "frontend/step_lines.h"

#include <fmt/format.h>

#include <algorithm>

#include "frontend/evaluator.h"
#include "frontend/selectors.h"
#include "ir/example_axis.h"
#include "ir/support/suggest.h"

namespace smelt::frontend {

namespace {

constexpr std::string_view kCommonOptions[] = {"clip_norm", "clip_value", "decay"};

/// Numbers of a step line that make sense.
struct OptionRange {
  std::string_view name;
  double low, high;
  bool low_open, high_open;
  std::string_view text;
};
constexpr OptionRange kRanges[] = {
    {"lr", 0, 1e308, true, false, "above 0"},
    {"momentum", 0, 1, false, true, "in [0, 1)"},
    {"beta1", 0, 1, false, true, "in [0, 1)"},
    {"beta2", 0, 1, false, true, "in [0, 1)"},
    {"alpha", 0, 1, false, true, "in [0, 1)"},
    {"eps", 0, 1e308, false, false, "at least 0"},
    {"weight_decay", 0, 1e308, false, false, "at least 0"},
    {"clip_norm", 0, 1e308, true, false, "above 0"},
    {"clip_value", 0, 1e308, true, false, "above 0"},
};

/// Options that change nothing without another one.
struct Dependent {
  std::string_view option, needs, otherwise;
};
constexpr Dependent kDependent[] = {
    {"nesterov", "momentum", "`nesterov` is a form of momentum"},
    {"decay", "weight_decay", "`decay` says which parameters `weight_decay` shrinks"},
};

}  // namespace

void StepLines::check_option_ranges(const std::string& name, double value, Span span) {
  for (const OptionRange& range : kRanges) {
    if (range.name != name) continue;
    const bool good = (range.low_open ? value > range.low : value >= range.low) &&
                      (range.high_open ? value < range.high : value <= range.high);
    if (!good)
      diagnostics_.report(Diag::E0503, span, fmt::format("`{}` is {}; it has to be {}", name, value, range.text));
  }
}

int32_t StepLines::find_objective(std::string_view name) const {
  const auto found = std::ranges::find(experiment_.objectives, name, &Objective::name);
  return found == experiment_.objectives.end() ? -1 : static_cast<int32_t>(found - experiment_.objectives.begin());
}

void StepLines::read_step_lines() {
  lines_.resize(experiment_.objectives.size());
  const ast::TrainDecl* const train = train_section(file_);
  if (train == nullptr) return;
  for (const ast::TrainItem& item : train->items) {
    const auto* step = std::get_if<ast::StepItem>(&item.node);
    if (step == nullptr) continue;
    const int32_t index = find_objective(step->objective.text);
    if (index < 0) {
      std::vector<std::string> names;
      for (const Objective& o : experiment_.objectives) names.push_back(o.name);
      diagnostics_
          .report(Diag::E0606, step->objective.span, fmt::format("no objective `{}`", printable(step->objective.text)))
          .with_help(did_you_mean(step->objective.text, names));
      continue;
    }
    StepLine& line = lines_[static_cast<size_t>(index)];
    if (line.item != nullptr) {
      diagnostics_
          .report(Diag::E0605, step->objective.span,
                  fmt::format("objective `{}` has two step lines", step->objective.text))
          .label(line.span, "first here");
      continue;
    }
    line.item = step;
    line.span = item.span;
    read_optimiser(line);
  }
}

/// Of the library, then of the file.
std::vector<std::string> StepLines::optimiser_names() const {
  std::vector<std::string> names;
  const auto add = [&](const FileScope& scope) {
    for (const ast::OptimiserDecl& decl : scope.ast.optimisers) names.push_back(decl.name.text);
  };
  if (const FileScope* library = library_.find_file("optim")) add(*library);
  add(file_);
  return names;
}

/// Warns about what is written on the line and has no effect.
void StepLines::check_dependent_options(const StepLine& line, std::string_view optimiser) {
  for (const Dependent& dependent : kDependent) {
    const auto given = line.options.find(std::string(dependent.option));
    if (given == line.options.end() || line.options.contains(std::string(dependent.needs))) continue;
    const auto* value = file_.ast.as<ast::NameExpr>(given->second);
    if (value != nullptr && value->name == "false") continue;
    const auto& params = line.optimiser->params;
    const auto needed =
        std::ranges::find(params, dependent.needs, [](const ast::Param& p) { return std::string_view(p.name.text); });
    const bool exists = needed != params.end();
    if (exists) {  // by a default, it has an effect
      const auto* standard = line.scope->ast.as<ast::NameExpr>(needed->default_value);
      if (standard == nullptr || standard->name != "none") continue;
    }
    diagnostics_
        .report(Diag::W0006, scopes_.span_of(given->second),
                fmt::format("`{}` has no effect without `{}`", dependent.option, dependent.needs))
        .note(std::string(dependent.otherwise))
        .with_help(exists ? fmt::format("add `{} = ..`, or remove `{}`", dependent.needs, dependent.option)
                          : fmt::format("`{}` has no `{}`: remove `{}`", optimiser, dependent.needs, dependent.option));
  }
}

void StepLines::read_optimiser(StepLine& line) {
  const Span span = file_.ast[line.item->optimiser].span;
  const auto* call = file_.ast.as<ast::CallExpr>(line.item->optimiser);
  const auto* name = file_.ast.as<ast::NameExpr>(call != nullptr ? call->callee : line.item->optimiser);
  const auto [scope, decl] =
      name != nullptr ? scopes_.find_decl(file_, name->name) : std::pair<const FileScope*, Decl>{};
  const auto* optimiser = std::get_if<const ast::OptimiserDecl*>(&decl);
  if (optimiser == nullptr) {
    const std::vector<std::string> known = optimiser_names();
    std::string help = name != nullptr ? did_you_mean(name->name, known) : "";
    diagnostics_
        .report(
            Diag::E0607, span,
            name != nullptr ? fmt::format("`{}` is not an optimiser", printable(name->name)) : "expected an optimiser")
        .with_help(help.empty() ? fmt::format("there are {}", fmt::join(known, ", ")) : help);
    return;
  }
  line.scope = scope;
  std::vector<std::string> names(std::begin(kCommonOptions), std::end(kCommonOptions));
  for (const ast::Param& param : (*optimiser)->params) names.push_back(param.name.text);
  size_t position = 0;
  for (const ast::Arg& arg : call != nullptr ? call->args : std::vector<ast::Arg>{}) {
    const Span where = arg.name.empty() ? file_.ast[arg.value].span : arg.name.span;
    std::string option = arg.name.text;
    if (option.empty() && position < (*optimiser)->params.size()) option = (*optimiser)->params[position++].name.text;
    if (std::ranges::find(names, option) == names.end()) {
      diagnostics_.report(Diag::E0401, where, fmt::format("`{}` has no option `{}`", name->name, printable(option)))
          .note(fmt::format("it has {}", fmt::join(names, ", ")))
          .with_help(did_you_mean(option, names));
    } else if (!line.options.emplace(option, arg.value).second) {
      diagnostics_.report(Diag::E0401, where, fmt::format("option `{}` is given twice", option));
    }
  }
  for (const ast::Param& param : (*optimiser)->params) {
    if (param.default_value.valid() || line.options.contains(param.name.text)) continue;
    diagnostics_.report(Diag::E0401, span, fmt::format("`{}` lacks `{}`", name->name, param.name.text))
        .with_help(fmt::format("write `{}({} = ..)`", name->name, param.name.text));
    return;
  }
  line.optimiser = *optimiser;
  check_dependent_options(line, name->name);
}

/// The value of one option: numbers become run-time inputs, `loss.lr`, and so do those inside a schedule,
/// `loss.lr.cosine.a`; booleans stay compile-time.
Value StepLines::step_option(const std::string& name, ast::ExprId expr, size_t objective, const Surroundings& around) {
  const std::string full_name = fmt::format("{}.{}", experiment_.objectives[objective].name, name);
  Frame frame = scopes_.frame();
  frame.around = around;
  frame.around.setting = full_name;
  const auto entered = scopes_.enter(frame);
  const Value value = evaluator_.eval(expr);
  const Span span = scopes_.span_of(expr);
  if (const auto number = shapes_.number_of(value)) {
    check_option_ranges(name, *number, span);
    return graph_.setting(full_name, *number);
  }
  const auto* t = value.as<Tensor>();
  if (value.bad() || value.as<bool>() != nullptr || value.as<NoneValue>() != nullptr || (t != nullptr && t->weak))
    return value;
  diagnostics_.report(Diag::E0607, span,
                      fmt::format("option `{}` is {}, not a number or a schedule", name, shapes_.describe(value)));
  return {};
}

/// Which updated parameters have an influence on the loss; the others are warned about and left alone.
static std::vector<int32_t> trained(const Experiment& experiment, const std::vector<int32_t>& updates,
                                    const FunctionContext& context, NodeId loss, std::vector<int32_t>& idle) {
  const std::vector<bool> reached = ancestors_of(context.function.graph, loss);
  std::vector<int32_t> list;
  for (const int32_t variable : updates) {
    if (experiment.variables[static_cast<size_t>(variable)].kind != VariableKind::Param) continue;
    const auto node = context.variables.find(variable);
    if (node != context.variables.end() && reached[node->second.index])
      list.push_back(variable);
    else
      idle.push_back(variable);
  }
  return list;
}

void StepLines::update_parameters(size_t index, const Tensor& loss) {
  const StepLine& line = lines_[index];
  if (line.optimiser == nullptr) return;
  const ast::ObjectiveDecl& decl = file_.ast.objectives[index];
  std::vector<int32_t> idle;
  const std::vector<int32_t> params =
      trained(experiment_, experiment_.objectives[index].updates, graph_.context(), loss.node, idle);
  if (params.empty()) {
    diagnostics_.report(Diag::E0602, decl.updates.empty() ? decl.name.span : scopes_.span_of(decl.updates[0]),
                        fmt::format("the loss of `{}` does not depend on a parameter that it updates", decl.name.text));
    return;
  }
  for (const int32_t variable : idle) {
    const Variable& v = experiment_.variables[static_cast<size_t>(variable)];
    if (v.path.find("._") != std::string::npos) continue;  // an underscore silences
    diagnostics_.report(
        Diag::W0002, v.span,
        fmt::format("objective `{}` updates `{}`, which has no influence on its loss", decl.name.text, v.path));
  }
  const bool scheduled = std::ranges::any_of(
      line.options, [&](const auto& option) { return scopes_.ast().as<ast::NumberExpr>(option.second) == nullptr; });
  Surroundings around = scopes_.frame().around;
  if (scheduled)
    around.defaults["i"] =
        Value(graph_.scalar_argument(graph_.scalar_input("iteration", ScalarKind::Iteration, 0, -1)));
  if (scheduled)
    around.defaults["n"] = Value(graph_.scalar_argument(graph_.scalar_input("horizon", ScalarKind::Horizon, 0, -1)));
  std::map<std::string, Value> options;
  for (const auto& [name, expr] : line.options) {
    if (name != "decay") options[name] = step_option(name, expr, index, around);
  }
  std::vector<int32_t> decays = params;
  if (const auto decay = line.options.find("decay"); decay != line.options.end()) {
    const std::optional<Selector> selector = selectors_.eval_selector(decay->second);
    if (!selector) return;
    decays = selector->variables;
  }
  std::vector<Tensor> gradients;
  graph_.builder().set_span(decl.span);
  for (const int32_t variable : params) {
    const NodeId p = graph_.context().variables[variable];
    Axes axes;
    for (const Extent& extent : graph_.builder().type(p).shape) axes.push_back({kAnonymous, extent});
    gradients.push_back(graph_.tensor(graph_.builder().make(OpKind::Grad, {loss.node, p}), std::move(axes)));
  }
  clip_gradients(gradients, options, line.span);
  for (size_t k = 0; k < params.size() && !diagnostics_.has_errors(); ++k) {
    const bool decay = std::ranges::find(decays, params[k]) != decays.end();
    update_parameter(index, line, params[k], gradients[k], decay, options);
  }
}

/// clip_value bounds each element; clip_norm scales all gradients so that their common norm is at most c.
void StepLines::clip_gradients(std::vector<Tensor>& gradients, const std::map<std::string, Value>& options, Span span) {
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
  graph_.context().clip_norm = norm->node;
  const Value ratio =
      graph_.binary(BinaryOp::Div, bound->second, graph_.binary(BinaryOp::Add, Value(*norm), Value(1e-6), span), span);
  const Value scale = graph_.elementwise(OpKind::Min, {ratio, Value(1.0)}, span, "`clip_norm`");
  for (Tensor& g : gradients) {
    const Value clipped = graph_.binary(BinaryOp::Mul, Value(g), scale, span);
    if (const auto* t = clipped.as<Tensor>()) g = *t;
  }
}

/// Evaluates the optimiser's body for one parameter.
void StepLines::update_parameter(size_t index, const StepLine& line, int32_t variable, Tensor gradient, bool decays,
                                 const std::map<std::string, Value>& options) {
  const ast::OptimiserDecl& optimiser = *line.optimiser;
  const std::string& objective = experiment_.objectives[index].name;
  const std::string path = experiment_.variables[static_cast<size_t>(variable)].path;
  Frame frame(*line.scope, &scopes_.frame());
  frame.site = fmt::format("{}/{}", graph_.context().site, path);
  const LibraryCall library_call(graph_.context(), diagnostics_, *scopes_.frame().scope, *line.scope, line.span);
  const auto entered = scopes_.enter(frame);
  for (const ast::Param& param : optimiser.params) {
    const auto given = options.find(param.name.text);
    Value value = given != options.end()        ? given->second
                  : param.default_value.valid() ? evaluator_.eval(param.default_value)
                                                : Value();
    if (param.name.text == "weight_decay" && !decays) value = Value(NoneValue{});
    scopes_.bind(param.name, std::move(value));
  }
  const Axes axes = gradient.axes;
  scopes_.bind(optimiser.param, Value(graph_.variable_value(variable, axes)), variable, true);
  scopes_.bind(optimiser.gradient, Value(std::move(gradient)));
  const int32_t update =
      graph_.scalar_input(fmt::format("{}.update", objective), ScalarKind::Update, 0, static_cast<int32_t>(index));
  scopes_.bind(optimiser.update, Value(graph_.scalar_argument(update)));
  frame.slots = fmt::format("opt/{}/{}", objective, path);
  Value ignored;
  for (const ast::StmtId id : optimiser.body.statements) evaluator_.execute(scopes_.ast()[id], ignored);
}

}  // namespace smelt::frontend
