#include "frontend/train_section.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "frontend/ast_walk.h"
#include "frontend/data_section.h"
#include "frontend/evaluator.h"
#include "frontend/function_builder.h"
#include "frontend/names.h"
#include "frontend/step_lines.h"
#include "ir/support/suggest.h"

namespace smelt::frontend {

// The precision is read before anything that has a type, since it says what `f32` is.
void TrainSection::read_precision() {
  if (train_ != nullptr) {
    for (const ast::TrainItem& item : train_->items) {
      if (const auto* line = std::get_if<ast::PrecisionItem>(&item.node)) train_precision(*line);
    }
  }
  if (options_.precision) experiment_.precision = *options_.precision;
}

void TrainSection::train_precision(const ast::PrecisionItem& item) {
  const std::optional<DType> dtype = parse_dtype(item.dtype.text);
  if (dtype == DType::F32 || dtype == DType::F64 || dtype == DType::BF16) {
    experiment_.precision = *dtype;
  } else if (dtype == DType::F16) {
    diagnostics_.report(Diag::E0701, item.dtype.span, "`precision f16` needs loss scaling, which is not supported yet")
        .with_help("write `precision bf16`: it has the range of f32 and needs none");
  } else {
    diagnostics_
        .report(Diag::E0605, item.dtype.span,
                fmt::format("`{}` is no precision to train in", printable(item.dtype.text)))
        .with_help("write `precision f32`, `precision f64` or `precision bf16`");
  }
}

template <typename... Items>
static bool is_any_of(const ast::TrainItem& item) {
  return (std::holds_alternative<Items>(item.node) || ...);
}

/// Behind the line that the missing one would follow, else at the head of the section.
void TrainSection::report_missing(std::string message, std::string help, bool (*comes_before)(const ast::TrainItem&)) {
  Span place = train_->span;
  for (const ast::TrainItem& item : train_->items)
    if (comes_before(item)) place = {item.span.file, item.span.end - 1, item.span.end};
  diagnostics_.report(Diag::E0605, place, std::move(message))
      .caret(place == train_->span ? "" : "it may follow this")
      .with_help(std::move(help));
}

void TrainSection::build_train() {
  if (train_ == nullptr) return warn_idle_objectives();
  Frame frame(file_, &scopes_.frame());
  const auto entered = scopes_.enter(frame);
  TrainPlan& plan = experiment_.train;
  plan.present = true;
  plan.has_data = data_.found();
  plan.span = train_->span;
  const std::map<std::string, Span> seen = read_lines();
  if (options_.seed) plan.seed = *options_.seed;
  if (experiment_.data) experiment_.data->seed = plan.seed;
  if (options_.steps || options_.epochs) {
    plan.steps = options_.steps.value_or(-1);
    plan.epochs = options_.steps ? -1 : options_.epochs.value_or(-1);
  }
  check_complete(seen);
  if (plan.loop.empty()) {
    for (size_t i = 0; i < experiment_.objectives.size(); ++i)
      if (step_lines_.has_line(i)) plan.loop.push_back({1, {static_cast<int32_t>(i)}});
  }
  if (plan.loop.empty())
    report_missing("the train section has no `step` line", "write `step loss with adam(lr = 1e-3)`",
                   is_any_of<ast::DataItem, ast::BatchItem, ast::NumberItem, ast::PrecisionItem>);
  warn_idle_objectives();
}

/// Returns the lines that may occur once, by their words.
std::map<std::string, Span> TrainSection::read_lines() {
  std::map<std::string, Span> seen;
  for (const ast::TrainItem& item : train_->items) {
    const auto once = [&](const std::string& what) {
      const auto [first, fresh] = seen.try_emplace(what, item.span);
      if (!fresh)
        diagnostics_.report(Diag::E0605, item.span, fmt::format("`{}` is given twice", what))
            .label(first->second, "first here");
    };
    std::visit(ast::Overloaded{
                   [](const ast::DataItem&) {},  // DataSection
                   [&](const ast::BatchItem& i) { once("batch"), train_batch(i); },
                   [&](const ast::NumberItem& i) { once(i.what.text), train_number(i); },
                   [&](const ast::PrecisionItem&) { once("precision"); },  // read_precision
                   [](const ast::StepItem&) {},                            // read_step_lines
                   [&](const ast::LoopItem& i) { once("loop"), train_loop(i, item.span); },
                   [](const ast::EmaItem&) {},  // Averages
                   [&](const ast::EveryItem& i) { train_every(i, item.span); },
                   [&](const ast::StopItem& i) {
                     const bool condition = i.best_metric.empty();
                     once(condition ? "stop when" : "stop when no better");
                     condition ? stop_condition(i) : stop_without_progress(i);
                   },
                   [&](const ast::SlowItem& i) { once("slow " + i.objective.text), slow_line(i); },
               },
               item.node);
  }
  return seen;
}

/// How many rows a step takes and how long training goes on: both are said, once, and go with the data.
void TrainSection::check_complete(const std::map<std::string, Span>& seen) {
  const TrainPlan& plan = experiment_.train;
  if (!seen.contains("batch"))
    report_missing("the train section has no batch size", "write `batch B = 128, shuffle`", is_any_of<ast::DataItem>);
  const bool says_how_long = seen.contains("epochs") || seen.contains("steps");
  if (plan.steps < 0 && plan.epochs < 0 && !says_how_long)
    report_missing("the train section does not say how long to train", "write `epochs 10` or `steps 20_000`",
                   is_any_of<ast::DataItem, ast::BatchItem>);
  if (plan.steps >= 0 && plan.epochs >= 0)
    diagnostics_.report(Diag::E0605, train_->span, "the train section has both `epochs` and `steps`")
        .with_help("leave one of them out");
  if (plan.shuffle && !plan.has_data)
    diagnostics_.report(Diag::W0006, train_->span, "`shuffle` has no effect without data")
        .with_help("remove it, or name a data section: `data points`");
  if (plan.epochs >= 0 && !plan.has_data)
    diagnostics_.report(Diag::E0605, train_->span, "`epochs` needs data")
        .with_help("write `steps 10_000`, or name a data section: `data points`");
}

bool TrainSection::runs_somewhere(std::string_view objective) const {
  return std::ranges::any_of(file_.ast.trains, [&](const ast::TrainDecl& train) {
    return std::ranges::any_of(train.items, [&](const ast::TrainItem& item) {
      const auto* step = std::get_if<ast::StepItem>(&item.node);
      return step != nullptr && step->objective.text == objective;
    });
  });
}

void TrainSection::warn_idle_objectives() {
  for (size_t i = 0; i < experiment_.objectives.size(); ++i) {
    if (runs_somewhere(experiment_.objectives[i].name) || experiment_.objectives[i].name.starts_with("_")) continue;
    const ast::Ident& name = file_.ast.objectives[i].name;
    diagnostics_.report(Diag::W0003, name.span, fmt::format("no `step` line runs objective `{}`", name.text))
        .with_help(fmt::format("write `step {} with adam(lr = 1e-3)`", name.text));
  }
}

// epochs 20, steps 20_000, seed 1
void TrainSection::train_number(const ast::NumberItem& item) {
  const std::optional<int64_t> value = shapes_.expect_integer(evaluator_.eval(item.value), scopes_.span_of(item.value),
                                                              fmt::format("`{}`", item.what.text));
  if (!value) return;
  const bool is_seed = item.what.text == "seed";
  if (*value < (is_seed ? 0 : 1)) {
    diagnostics_.report(Diag::E0503, scopes_.span_of(item.value),
                        fmt::format("`{}` is {}; it has to be at least {}", item.what.text, *value, is_seed ? 0 : 1));
    return;
  }
  TrainPlan& plan = experiment_.train;
  if (is_seed)
    plan.seed = static_cast<uint64_t>(*value);
  else
    (item.what.text == "epochs" ? plan.epochs : plan.steps) = *value;
}

// loop { 5 * critic; gen }
void TrainSection::train_loop(const ast::LoopItem& item, Span span) {
  const auto empty = [&](Span place, std::string_view what, std::string_view help) {
    diagnostics_.report(Diag::E0605, place, fmt::format("the {} names no objective", what))
        .with_help(std::string(help));
  };
  if (item.groups.empty()) empty(span, "loop", "remove it: all step lines run then, in their order");
  for (const ast::LoopGroup& group : item.groups) {
    if (group.entries.empty()) empty(group.span, "`together`", "such a line is `loop { together { d_loss; g_loss } }`");
    for (const ast::LoopEntry& entry : group.entries) {
      const std::optional<LoopItem> call = loop_call(entry);
      const bool in_step_of_another = call && step_lines_.leader_of(static_cast<size_t>(call->objectives[0])) !=
                                                  static_cast<size_t>(call->objectives[0]);
      if (call && !in_step_of_another) experiment_.train.loop.push_back(*call);
    }
  }
  if (item.one_batch) share_batch(item);
}

// 5 * critic
std::optional<LoopItem> TrainSection::loop_call(const ast::LoopEntry& entry) {
  const int32_t objective = step_lines_.find_objective(entry.objective.text);
  const std::optional<int64_t> times =
      entry.times.valid()
          ? shapes_.expect_integer(evaluator_.eval(entry.times), scopes_.span_of(entry.times), "a repetition")
          : 1;
  if (objective < 0 || !step_lines_.has_line(static_cast<size_t>(objective))) {
    std::vector<std::string> names;
    for (const Objective& o : experiment_.objectives) names.push_back(o.name);
    diagnostics_
        .report(Diag::E0606, entry.objective.span,
                objective < 0 ? fmt::format("no objective `{}`", printable(entry.objective.text))
                              : fmt::format("objective `{}` has no step line", entry.objective.text))
        .with_help(objective < 0 ? help_for_objective(entry.objective.text, names)
                                 : fmt::format("write `step {} with adam(lr = 1e-3)`", entry.objective.text));
    return std::nullopt;
  }
  if (!times) return std::nullopt;
  if (*times < 1 || *times > 10000) {
    diagnostics_.report(Diag::E0503, scopes_.span_of(entry.times),
                        fmt::format("an objective is repeated {} times; it may be 1 to 10000", *times));
    return std::nullopt;
  }
  return LoopItem{static_cast<int32_t>(*times), {objective}};
}

/// All calls of the loop become one item, whose calls read the same rows.
void TrainSection::share_batch(const ast::LoopItem& item) {
  std::vector<LoopItem>& loop = experiment_.train.loop;
  LoopItem all;
  int takers = 0;
  for (const LoopItem& part : loop) {
    for (int32_t time = 0; time < part.times; ++time) {
      all.objectives.insert(all.objectives.end(), part.objectives.begin(), part.objectives.end());
      takers += experiment_.objectives[static_cast<size_t>(part.objectives[0])].takes_data;
    }
  }
  if (takers < 2 && !item.groups.empty())
    diagnostics_
        .report(Diag::W0006, item.groups[0].span,
                "`on one batch` has no effect: fewer than two calls of the loop read data")
        .with_help("remove it");
  loop.assign(1, std::move(all));
}

void TrainSection::train_every(const ast::EveryItem& item, Span span) {
  const std::optional<int64_t> count =
      shapes_.expect_integer(evaluator_.eval(item.count), scopes_.span_of(item.count), "the count of `every`");
  if (!count) return;
  Every every;
  every.count = *count;
  every.unit = item.unit.text.starts_with("step") ? Unit::Step : Unit::Epoch;
  every.span = span;
  if (*count < 1)
    diagnostics_.report(Diag::E0503, scopes_.span_of(item.count),
                        fmt::format("the count of `every` is {}; it has to be at least 1", *count));
  if (every.unit == Unit::Epoch && !data_.found())
    diagnostics_.report(Diag::E0605, item.unit.span, "epochs need data")
        .with_help("count in steps, or name a data section");
  for (const ast::Action& action : item.actions) {
    Action out;
    out.span = action.span;
    std::visit(ast::Overloaded{
                   [&](const ast::EvalAction& a) { eval_action(a, out); },
                   [&](const ast::CheckpointAction& a) { checkpoint_action(a, out); },
                   [&](const ast::OutputAction& a) { output_action(a, out, action.span); },
               },
               action.node);
    every.actions.push_back(std::move(out));
  }
  experiment_.train.every.push_back(std::move(every));
}

std::vector<std::string> TrainSection::eval_names() const {
  std::vector<std::string> names;
  for (const Objective& objective : experiment_.objectives) names.push_back(objective.name);
  for (const ast::FnDecl& decl : file_.ast.fns)
    if (decl.kind == ast::FnKind::Metric) names.push_back(decl.name.text);
  return names;
}

/// The name that is meant, or how to declare it.
static std::string help_for_metric(const std::string& name, const std::vector<std::string>& names) {
  std::string help = did_you_mean(name, names);
  return help.empty() ? fmt::format("declare it: `metric {}(..) = ..`", printable(name)) : help;
}

// eval valid: loss, acc
void TrainSection::eval_action(const ast::EvalAction& action, Action& out) {
  out.kind = ActionKind::Eval;
  out.split = action.split.text;
  std::vector<std::string> splits;
  if (experiment_.data)
    for (const Split& split : experiment_.data->splits) splits.push_back(split.name);
  if (std::ranges::find(splits, out.split) == splits.end()) {
    std::string help = did_you_mean(out.split, splits);
    if (help.empty())
      help = splits.empty() ? "there is no data section"
                            : fmt::format(
                                  "the data has {0}; `{1}, {2} = .. |> split(0.9)` takes a part of its rows for "
                                  "`{2}`",
                                  fmt::join(splits, ", "), splits[0], printable(out.split));
    Diagnostic& diagnostic =
        diagnostics_.report(Diag::E0606, action.split.span, fmt::format("no split `{}`", printable(out.split)))
            .with_help(std::move(help));
    if (!splits.empty()) diagnostic.label(experiment_.data->splits.back().source.span, "the splits are declared here");
  } else if (const std::vector<std::string> lacking = data_.sections_without(out.split); !lacking.empty()) {
    diagnostics_
        .report(Diag::E0606, action.split.span,
                fmt::format("data section `{}` has no split `{}`", lacking[0], out.split))
        .with_help("`eval` takes a split that each data section of the train section has");
  }
  const std::vector<std::string> names = eval_names();
  for (const ast::Ident& name : action.names) {
    if (std::ranges::find(names, name.text) == names.end()) {
      diagnostics_.report(Diag::E0606, name.span, fmt::format("no objective or metric `{}`", printable(name.text)))
          .with_help(help_for_metric(name.text, names));
    }
    out.names.push_back(name.text);
  }
}

// checkpoint keep 3, checkpoint keep best(max acc)
void TrainSection::checkpoint_action(const ast::CheckpointAction& action, Action& out) {
  out.kind = ActionKind::Checkpoint;
  if (action.keep.valid()) {
    const std::optional<int64_t> keep =
        shapes_.expect_integer(evaluator_.eval(action.keep), scopes_.span_of(action.keep), "the number of checkpoints");
    if (keep && (*keep < 1 || *keep > 1000000))
      diagnostics_.report(Diag::E0503, scopes_.span_of(action.keep),
                          fmt::format("{} checkpoints are kept; it has to be 1 to 1000000", *keep));
    if (keep) out.keep = static_cast<int32_t>(std::clamp<int64_t>(*keep, 1, 1000000));
  }
  if (action.best_metric.empty()) return;
  out.best_metric = action.best_metric.text;
  out.best_is_max = action.best_direction.text == "max";
  split_of_evaluated(action.best_metric);
}

// stop when nan(critic) or nan(gen)
void TrainSection::stop_condition(const ast::StopItem& item) {
  const Span span = scopes_.span_of(item.condition);
  experiment_.train.stop_function = functions_.build_function(FunctionKind::Stop, "stop", false, span, [&] {
    for (size_t i = 0; i < experiment_.objectives.size(); ++i) {
      const std::string& name = experiment_.objectives[i].name;
      if (!mentions(item.condition, name)) continue;
      if (const size_t leader = step_lines_.leader_of(i); leader != i) {
        diagnostics_
            .report(Diag::E0605, span,
                    fmt::format("`{}` runs together with `{}`, whose step has one loss", name,
                                experiment_.objectives[leader].name))
            .with_help(fmt::format("write `{}`; a loss that is not finite ends the run anyway",
                                   experiment_.objectives[leader].name));
        return;
      }
      const int32_t scalar = graph_.scalar_input(name + ".loss", ScalarKind::Loss, 0, static_cast<int32_t>(i));
      scopes_.bind({name, span}, Value(graph_.scalar_argument(scalar)));
    }
    const std::optional<Tensor> condition = graph_.expect_tensor(evaluator_.eval(item.condition), span, DType::Bool);
    if (!condition) return;
    if (condition->dtype != DType::Bool || !condition->axes.empty()) {
      diagnostics_.report(Diag::E0403, span,
                          fmt::format("the condition of `stop` is `{}`, not a boolean", shapes_.type_text(*condition)));
      return;
    }
    graph_.builder().result({"stop", ResultRole::Value, -1, condition->node});
  });
}

bool TrainSection::mentions(ast::ExprId expr, std::string_view name) const {
  if (const auto* found = scopes_.ast().as<ast::NameExpr>(expr)) return found->name == name;
  bool any = false;
  ast::for_each_child(scopes_.ast(), scopes_.ast()[expr],
                      [&](ast::ExprId child) { any = any || mentions(child, name); });
  return any;
}

}  // namespace smelt::frontend
