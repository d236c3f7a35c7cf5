// Step lines: which optimiser with which options, and its update rule for each parameter.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/graph_writer.h"

namespace smelt {

struct Experiment;
class Diagnostics;

namespace frontend {

struct FileScope;
class Library;
class Scopes;
class Shapes;
class GraphWriter;
class Evaluator;
class Selectors;

class StepLines {
 public:
  StepLines(const FileScope& file, const Library& library, Experiment& experiment, Scopes& scopes, Shapes& shapes,
            GraphWriter& graph, Evaluator& evaluator, Selectors& selectors, Diagnostics& diagnostics)
      : file_(file),
        library_(library),
        experiment_(experiment),
        scopes_(scopes),
        shapes_(shapes),
        graph_(graph),
        evaluator_(evaluator),
        selectors_(selectors),
        diagnostics_(diagnostics) {}

  /// Reads `step loss with adam(lr = 1e-3)` without evaluating the options. Objectives are known.
  void read_step_lines();
  int32_t find_objective(std::string_view name) const;  // -1: there is none
  bool has_line(size_t objective) const { return lines_[objective].item != nullptr; }
  /// Writes the updates of an objective's parameters into the function at hand.
  void update_parameters(size_t objective, const Tensor& loss);

 private:
  struct StepLine {
    const ast::StepItem* item = nullptr;
    const FileScope* scope = nullptr;
    const ast::OptimiserDecl* optimiser = nullptr;
    Span span;
    std::map<std::string, ast::ExprId> options;
  };
  void read_optimiser(StepLine& line);
  std::vector<std::string> optimiser_names() const;
  void check_dependent_options(const StepLine& line, std::string_view optimiser);
  void check_option_ranges(const std::string& name, double value, Span span);
  Value step_option(const std::string& name, ast::ExprId expr, size_t objective, const Surroundings& around);
  void update_parameter(size_t index, const StepLine& line, int32_t variable, Tensor gradient, bool decays,
                        const std::map<std::string, Value>& options);
  void clip_gradients(std::vector<Tensor>& gradients, const std::map<std::string, Value>& options, Span span);

  const FileScope& file_;
  const Library& library_;
  Experiment& experiment_;
  Scopes& scopes_;
  Shapes& shapes_;
  GraphWriter& graph_;
  Evaluator& evaluator_;
  Selectors& selectors_;
  Diagnostics& diagnostics_;
  std::vector<StepLine> lines_;  // by objective
};

}  // namespace frontend
}  // namespace smelt
