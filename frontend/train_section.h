// The train section: precision, batch, horizon, loop and actions as a TrainPlan. Members are defined in
// train_section.cpp; those of its `batch` line in batch_line.cpp, of actions that write files in output_actions.cpp, of
// lines that wait for a metric in patience_lines.cpp.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/build_experiment.h"
#include "frontend/graph_writer.h"

namespace smelt {

struct FrontendOptions;
struct Experiment;
class Diagnostics;

namespace frontend {

struct FileScope;
class Scopes;
class Shapes;
class GraphWriter;
class Names;
class DataSection;
class StepLines;
class FunctionBuilder;
class Evaluator;

class TrainSection {
 public:
  TrainSection(const FileScope& file, const FrontendOptions& options, Experiment& experiment, Scopes& scopes,
               Shapes& shapes, GraphWriter& graph, Names& names, DataSection& data, StepLines& step_lines,
               FunctionBuilder& functions, Evaluator& evaluator, Diagnostics& diagnostics)
      : file_(file),
        options_(options),
        experiment_(experiment),
        scopes_(scopes),
        shapes_(shapes),
        graph_(graph),
        names_(names),
        data_(data),
        step_lines_(step_lines),
        functions_(functions),
        evaluator_(evaluator),
        diagnostics_(diagnostics) {}

  /// Read before anything that has a type, because the precision says what `f32` is.
  void read_precision();
  void build_train();
  /// Whether a train section of the file has a step line for it.
  bool runs_somewhere(std::string_view objective) const;

 private:
  std::map<std::string, Span> read_lines();
  void check_complete(const std::map<std::string, Span>& seen);
  void report_missing(std::string message, std::string help, bool (*comes_before)(const ast::TrainItem&));
  void train_precision(const ast::PrecisionItem& item);
  void train_batch(const ast::BatchItem& item);
  void check_lengths(const ast::BatchItem& item);
  void train_bucket(const ast::BatchItem& item);
  void train_number(const ast::NumberItem& item);
  void train_loop(const ast::LoopItem& item, Span span);
  std::optional<LoopItem> loop_call(const ast::LoopEntry& entry);
  void share_batch(const ast::LoopItem& item);
  void train_every(const ast::EveryItem& item, Span span);
  bool check_placeholders(const std::string& path, Span span);
  void output_action(const ast::OutputAction& action, Action& out, Span span);
  std::optional<ast::ExprId> grid_of(ast::ExprId value, Action& out);
  std::optional<int64_t> rate_of(const ast::OutputAction& action);
  std::optional<Tensor> shown_value(ast::OutputKind kind, ast::ExprId value);
  bool check_shown(ast::OutputKind kind, const Tensor& x, Span span);
  NodeId rows_first(const Tensor& x);
  void checkpoint_action(const ast::CheckpointAction& action, Action& out);
  void eval_action(const ast::EvalAction& action, Action& out);
  void stop_condition(const ast::StopItem& item);
  void stop_without_progress(const ast::StopItem& item);
  void slow_line(const ast::SlowItem& item);
  Patience patience_of(const ast::Ident& direction, const ast::Ident& metric, ast::ExprId evaluations,
                       std::string_view what);
  std::string split_of_evaluated(const ast::Ident& metric) const;
  std::vector<std::string> eval_names() const;
  void warn_idle_objectives();
  bool mentions(ast::ExprId expr, std::string_view name) const;

  const FileScope& file_;
  const FrontendOptions& options_;
  Experiment& experiment_;
  Scopes& scopes_;
  Shapes& shapes_;
  GraphWriter& graph_;
  Names& names_;
  DataSection& data_;
  StepLines& step_lines_;
  FunctionBuilder& functions_;
  Evaluator& evaluator_;
  Diagnostics& diagnostics_;
  const ast::TrainDecl* train_ = train_section(file_);
  int num_outputs_ = 0;
};

}  // namespace frontend
}  // namespace smelt
