#include <fmt/format.h>

#include <algorithm>

#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/console.h"
#include "cli/nonfinite_reporter.h"
#include "cli/run_source.h"
#include "ir/support/suggest.h"
#include "runtime/evaluate.h"

namespace smelt::cli {
namespace {

struct EvalFlags {
  ModelFlags model;
  std::string weights, split;
  std::vector<std::string> names;
  bool partial = false, check_nan = false;
};

/// Every objective and metric, for a command that names none.
std::vector<std::string> all_names(const CompiledProgram& program) {
  std::vector<std::string> names;
  for (const Entry& entry : program.entries) {
    if (entry.kind == FunctionKind::Loss || entry.kind == FunctionKind::Metric) names.push_back(entry.name);
  }
  return names;
}

/// `valid` when there is one, else the last split.
std::string default_split(const DataPlan& data) {
  for (const Split& split : data.splits) {
    if (split.name == "valid") return split.name;
  }
  return data.splits.back().name;
}

/// The value of a loss that mixes rows is that of its batches.
void note_coupling(const CompiledProgram& program, const std::string& name) {
  const Entry* entry = program.find(FunctionKind::Loss, name);
  if (entry == nullptr || entry->couplings.empty()) return;
  const RowCoupling& coupling = entry->couplings.front();
  say("note: objective `{}` mixes the rows of a batch through {} ({}): its value is the mean of batches of {} rows",
      name, coupling.what, coupling.place, program.train.batch);
}

/// The time that schedules of an objective see: that of the checkpoint. Of start values it is the beginning, of weights
/// without a training state the end.
void set_time(Session& session, const SourcedModel& source) {
  const int64_t now = source.weights.empty() ? 0 : 1;
  session.header().iteration = source.trained ? source.trained->step : now;
  session.header().horizon = source.trained ? source.trained->horizon : 1;
}

int run_eval(const EvalFlags& flags) {
  int code = kOk;
  std::optional<SourcedModel> source = open_source(flags.model, flags.weights, NeedsData::Yes, code);
  if (!source) return code;
  const ModelOptions& options = source->options;
  Result<RunningModel> running = start_model(std::move(source->checked), options, flags.model.threads, 0);
  if (!running) return report(running.error());
  Session& session = *running->session;
  const CompiledProgram& program = session.program();
  if (source->weights.empty()) {
    if (flags.partial) return report(partial_of_nothing());
    say("note: without --weights the parameters have their initial values: this evaluates an untrained model");
  }
  const Match match = flags.partial ? Match::Partial : Match::Strict;
  if (const auto loaded = load_variables(*source, running->checked, session, match); !loaded)
    return report(loaded.error());
  const auto subwords = open_subwords(*source, running->checked);
  if (!subwords) return report(subwords.error());
  set_time(session, *source);
  std::string split;
  std::vector<Dataset> data;
  if (!program.data && !flags.split.empty())
    return report_usage("--split chooses rows of data, and the file has none", "leave it out");
  if (program.data) {
    split = flags.split.empty() ? default_split(*program.data) : flags.split;
    std::vector<std::string_view> known;
    for (const Split& one : program.data->splits) known.push_back(one.name);
    if (std::ranges::find(known, split) == known.end()) {
      return report_usage(fmt::format("the data has no split `{}`", split), suggest(split, known));
    }
    std::optional<DataPlan> plan = program.data;
    plan->known_words = known_words(*plan, *source);
    Result<std::vector<Dataset>> opened = open_data(plan, options, running->checked.path, flags.model.threads, {split});
    if (!opened) return report(opened.error());
    data = std::move(*opened);
  }
  const auto names = flags.names.empty() ? all_names(program) : flags.names;
  for (const std::string& name : names) note_coupling(program, name);
  NonFiniteReporter reporter(running->checked, options);
  const auto values = evaluate(session, sets_of(data, split), program.train.batch, names,
                               flags.check_nan ? reporter.hook() : TraceCall());
  if (!values) return reporter.report(values.error(), flags.model.json);
  nlohmann::json metrics = nlohmann::json::object();
  for (const NamedValue& value : *values) {
    metrics[value.name] = value.value;
    if (!flags.model.json) fmt::print("{:24} {:.6g}\n", value.name, without_sign_of_nan(value.value));
  }
  if (flags.model.json) fmt::print("{}\n", nlohmann::json{{"eval", split}, {"metrics", metrics}}.dump());
  return kOk;
}

}  // namespace

Runner add_eval(Options options) {
  auto flags = std::make_shared<EvalFlags>();
  add_model_flags(options, flags->model, kRunning | kJson);
  options.add("NAMES", flags->names, "objectives and metrics (default: all)");
  options.add("--weights", flags->weights, "a run, a checkpoint or a safetensors file").checkpoint();
  options.add("--split", flags->split, "split of the data (default: valid, else the last)");
  options.flag("--check-nan", flags->check_nan,
               "name the line that the first NaN or infinity came from, and end with 6");
  options.flag("--partial", flags->partial, "--weights: load what fits");
  return [flags] { return run_eval(*flags); };
}

}  // namespace smelt::cli
