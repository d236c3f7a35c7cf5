// Averages of nets: a step that changes a parameter moves the parameter's average towards the new value,
// a <- decay * a + (1 - decay) * p; the first one copies it. An average is applied like the net, and shares its states.
#include "frontend/averages.h"

#include <fmt/format.h>

#include <algorithm>

#include "frontend/evaluator.h"
#include "frontend/function_builder.h"
#include "frontend/layers.h"
#include "ir/support/suggest.h"

namespace smelt::frontend {

void Averages::read() {
  for (const ast::TrainDecl& train : file_.ast.trains) {
    for (const ast::TrainItem& item : train.items) {
      if (const auto* ema = std::get_if<ast::EmaItem>(&item.node)) read(*ema, &train == train_section(file_));
    }
  }
}

void Averages::read(const ast::EmaItem& ema, bool moves) {
  const auto* name = file_.ast.as<ast::NameExpr>(ema.model);
  std::vector<std::string> names;
  for (const ast::ModelDecl& model : file_.ast.models) names.push_back(model.name.text);
  if (name != nullptr && std::ranges::find(names, name->name) != names.end()) {
    auto average = std::ranges::find(averages_, ema.name.text, [](const Average& a) { return a.item->name.text; });
    if (average == averages_.end()) average = averages_.insert(average, {&ema, nullptr, name->name, {}});
    if (moves) average->moves = &ema;
    return;
  }
  const std::string near = name != nullptr ? did_you_mean(name->name, names) : "";
  diagnostics_.report(Diag::E0605, file_.ast[ema.model].span, "`ema` averages the parameters of a model, by its name")
      .with_help(near.empty() ? fmt::format("there are {}", fmt::join(names, ", ")) : near);
}

/// With the start values of the parameters.
void Averages::declare_variables() {
  FunctionContext& init = functions_.init();
  for (Average& average : averages_) {
    const std::string prefix = average.model + ".";
    const size_t count = experiment_.variables.size();
    for (size_t i = 0; i < count; ++i) {
      const Variable parameter = experiment_.variables[i];
      if (parameter.kind != VariableKind::Param || !parameter.path.starts_with(prefix)) continue;
      const std::string path = average.item->name.text + parameter.path.substr(average.model.size());
      experiment_.variables.push_back(
          {path, VariableKind::State, parameter.type, parameter.span, parameter.layer, parameter.path});
      const auto id = static_cast<int32_t>(experiment_.variables.size() - 1);
      average.variables.emplace(static_cast<int32_t>(i), id);
      graph_.note_axes(id, graph_.axes_of_variable(static_cast<int32_t>(i)));
      if (const auto start = init.variables.find(static_cast<int32_t>(i)); start != init.variables.end())
        init.variables.emplace(id, start->second);
    }
  }
}

Value Averages::value(const ast::EmaItem& item) {
  const auto found = std::ranges::find(averages_, &item, &Average::item);
  if (found == averages_.end()) return {};  // an error of its own
  const auto model =
      std::ranges::find(file_.ast.models, found->model, [](const ast::ModelDecl& m) { return m.name.text; });
  Value net = layers_.model_value(*model);
  if (auto* layer = net.as<LayerValue>()) layer->averages = &found->variables;
  return net;
}

bool Averages::contains(int32_t variable) const {
  return std::ranges::any_of(averages_, [&](const Average& average) {
    return std::ranges::any_of(average.variables, [&](const auto& entry) { return entry.second == variable; });
  });
}

/// A run-time number, which may be a schedule.
Value Averages::decay_of(const Average& average) {
  Frame frame(file_, &scopes_.frame());
  const auto entered = scopes_.enter(frame);
  const Value value = evaluator_.eval(average.moves->decay);
  const Span span = file_.ast[average.moves->decay].span;
  if (const auto number = shapes_.number_of(value)) {
    if (*number >= 0 && *number < 1) return graph_.setting(average.item->name.text + ".decay", *number);
    diagnostics_.report(Diag::E0503, span, fmt::format("`decay` is {}; it has to be in [0, 1)", *number))
        .with_help("0.999 averages over about 1000 updates");
    return {};
  }
  const auto* t = value.as<Tensor>();
  if (value.bad() || (t != nullptr && t->weak)) return value;
  diagnostics_.report(Diag::E0605, span,
                      fmt::format("`decay` is {}, not a number or a schedule", shapes_.describe(value)));
  return {};
}

void Averages::follow(int32_t parameter, const Value& update) {
  using ast::BinaryOp;
  const auto number = [&](OpKind op, Value a, double b, Span span) {
    return graph_.elementwise(op, {std::move(a), Value(b)}, span, "`ema`");
  };
  for (const Average& average : averages_) {
    const auto found = average.variables.find(parameter);
    if (average.moves == nullptr || found == average.variables.end()) continue;
    const Value stated = decay_of(average);
    if (stated.bad()) return;
    const Span span = average.moves->name.span;
    const Value before = number(OpKind::Sub, update, 1, span);  // updates before this one: 0 makes the decay 0
    const Value decay = graph_.binary(BinaryOp::Mul, stated, number(OpKind::Min, before, 1, span), span);
    graph_.builder().set_span(span);
    Axes axes;
    for (const Extent& extent : experiment_.variables[static_cast<size_t>(parameter)].type.shape)
      axes.push_back({kAnonymous, extent});
    const Value old = Value(graph_.variable_value(found->second, axes));
    const Value now = Value(graph_.variable_value(parameter, axes));
    const Value rest = graph_.binary(BinaryOp::Sub, Value(1.0), decay, span);
    const Value next = graph_.binary(BinaryOp::Add, graph_.binary(BinaryOp::Mul, decay, old, span),
                                     graph_.binary(BinaryOp::Mul, rest, now, span), span);
    if (const auto* t = next.as<Tensor>()) graph_.write_variable(found->second, *t);
  }
}

void Averages::check_trained(const std::function<bool(size_t objective)>& runs) {
  for (const Average& average : averages_) {
    bool trained = false;
    for (size_t i = 0; i < experiment_.objectives.size(); ++i) {
      trained = trained || (runs(i) && std::ranges::any_of(experiment_.objectives[i].updates,
                                                           [&](int32_t v) { return average.variables.contains(v); }));
    }
    if (trained || average.moves == nullptr) continue;
    diagnostics_
        .report(Diag::W0006, average.moves->name.span,
                fmt::format("no step line updates `{0}`, so `{1}` stays as it starts", average.model,
                            average.item->name.text))
        .with_help(fmt::format("write a `step` line of an objective that updates `{}`", average.model));
  }
}

}  // namespace smelt::frontend
