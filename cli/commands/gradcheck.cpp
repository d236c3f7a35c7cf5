// gradcheck: the gradients of a file's objectives against differences, in f64, at a batch of made-up data.
#include "api/smelt/gradcheck.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/smelt/gradients.h"
#include "cli/commands.h"
#include "cli/synthetic.h"
#include "ir/philox.h"
#include "runtime/checkpoint.h"

namespace smelt::cli {
namespace {

constexpr int64_t kBatch = 8;
constexpr double kTolerances[] = {0, 1e-7, 1e-6};  // by order

struct GradcheckFlags {
  ModelFlags model;
  std::string objective, weights;
  int order = 1;
};

/// Start values are special points, biases at 0 above all: every parameter is moved a little.
void leave_start(Session& session) {
  for (const StoredVariable& stored : session.program().variables) {
    if (stored.kind != VariableKind::Param) continue;
    const std::span<std::byte> bytes = session.bytes(stored);
    const std::span<double> values(reinterpret_cast<double*>(bytes.data()), bytes.size() / sizeof(double));
    for (size_t i = 0; i < values.size(); ++i) {
      const uint32_t word =
          philox(3, {static_cast<uint32_t>(i / 4), 0, 0, static_cast<uint32_t>(stored.offset)})[i % 4];
      values[i] += 0.1 * (word * 0x1p-32 - 0.5);
    }
  }
}

/// One objective's frame on the first rows of made-up columns.
struct Point {
  int64_t most = kBatch;
  std::vector<HostTensor> columns;
  std::vector<int32_t> rows;

