// One graph for each thing that runs: steps, evaluations, metrics, exports, draws for exports,
// initialisation.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "frontend/elaborator.h"
#include "frontend/function_builder.h"
#include "ir/half_bits.h"

namespace smelt::frontend {

void Elaborator::declare_objectives() {
  for (const ast::ObjectiveDecl& decl : file_.ast.objectives) {
    Objective objective;
    objective.name = decl.name.text;
    objective.takes_data = !decl.params.empty();
    objective.span = decl.span;
    experiment_.objectives.push_back(std::move(objective));
  }
  step_lines_.resize(experiment_.objectives.size());
  updates_.resize(experiment_.objectives.size());
}

/// Builds everything once into graphs that are thrown away, so that all parameters exist before a selector is
/// matched.
void Elaborator::discover() {
  trial_ = true;
  for (const ast::ObjectiveDecl& decl : file_.ast.objectives) {
    build_function(FunctionKind::Step, decl.name.text, true, decl.span, [&] { objective_loss(decl); });
  }
  for (const ast::FnDecl& decl : file_.ast.fns) {
    if (decl.kind == ast::FnKind::Metric) build_metric(decl);
    if (decl.kind == ast::FnKind::Export) build_export(decl);
  }
  std::erase_if(sites_, [&](const Site& site) { return site.context != init_.get(); });
  contexts_.clear();
  trial_ = false;
}

/// Losses, metrics and reports are f32 whatever they were computed from, or f64 when that is the type of the run.
std::optional<Tensor> Elaborator::reported(const Tensor& number, Span span) {
  const bool stays = is_float(number.dtype) && !is_half(number.dtype) && !number.weak;
  return stays ? std::optional(number) : cast_to(number, real(), span);
}

std::optional<Tensor> Elaborator::objective_loss(const ast::ObjectiveDecl& decl) {
  if (!bind_data_params(decl.params, fmt::format("objective `{}`", decl.name.text))) return std::nullopt;
  const Value value = eval_block(decl.body);
  const Span span = decl.body.statements.empty() ? decl.body.span : ast()[decl.body.statements.back()].span;
  if (value.bad()) return std::nullopt;
  std::optional<Tensor> loss = expect_float(value, span);
  if (!loss) return std::nullopt;
  if (!loss->axes.empty()) {
    error(Diag::E0601, span, fmt::format("the loss of `{}` is `{}`, not a scalar", decl.name.text, type_text(*loss)))
        .with_help("apply `mean` or `sum`");
    return std::nullopt;
  }
  return reported(*loss, span);
}

void Elaborator::find_updates(size_t index) {
  const ast::ObjectiveDecl& decl = file_.ast.objectives[index];
  Frame frame(file_, frame_);
  const Entered entered(frame_, frame);
  std::set<int32_t> all;
  for (const ast::ExprId id : decl.updates) {
    if (const std::optional<Selector> selector = eval_selector(id))
      all.insert(selector->variables.begin(), selector->variables.end());
  }
  updates_[index].assign(all.begin(), all.end());
  experiment_.objectives[index].updates = updates_[index];
}

void Elaborator::build_objectives() {
  for (size_t i = 0; i < experiment_.objectives.size(); ++i) find_updates(i);
  if (diagnostics_.has_errors()) return;
  for (size_t i = 0; i < experiment_.objectives.size(); ++i) {
    build_step(i);
    build_loss(i);
  }
}

/// Forward, gradients, updates, then the states of the updated nets.
void Elaborator::build_step(size_t index) {
  const ast::ObjectiveDecl& decl = file_.ast.objectives[index];
  Objective& objective = experiment_.objectives[index];
  if (step_lines_[index].item == nullptr) return;
  objective.step = build_function(FunctionKind::Step, decl.name.text, true, decl.span, [&] {
    context_->function.ref = static_cast<int32_t>(index);
    const std::optional<Tensor> loss = objective_loss(decl);
    if (!loss) return;
    update_parameters(index, *loss);
    graph().result({"loss", ResultRole::Loss, -1, loss->node});
    for (const auto& [name, node] : context_->reports) {
      graph().result({name, node == context_->clip_norm ? ResultRole::Norm : ResultRole::Report, -1, node});
    }
    for (const int32_t variable : context_->written) {
      const Variable& v = experiment_.variables[static_cast<size_t>(variable)];
      if (v.kind == VariableKind::State && std::ranges::find(updates_[index], variable) == updates_[index].end())
        continue;
      graph().result({v.path, ResultRole::Variable, variable, context_->variables[variable]});
    }
  });
}

void Elaborator::build_loss(size_t index) {
  const ast::ObjectiveDecl& decl = file_.ast.objectives[index];
  experiment_.objectives[index].loss = build_function(FunctionKind::Loss, decl.name.text, false, decl.span, [&] {
    context_->function.ref = static_cast<int32_t>(index);
    const std::optional<Tensor> loss = objective_loss(decl);
    if (!loss) return;
    graph().result({"loss", ResultRole::Loss, -1, loss->node});
    for (const auto& [name, node] : context_->reports) graph().result({name, ResultRole::Report, -1, node});
  });
  in_batches_.emplace_back(experiment_.objectives[index].loss, decl.name.span);
}

void Elaborator::build_metric(const ast::FnDecl& decl) {
  const int32_t index = build_function(FunctionKind::Metric, decl.name.text, false, decl.span, [&] {
    if (!bind_data_params(decl.params, fmt::format("metric `{}`", decl.name.text))) return;
    Value value = eval_body(decl.body);
    if (!check_result(decl.result, value, decl.name.span, fmt::format("metric `{}`", decl.name.text))) return;
    const std::optional<Tensor> number = expect_float(value, decl.name.span);
    if (!number) return;
    if (!number->axes.empty()) {
      error(Diag::E0601, decl.name.span,
            fmt::format("metric `{}` is `{}`, not a scalar", decl.name.text, type_text(*number)))
          .with_help("apply `mean` or `sum`");
      return;
    }
    graph().result({decl.name.text, ResultRole::Value, -1, reported(*number, decl.name.span)->node});
  });
  if (!trial_) in_batches_.emplace_back(index, decl.name.span);
}

/// Parameters are feeds; the value is the result, a tuple several.
void Elaborator::build_export(const ast::FnDecl& decl) {
  bool drawn = false;
  const int32_t index = build_function(FunctionKind::Export, decl.name.text, false, decl.span, [&] {
    for (const ast::Param& param : decl.params) {
      drawn = drawn || param.distribution.valid();
      if (!param.type.valid()) {
        error(Diag::E0504, param.name.span, fmt::format("parameter `{}` of an export needs a type", param.name.text))
            .with_help(fmt::format("write `{}: f32[B, ..]`", param.name.text));
        return;
      }
      const ast::Type& type = file_.ast[param.type];
      DimId label = kAnonymous;
      const std::optional<DType> dtype = dtype_of(type, &label);
      const std::optional<Axes> axes = axes_expression(type.dims);
      if (!dtype || !axes || !check_size(*dtype, *axes, type.span)) return;
      TensorType tensor_type{*dtype, {}};
      for (const Axis& axis : *axes) tensor_type.shape.push_back(axis.extent);
      Argument argument{param.name.text, ArgRole::Feed, -1, {}};
      if (label != kAnonymous)
        argument.limit = {axis_of(label).extent.bound, axis_of(label).extent.symbol,
                          dims_[static_cast<size_t>(label)].name};
      Tensor feed = tensor(graph().argument(std::move(argument), tensor_type), *axes);
      feed.label = label;
      bind(param.name, Value(feed));
    }
    Value value = eval_body(decl.body);
    const Span span = decl.body.expr.valid() ? span_of(decl.body.expr) : decl.name.span;
    if (!check_result(decl.result, value, span, fmt::format("export `{}`", decl.name.text)) || value.bad()) return;
    const auto* tuple = value.as<TupleValue>();
    const std::vector<Value> values = tuple != nullptr ? tuple->items : std::vector<Value>{value};
    for (size_t i = 0; i < values.size(); ++i) {
      const std::optional<Tensor> t = expect_tensor(values[i], span);
      if (!t) continue;
      KnownRange range;
      if (t->range && std::isfinite(t->range->low) && std::isfinite(t->range->high))
        range = {t->range->low, t->range->high};
      graph().result({values.size() == 1 ? decl.name.text : fmt::format("{}{}", decl.name.text, i), ResultRole::Value,
                      -1, t->node, range});
    }
  });
  if (!trial_) find_couplings(index);
  if (drawn && !trial_) build_sample(decl, index);
}

/// Draws the feeds of an export that have a distribution, under the names of its parameters.
void Elaborator::build_sample(const ast::FnDecl& decl, int32_t export_index) {
  build_function(FunctionKind::Sample, decl.name.text, false, decl.span, [&] {
    context_->function.ref = export_index;
    for (const ast::Param& param : decl.params) {
      if (!param.distribution.valid()) continue;
      const Value value = eval(param.distribution);
      const auto* dist = value.as<Distribution>();
      const std::optional<Axes> axes = axes_expression(file_.ast[param.type].dims);
      if (dist == nullptr || !axes) {
        if (!value.bad() && axes)
          error(Diag::E0610, span_of(param.distribution),
                fmt::format("`~` draws from a distribution, not from {}", describe(value)));
        continue;
      }
      const Value drawn =
          sample(*dist, *axes, fmt::format("{}/{}", context_->site, param.name.text), span_of(param.distribution));
      if (const auto* t = drawn.as<Tensor>()) graph().result({param.name.text, ResultRole::Value, -1, t->node});
    }
  });
}

/// One function that computes the start value of every variable.
void Elaborator::build_init() {
  for (const auto& [variable, value] : init_->variables) {
    const std::string& path = experiment_.variables[static_cast<size_t>(variable)].path;
    init_->builder.result({path, ResultRole::Variable, variable, value});
  }
  contexts_.push_back(std::move(init_));
}

/// Two paths of one hash: the later in the order of paths takes the next free number, the same in every
/// function.
void Elaborator::resolve_sites() {
  std::map<std::string, uint32_t> numbers;
  std::set<uint32_t> taken;
  for (const Site& site : sites_) numbers.emplace(site.path, 0);
  for (auto& [path, number] : numbers) {
    number = fnv1a(path.data(), path.size());
    while (!taken.insert(number).second) ++number;
  }
  for (const Site& site : sites_) {
    site.context->function.graph.nodes[site.node.index].attrs.set("site", int64_t{numbers[site.path]});
  }
}

void Elaborator::build_others() {
  for (const ast::FnDecl& decl : file_.ast.fns) {
    if (decl.kind == ast::FnKind::Metric) build_metric(decl);
    if (decl.kind == ast::FnKind::Export) build_export(decl);
  }
}

std::optional<Experiment> Elaborator::run() {
  const std::string& path = sources_.buffer(file_.file).name;
  const size_t slash = path.rfind('/');
  experiment_.name = path.substr(slash == std::string::npos ? 0 : slash + 1);
  if (experiment_.name.ends_with(".smelt")) experiment_.name.resize(experiment_.name.size() - 6);
  init_ = std::make_unique<FunctionContext>(next_graph_++);
  init_->function.name = init_->function.graph.name = "init";
  init_->function.kind = FunctionKind::Init;
  init_->training = true;
  init_->is_init = true;
  context_ = init_.get();
  Frame frame(file_, nullptr);
  frame_ = &frame;
  if (!file_.ast.trains.empty()) train_ = &file_.ast.trains[0];
  read_precision();
  set_config();
  check_data_sections();
  for (const ast::DimDecl& decl : file_.ast.dims) decl_value(file_, Decl(&decl), decl.name.span, {}, {});
  for (const ast::ConstDecl& decl : file_.ast.consts) const_value(decl);
  for (const ast::ModelDecl& decl : file_.ast.models) model_value(decl);
  find_data();
  declare_objectives();
  read_step_lines();
  discover();
  if (diagnostics_.has_errors()) return std::nullopt;
  build_objectives();
  if (diagnostics_.has_errors()) return std::nullopt;
  build_others();
  build_train();
  if (diagnostics_.has_errors()) return std::nullopt;
  build_init();
  resolve_sites();
  for (const auto& [index, span] : in_batches_) combine_batches(index, span);
  if (diagnostics_.has_errors()) return std::nullopt;
  for (auto& context : contexts_) {
    context->function.graph.symbols = experiment_.symbols;
    experiment_.functions.push_back(std::move(context->function));
  }
  return std::move(experiment_);
}

}  // namespace smelt::frontend
