#include "frontend/functions.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "frontend/averages.h"
#include "frontend/data_section.h"
#include "frontend/distributions.h"
#include "frontend/evaluator.h"
#include "frontend/function_builder.h"
#include "frontend/selectors.h"
#include "frontend/signatures.h"
#include "frontend/step_lines.h"
#include "ir/philox.h"

namespace smelt::frontend {

void Functions::declare_objectives() {
  for (const ast::ObjectiveDecl& decl : file_.ast.objectives) {
    Objective objective;
    objective.name = decl.name.text;
    objective.takes_data = !decl.params.empty();
    objective.span = decl.span;
    experiment_.objectives.push_back(std::move(objective));
  }
}

/// Again for parameters that were read before their layer was applied: they are known then.
void Functions::discover() {
  functions_.begin_trial();
  for (size_t known = 0; known == 0 || graph_.missed_parameters();) {
    try_all();
    if (experiment_.variables.size() == known || diagnostics_.has_errors()) break;
    known = experiment_.variables.size();
  }
  distributions_.forget_trials(functions_.init());
  functions_.end_trial();
}

void Functions::try_all() {
  for (const ast::ObjectiveDecl& decl : file_.ast.objectives) {
    functions_.build_function(FunctionKind::Step, decl.name.text, true, decl.span, [&] { objective_loss(decl); });
  }
  for (const ast::FnDecl& decl : file_.ast.fns) {
    if (decl.kind == ast::FnKind::Metric) build_metric(decl);
    if (decl.kind == ast::FnKind::Export) build_export(decl);
  }
}

/// A log has one value under a name. A layer that is applied twice has a report for each time, as has `grad_norm` of
/// `clip_norm` beside a report of that name: the later ones are `name.2` and so on.
static std::vector<std::pair<std::string, NodeId>> with_own_names(std::vector<std::pair<std::string, NodeId>> reports) {
  std::set<std::string> taken;
  for (const auto& [name, node] : reports) taken.insert(name);
  std::set<std::string> given;
  for (auto& [name, node] : reports) {
    const std::string first = name;
    for (int k = 2; given.contains(name) || (name != first && taken.contains(name)); ++k)
      name = fmt::format("{}.{}", first, k);
    given.insert(name);
  }
  return reports;
}

void Functions::check_reports(const ast::ObjectiveDecl& decl) {
  std::map<std::string, Span> seen;
  for (const ast::StmtId id : decl.body.statements) {
    const auto* report = std::get_if<ast::ReportStmt>(&scopes_.ast()[id].node);
    if (report == nullptr) continue;
    for (const ast::Arg& item : report->items) {
      const auto [first, fresh] = seen.try_emplace(item.name.text, item.name.span);
      if (fresh) continue;
      diagnostics_.report(Diag::E0303, item.name.span, fmt::format("report `{}` is given twice", item.name.text))
          .label(first->second, "first here");
    }
  }
}

std::optional<Tensor> Functions::objective_loss(const ast::ObjectiveDecl& decl) {
  if (!data_.bind_data_params(decl.params, fmt::format("objective `{}`", decl.name.text))) return std::nullopt;
  const Value value = evaluator_.eval_block(decl.body);
  const Span span = decl.body.statements.empty() ? decl.body.span : scopes_.ast()[decl.body.statements.back()].span;
  if (value.bad()) return std::nullopt;
  if (const auto* tensor = value.as<Tensor>(); tensor != nullptr && !tensor->axes.empty()) {
    diagnostics_
        .report(Diag::E0601, span,
                fmt::format("the loss of `{}` is `{}`, not a scalar", decl.name.text, shapes_.type_text(*tensor)))
        .with_help("apply `mean` or `sum`");
    return std::nullopt;
  }
  std::optional<Tensor> loss = graph_.expect_float(value, span);
  if (!loss) return std::nullopt;
  return graph_.reported(*loss, span);
}

void Functions::find_updates(size_t index) {
  const ast::ObjectiveDecl& decl = file_.ast.objectives[index];
  Frame frame(file_, &scopes_.frame());
  const auto entered = scopes_.enter(frame);
  std::set<int32_t> all;
  for (const ast::ExprId id : decl.updates) {
    if (const std::optional<Selector> selector = selectors_.eval_selector(id))
      all.insert(selector->variables.begin(), selector->variables.end());
  }
  experiment_.objectives[index].updates.assign(all.begin(), all.end());
}

void Functions::build_objectives() {
  for (size_t i = 0; i < experiment_.objectives.size(); ++i) {
    find_updates(i);
    check_reports(file_.ast.objectives[i]);
  }
  if (diagnostics_.has_errors()) return;
  for (size_t i = 0; i < experiment_.objectives.size(); ++i) {
    build_step(i);
    build_loss(i);
  }
}

/// The loss of an objective of this step. States of nets that it does not update are as before.
std::optional<Tensor> Functions::member_loss(size_t member, bool alone) {
  FunctionContext& context = graph_.context();
  const Objective& objective = experiment_.objectives[member];
  Frame frame(file_, &scopes_.frame());
  frame.site = objective.name;
  const auto entered = scopes_.enter(frame);
  const auto variables = context.variables;
  const auto written = context.written;
  const size_t reports = context.reports.size();
  const std::optional<Tensor> loss = objective_loss(file_.ast.objectives[member]);
  if (alone || !loss) return loss;
  for (const int32_t variable : std::set<int32_t>(context.written)) {
    const bool own = std::ranges::find(objective.updates, variable) != objective.updates.end();
    if (own || written.contains(variable)) continue;
    context.written.erase(variable);
    context.variables[variable] = graph_.value_before(variable);
  }
  for (const auto& [variable, node] : variables) {  // written by another member
    if (std::ranges::find(objective.updates, variable) == objective.updates.end()) context.variables[variable] = node;
  }
  if (context.function.ref == static_cast<int32_t>(member)) return loss;
  for (size_t i = reports; i < context.reports.size(); ++i)
    context.reports[i].first = fmt::format("{}.{}", objective.name, context.reports[i].first);
  context.reports.emplace_back(objective.name, loss->node);
  context.guards.insert(loss->node);
  return loss;
}

/// What runs together has no parameter in common: each would be written twice.
bool Functions::share_nothing(const std::vector<size_t>& members) {
  std::map<int32_t, size_t> owners;
  for (const size_t member : members) {
    for (const int32_t variable : experiment_.objectives[member].updates) {
      const auto [first, fresh] = owners.try_emplace(variable, member);
      if (fresh) continue;
      diagnostics_
          .report(Diag::E0605, file_.ast.objectives[member].name.span,
                  fmt::format("`{}` and `{}` run together, and both update `{}`",
                              experiment_.objectives[first->second].name, experiment_.objectives[member].name,
                              experiment_.variables[static_cast<size_t>(variable)].path))
          .with_help("write one objective with the sum of both losses, or let them run one after the other");
      return false;
    }
  }
  return true;
}

/// Forward, gradients, updates, then the states of the updated nets. Objectives that run together are one step: all
/// losses first, so that each gradient is taken at the parameters before it.
void Functions::build_step(size_t index) {
  const ast::ObjectiveDecl& decl = file_.ast.objectives[index];
  if (!step_lines_.has_line(index) || step_lines_.leader_of(index) != index) return;
  const std::vector<size_t> members = step_lines_.members(index);
  if (!share_nothing(members)) return;
  const int32_t step = functions_.build_function(FunctionKind::Step, decl.name.text, true, decl.span, [&] {
    graph_.context().function.ref = static_cast<int32_t>(index);
    std::vector<Tensor> losses;
    for (const size_t member : members) {
      const std::optional<Tensor> loss = member_loss(member, members.size() == 1);
      if (!loss) return;
      losses.push_back(*loss);
    }
    for (size_t i = 0; i < members.size(); ++i) {
      const size_t reports = graph_.context().reports.size();
      step_lines_.update_parameters(members[i], losses[i]);
      for (size_t k = reports; k < graph_.context().reports.size() && i > 0; ++k) {
        std::string& name = graph_.context().reports[k].first;
        name = fmt::format("{}.{}", experiment_.objectives[members[i]].name, name);
      }
    }
    graph_.builder().result({"loss", ResultRole::Loss, -1, losses[0].node});
    step_results(members);
  });
  experiment_.objectives[index].step = step;
  for (const size_t member : members)
    experiment_.objectives[index].takes_data |= experiment_.objectives[member].takes_data;
}

/// Reports, parameters, states of the nets that are updated, averages.
void Functions::step_results(const std::vector<size_t>& members) {
  const FunctionContext& context = graph_.context();
  for (const auto& [name, node] : with_own_names(context.reports))
    graph_.builder().result({name, context.guards.contains(node) ? ResultRole::Norm : ResultRole::Report, -1, node});
  for (const int32_t variable : context.written) {
    const Variable& v = experiment_.variables[static_cast<size_t>(variable)];
    const bool updated = std::ranges::any_of(members, [&](size_t member) {
      const std::vector<int32_t>& updates = experiment_.objectives[member].updates;
      return std::ranges::find(updates, variable) != updates.end();
    });
    if (v.kind == VariableKind::State && !updated && !averages_.contains(variable)) continue;
    graph_.builder().result({v.path, ResultRole::Variable, variable, context.variables.at(variable)});
  }
}

void Functions::build_loss(size_t index) {
  const ast::ObjectiveDecl& decl = file_.ast.objectives[index];
  experiment_.objectives[index].loss =
      functions_.build_function(FunctionKind::Loss, decl.name.text, false, decl.span, [&] {
        graph_.context().function.ref = static_cast<int32_t>(index);
        const std::optional<Tensor> loss = objective_loss(decl);
        if (!loss) return;
        graph_.builder().result({"loss", ResultRole::Loss, -1, loss->node});
        for (const auto& [name, node] : with_own_names(graph_.context().reports))
          graph_.builder().result({name, ResultRole::Report, -1, node});
      });
  in_batches_.emplace_back(experiment_.objectives[index].loss, decl.name.span);
}

void Functions::build_metric(const ast::FnDecl& decl) {
  const int32_t index = functions_.build_function(FunctionKind::Metric, decl.name.text, false, decl.span, [&] {
    if (!data_.bind_data_params(decl.params, fmt::format("metric `{}`", decl.name.text))) return;
    Value value = evaluator_.eval_body(decl.body);
    if (!signatures_.check_result(decl.result, value, decl.name.span, fmt::format("metric `{}`", decl.name.text)))
      return;
    if (const auto* tensor = value.as<Tensor>(); tensor != nullptr && !tensor->axes.empty()) {
      diagnostics_
          .report(Diag::E0601, decl.name.span,
                  fmt::format("metric `{}` is `{}`, not a scalar", decl.name.text, shapes_.type_text(*tensor)))
          .with_help("apply `mean` or `sum`");
      return;
    }
    const std::optional<Tensor> number = graph_.expect_float(value, decl.name.span);
    if (!number) return;
    graph_.builder().result({decl.name.text, ResultRole::Value, -1, graph_.reported(*number, decl.name.span)->node});
  });
  if (!functions_.trial()) in_batches_.emplace_back(index, decl.name.span);
}

/// Parameters are feeds; the value is the result, a tuple several.
LabelLimit Functions::label_limit(DimId label) const {
  if (label == kAnonymous) return {};
  const Extent extent = shapes_.axis_of(label).extent;
  return {extent.bound, extent.symbol, shapes_.dim_of(label).name};
}

void Functions::build_export(const ast::FnDecl& decl) {
  bool drawn = false;
  const int32_t index = functions_.build_function(FunctionKind::Export, decl.name.text, false, decl.span, [&] {
    for (const ast::Param& param : decl.params) {
      drawn = drawn || param.distribution.valid();
      if (!param.type.valid()) {
        diagnostics_
            .report(Diag::E0504, param.name.span,
                    fmt::format("parameter `{}` of an export needs a type", param.name.text))
            .with_help(fmt::format("write `{}: f32[B, ..]`", param.name.text));
        return;
      }
      const ast::Type& type = file_.ast[param.type];
      DimId label = kAnonymous;
      const std::optional<DType> dtype = signatures_.dtype_of(type, &label);
      const std::optional<Axes> axes = signatures_.axes_expression(type.dims);
      if (!dtype || !axes || !shapes_.check_size(*dtype, *axes, type.span)) return;
      TensorType tensor_type{*dtype, {}};
      for (const Axis& axis : *axes) tensor_type.shape.push_back(axis.extent);
      Argument argument{param.name.text, ArgRole::Feed, -1, {}};
      argument.limit = label_limit(label);
      Tensor feed = graph_.tensor(graph_.builder().argument(std::move(argument), tensor_type), *axes);
      feed.label = label;
      scopes_.bind(param.name, Value(feed));
    }
    Value value = evaluator_.eval_body(decl.body);
    const Span span = decl.body.expr.valid() ? scopes_.span_of(decl.body.expr) : decl.name.span;
    if (!signatures_.check_result(decl.result, value, span, fmt::format("export `{}`", decl.name.text)) || value.bad())
      return;
    const auto* tuple = value.as<TupleValue>();
    const std::vector<Value> values = tuple != nullptr ? tuple->items : std::vector<Value>{value};
    for (size_t i = 0; i < values.size(); ++i) {
      const std::optional<Tensor> t = graph_.expect_tensor(values[i], span);
      if (!t) continue;
      KnownRange range;
      if (t->range && std::isfinite(t->range->low) && std::isfinite(t->range->high))
        range = {t->range->low, t->range->high};
      graph_.builder().result({values.size() == 1 ? decl.name.text : fmt::format("{}{}", decl.name.text, i),
                               ResultRole::Value, -1, t->node, range, label_limit(t->label)});
    }
  });
  if (!functions_.trial()) find_couplings(index);
  if (drawn && !functions_.trial()) build_sample(decl, index);
}

/// Draws the feeds of an export that have a distribution, under the names of its parameters.
void Functions::build_sample(const ast::FnDecl& decl, int32_t export_index) {
  functions_.build_function(FunctionKind::Sample, decl.name.text, false, decl.span, [&] {
    graph_.context().function.ref = export_index;
    for (const ast::Param& param : decl.params) {
      if (!param.distribution.valid()) continue;
      const Value value = evaluator_.eval(param.distribution);
      const auto* dist = value.as<Distribution>();
      const std::optional<Axes> axes = signatures_.axes_expression(file_.ast[param.type].dims);
      if (dist == nullptr || !axes) {
        if (!value.bad() && axes)
          diagnostics_.report(Diag::E0610, scopes_.span_of(param.distribution),
                              fmt::format("`~` draws from a distribution, not from {}", shapes_.describe(value)));
        continue;
      }
      const Value drawn =
          distributions_.sample(*dist, *axes, fmt::format("{}/{}", graph_.context().site, param.name.text),
                                scopes_.span_of(param.distribution));
      if (const auto* t = drawn.as<Tensor>())
        graph_.builder().result({param.name.text, ResultRole::Value, -1, t->node});
    }
  });
}

/// One function that computes the start value of every variable.
void Functions::build_init() {
  FunctionContext& init = functions_.init();
  for (const auto& [variable, value] : init.variables) {
    const std::string& path = experiment_.variables[static_cast<size_t>(variable)].path;
    init.builder.result({path, ResultRole::Variable, variable, value});
  }
  functions_.end_init();
}

/// Two paths of one hash: the later in the order of paths takes the next free number, the same in every
/// function.
void Functions::resolve_sites() {
  std::map<std::string, uint32_t> numbers;
  std::set<uint32_t> taken;
  for (const Site& site : distributions_.sites()) numbers.emplace(site.path, 0);
  for (auto& [path, number] : numbers) {
    number = fnv1a(path.data(), path.size());
    while (!taken.insert(number).second) ++number;
  }
  for (const Site& site : distributions_.sites()) {
    site.context->function.graph.nodes[site.node.index].attrs.set("site", int64_t{numbers[site.path]});
  }
}

void Functions::build_others() {
  for (const ast::FnDecl& decl : file_.ast.fns) {
    if (decl.kind == ast::FnKind::Metric) build_metric(decl);
    if (decl.kind == ast::FnKind::Export) build_export(decl);
  }
}

}  // namespace smelt::frontend