  Result<CallFrame> frame(Session& session, const Entry& entry) {
    const CompiledProgram& program = session.program();
    const int64_t batch = program.train.batch_symbol < 0 ? std::max<int64_t>(program.train.batch, 1)
                                                         : std::min(program.train.batch, most);
    CallFrame frame = session.frame(entry);
    SMELT_TRY_VOID(frame.own_outputs());
    if (program.data && columns.empty()) {
      SMELT_TRY(columns, synthetic_columns(*program.data, batch));
      for (int64_t r = 0; r < batch; ++r) rows.push_back(static_cast<int32_t>(r));
    }
    for (size_t i = 0; i < entry.inputs.size(); ++i) {
      const Binding& input = entry.inputs[i];
      if (input.kind != BindingKind::Column) continue;
      frame.set_input(i, columns[static_cast<size_t>(input.ref)].data.data());
      if (!input.type.shape[0].is_static()) frame.set_extent(input.type.shape[0].symbol, batch);
    }
    if (frame.takes_rows()) {
      frame.set_rows(rows);
    } else {
      frame.set_batch(batch);
    }
    return frame;
  }
};

struct Report {
  std::string objective;
  GradcheckResult result;
};

std::string line_of(const CheckedModel& model, const GradcheckRow& row) {
  return model.sources->describe(model.experiment->variables[static_cast<size_t>(row.variable)].layer);
}
const std::string& path_of(const CheckedModel& model, const GradcheckRow& row) {
  return model.experiment->variables[static_cast<size_t>(row.variable)].path;
}

void print_table(const GradcheckFlags& flags, const CheckedModel& model, const Report& report) {
  fmt::print("objective {}, loss {:.6g}, order {}\n", report.objective, report.result.loss, flags.order);
  fmt::print("  {:24} {:>9} {:>13} {:>6} {:>9}  {}\n", "parameter", "entries", "checked", "finer", "worst",
             "at (computed, by differences), declared");
  for (const GradcheckRow& row : report.result.rows) {
    fmt::print("  {:24} {:>9} {:>13} {:>6} {:>9.1e}  {} ({:.10g}, {:.10g}), {}\n", path_of(model, row), row.entries,
               row.directions == 0 ? "all" : fmt::format("{} directions", row.directions), row.finer, row.worst,
               row.where, row.computed, row.difference, line_of(model, row));
  }
}

nlohmann::json as_json(const CheckedModel& model, const Report& report) {
  nlohmann::json rows = nlohmann::json::array();
  for (const GradcheckRow& row : report.result.rows) {
    rows.push_back({{"path", path_of(model, row)},
                    {"entries", row.entries},
                    {"directions", row.directions},
                    {"finer", row.finer},
                    {"worst", row.worst},
                    {"at", row.where},
                    {"computed", row.computed},
                    {"difference", row.difference},
                    {"declared", line_of(model, row)}});
  }
  return {{"objective", report.objective}, {"loss", report.result.loss}, {"rows", rows}};
}

/// The verdict over all objectives; the worst row decides.
int conclude(const GradcheckFlags& flags, const CheckedModel& model, const std::vector<Report>& reports) {
  const double tolerance = kTolerances[flags.order];
  const GradcheckRow* worst = nullptr;
  const Report* of = nullptr;
  for (const Report& report : reports) {
    for (const GradcheckRow& row : report.result.rows) {
      if (worst == nullptr || row.worst > worst->worst) worst = &row, of = &report;
    }
  }
  const bool good = worst == nullptr || worst->worst <= tolerance;
  if (flags.model.json) {
    nlohmann::json list = nlohmann::json::array();
    for (const Report& report : reports) list.push_back(as_json(model, report));
    fmt::print(
        "{}\n",
        nlohmann::json{{"ok", good}, {"order", flags.order}, {"tolerance", tolerance}, {"objectives", list}}.dump());
    return good ? kOk : kRunTime;
  }
  if (worst != nullptr)
    fmt::print("worst {:.1e}: {} of objective {}; allowed {:.0e}\n", worst->worst, path_of(model, *worst),
               of->objective, tolerance);
  if (good) return kOk;
  return report({ErrorKind::RunTime,
                 fmt::format("{}: the gradient of `{}` with respect to `{}` at {} is {:.10g}, by differences {:.10g}",
                             line_of(model, *worst), of->objective, path_of(model, *worst), worst->where,
                             worst->computed, worst->difference),
                 "`stop`, `straight_through` and a `vjp` clause make it another on purpose; a jump of the loss leaves "
                 "no derivative to find",
                 {}});
}

Result<std::vector<Report>> check_objectives(const GradcheckFlags& flags, Session& session,
                                             const std::vector<std::string>& objectives) {
  std::vector<Report> reports;
  Point point{.most = flags.model.batch.value_or(kBatch), .columns = {}, .rows = {}};
  for (const std::string& objective : objectives) {
    SMELT_TRY(CallFrame frame, point.frame(session, *session.program().find(FunctionKind::Gradients, objective)));
    SMELT_TRY(GradcheckResult result,
              gradcheck(session, frame, {.order = flags.order, .tolerance = kTolerances[flags.order]}));
    reports.push_back({objective, std::move(result)});
  }
  return reports;
}

/// The objectives to check, each with its function added to the experiment.
Result<std::vector<std::string>> add_functions(const GradcheckFlags& flags, CheckedModel& model) {
  std::vector<std::string> names;
  if (!flags.objective.empty()) names.push_back(flags.objective);
  for (const Objective& objective : model.experiment->objectives) {
    if (flags.objective.empty() && objective.step >= 0) names.push_back(objective.name);
  }
  if (names.empty())
    return fail(ErrorKind::Model, fmt::format("{} has no `step` line, so nothing is differentiated", flags.model.file),
                "see examples/mlp.smelt");
  for (const std::string& name : names) {
    SMELT_TRY(*model.experiment,
              with_gradients(*model.experiment, name, flags.order == 2 ? GradientOrder::Second : GradientOrder::First));
  }
  return names;
}

int run_gradcheck(const GradcheckFlags& flags) {
  if (flags.model.precision != "f64")
    return report_usage("gradcheck runs in f64: differences of f32 losses tell nothing", "leave out --precision");
  int code = kOk;
  std::optional<OpenedModel> model = open_model(flags.model, code);
  if (!model) return code;
  const Result<std::vector<std::string>> objectives = add_functions(flags, model->checked);
  if (!objectives) return report(objectives.error());
  Result<RunningModel> running = start_model(std::move(model->checked), model->options, flags.model.threads, 1);
  if (!running) return report(running.error());
  Session& session = *running->session;
  if (flags.weights.empty()) {
    leave_start(session);
  } else if (const auto loaded = load_weights(flags.weights, session); !loaded) {
    return report(loaded.error());
  }
  const Result<std::vector<Report>> reports = check_objectives(flags, session, *objectives);
  if (!reports) return report(reports.error());
  if (!flags.model.json) {
    for (const Report& each : *reports) print_table(flags, running->checked, each);
  }
  return conclude(flags, running->checked, *reports);
}

}  // namespace

Runner add_gradcheck(Options options) {
  auto flags = std::make_shared<GradcheckFlags>();
  flags->model.precision = "f64";
  add_model_flags(options, flags->model, kRunning | kJson);
  options.add("--order", flags->order, "1: gradients; 2: products with the Hessian").between(1, 2);
  options.add("--objective", flags->objective, "one of the file's; default: all that a `step` line runs");
  options
      .add("--weights", flags->weights,
           "where to look: a run, a checkpoint or a safetensors file; default: near the start values")
      .checkpoint();
  return [flags] { return run_gradcheck(*flags); };
}

}  // namespace smelt::cli
