// Step lines: which optimisers with which options, and their update rules for each parameter. Members are defined in
// step_lines.cpp, those that write a step in step_updates.cpp.
#pragma once

#include <map>
#include <optional>
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
class Variables;
class Averages;
class Calls;

/// The run-time input of the step that `slow loss by ..` changes. No option of an optimiser has this name.
inline std::string slow_scalar(const std::string& objective) { return objective + ".lr.slow"; }

class StepLines {
 public:
  StepLines(const FileScope& file, const Library& library, Experiment& experiment, Scopes& scopes, Shapes& shapes,
            GraphWriter& graph, Evaluator& evaluator, Selectors& selectors, Variables& variables, Averages& averages,
            Calls& calls, Diagnostics& diagnostics)
      : file_(file),
        library_(library),
        experiment_(experiment),
        scopes_(scopes),
        shapes_(shapes),
        graph_(graph),
        evaluator_(evaluator),
        selectors_(selectors),
        variables_(variables),
        averages_(averages),
        calls_(calls),
        diagnostics_(diagnostics) {}

  /// Reads `step loss with adam(lr = 1e-3)` without evaluating the options. Objectives are known.
  void read_step_lines();
  int32_t find_objective(std::string_view name) const;  // -1: there is none
  bool has_line(size_t objective) const { return lines_[objective].item != nullptr; }
  /// Whether an optimiser of its line has a parameter `lr`.
  bool has_rate(size_t objective) const;
  /// The objectives whose gradients are taken at the same point as that of this one, which is the first of them.
  std::vector<size_t> members(size_t leader) const;
  /// The objective in whose step this one runs: itself, or the first of its `together`.
  size_t leader_of(size_t objective) const;
  /// Writes the updates of an objective's parameters into the function at hand.
  void update_parameters(size_t objective, const Tensor& loss);

 private:
  /// One of a line: the first is for all parameters that no other one selects.
  struct StepOptimiser {
    ast::ExprId expr, selector = {};
    const FileScope* scope = nullptr;
    const ast::OptimiserDecl* decl = nullptr;
    Span span = {};
    std::string prefix = {};  // of its run-time inputs: `loss.lr`, of the second one `loss.2.lr`
    std::map<std::string, ast::ExprId> options = {};
  };
  struct StepLine {
    const ast::StepItem* item = nullptr;
    Span span;
    std::vector<StepOptimiser> optimisers;
  };
  using Options = std::map<std::string, Value>;
  /// Each call of a step adds a gradient, and the last of `every` calls updates.
  struct Accumulation {
    int64_t every = 1;
    Value is_last;  // a boolean of the step
  };
  void read_together(const ast::LoopItem& loop);
  void read_optimiser(StepOptimiser& optimiser);
  std::vector<std::string> optimiser_names() const;
  void check_dependent_options(const StepOptimiser& optimiser, std::string_view called);
  void check_option_ranges(const std::string& name, double value, Span span);
  Value step_option(const std::string& name, const std::string& input, ast::ExprId expr, const Surroundings& around);
  Options options_of(size_t objective, const StepOptimiser& optimiser);
  std::optional<std::vector<size_t>> share_out(size_t objective, const std::vector<int32_t>& params);
  std::vector<Tensor> gradients_of(const Tensor& loss, const std::vector<int32_t>& params);
  std::vector<int32_t> trained_parameters(size_t objective, const Tensor& loss);
  Tensor update_number(size_t objective);
  Value slowed(size_t objective, const Value& rate, Span span);
  std::optional<Accumulation> accumulation(size_t objective);
  void accumulate(size_t objective, const Accumulation& accumulation, int32_t variable, Tensor& gradient);
  void update_parameter(size_t objective, const StepOptimiser& optimiser, int32_t variable, Tensor gradient,
                        bool decays, const Options& options, const Accumulation& accumulation);
  void run_optimiser(size_t objective, const StepOptimiser& optimiser, int32_t variable, Tensor gradient, bool decays,
                     const Options& options, const Value& update);
  void project(const StepOptimiser& optimiser, int32_t variable, const Axes& axes);
  void clip_gradients(std::vector<Tensor>& gradients, const Options& options, Span span);

  const FileScope& file_;
  const Library& library_;
  Experiment& experiment_;
  Scopes& scopes_;
  Shapes& shapes_;
  GraphWriter& graph_;
  Evaluator& evaluator_;
  Selectors& selectors_;
  Variables& variables_;
  Averages& averages_;
  Calls& calls_;
  Diagnostics& diagnostics_;
  std::vector<StepLine> lines_;                // by objective
  std::vector<std::vector<size_t>> together_;  // objectives
};

/// The nearest name, else how an objective is declared.
std::string help_for_objective(const std::string& name, const std::vector<std::string>& known);

}  // namespace frontend
}  // namespace smelt
