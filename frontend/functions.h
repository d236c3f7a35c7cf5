// One graph for each thing that runs: steps, evaluations, metrics, exports, draws for exports. What batches do to them
// is in batches.cpp.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "frontend/graph_writer.h"

namespace smelt {

struct Experiment;
class Diagnostics;

namespace frontend {

struct FileScope;
class Scopes;
class Shapes;
class GraphWriter;
class Signatures;
class Distributions;
class Selectors;
class DataSection;
class StepLines;
class Averages;
class FunctionBuilder;
class Evaluator;

class Functions {
 public:
  Functions(const FileScope& file, Experiment& experiment, Scopes& scopes, Shapes& shapes, GraphWriter& graph,
            Signatures& signatures, Distributions& distributions, Selectors& selectors, DataSection& data,
            StepLines& step_lines, Averages& averages, FunctionBuilder& functions, Evaluator& evaluator,
            Diagnostics& diagnostics)
      : file_(file),
        experiment_(experiment),
        scopes_(scopes),
        shapes_(shapes),
        graph_(graph),
        signatures_(signatures),
        distributions_(distributions),
        selectors_(selectors),
        data_(data),
        step_lines_(step_lines),
        averages_(averages),
        functions_(functions),
        evaluator_(evaluator),
        diagnostics_(diagnostics) {}

  void declare_objectives();
  /// Builds everything once into graphs that are thrown away, so that all parameters exist before a selector is
  /// matched.
  void discover();
  void build_objectives();
  /// Metrics and exports.
  void build_others();
  /// The function that computes the start value of every variable.
  void build_init();
  /// Two paths of one hash get two numbers.
  void resolve_sites();
  /// Adds the functions that put losses and metrics together from several batches. All others are built.
  void combine_batches();

 private:
  void try_all();
  std::optional<Tensor> objective_loss(const ast::ObjectiveDecl& decl);
  void build_step(size_t index);
  std::optional<Tensor> member_loss(size_t member, bool alone);
  bool share_nothing(const std::vector<size_t>& members);
  void step_results(const std::vector<size_t>& members);
  void build_loss(size_t index);
  void build_metric(const ast::FnDecl& decl);
  LabelLimit label_limit(DimId label) const;
  void build_export(const ast::FnDecl& decl);
  void build_sample(const ast::FnDecl& decl, int32_t export_index);
  void find_updates(size_t index);
  /// Each report of a body has a name of its own.
  void check_reports(const ast::ObjectiveDecl& decl);
  void combine_batches(int32_t index, Span span);
  void refuse_length(FunctionContext& context, const Output& output, Span span);
  void find_couplings(int32_t index);

  const FileScope& file_;
  Experiment& experiment_;
  Scopes& scopes_;
  Shapes& shapes_;
  GraphWriter& graph_;
  Signatures& signatures_;
  Distributions& distributions_;
  Selectors& selectors_;
  DataSection& data_;
  StepLines& step_lines_;
  Averages& averages_;
  FunctionBuilder& functions_;
  Evaluator& evaluator_;
  Diagnostics& diagnostics_;
  std::vector<std::pair<int32_t, Span>> in_batches_;  // losses and metrics, with the places of their names
};

}  // namespace frontend
}  // namespace smelt
