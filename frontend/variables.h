// Variables: parameters, states, optimiser slots and constants, with their start values in the init graph.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>

#include "frontend/graph_writer.h"

namespace smelt {

struct Experiment;
class Diagnostics;

namespace frontend {

struct FileScope;
class Scopes;
class Shapes;
class GraphWriter;
class Distributions;
class FunctionBuilder;
class Evaluator;

class Variables {
 public:
  Variables(const FileScope& file, Experiment& experiment, Scopes& scopes, Shapes& shapes, GraphWriter& graph,
            Distributions& distributions, FunctionBuilder& functions, Evaluator& evaluator, Diagnostics& diagnostics)
      : file_(file),
        experiment_(experiment),
        scopes_(scopes),
        shapes_(shapes),
        graph_(graph),
        distributions_(distributions),
        functions_(functions),
        evaluator_(evaluator),
        diagnostics_(diagnostics) {}

  int32_t find_variable(const std::string& path) const;
  const FunctionContext& start_values() const;
  /// The variable at `path`: made with its start value the first time, checked to have the same type later.
  std::optional<int32_t> declare_variable(VariableKind kind, const std::string& path, const Tensor& type,
                                          ast::ExprId init, bool random, Span span);

 private:
  std::optional<int32_t> declared_again(int32_t known, const TensorType& type);
  void report_half(const std::string& path, VariableKind kind, DType dtype, Span span);
  Value initial_value(const std::string& path, const Tensor& type, ast::ExprId init, bool random, Span span);

  const FileScope& file_;
  Experiment& experiment_;
  Scopes& scopes_;
  Shapes& shapes_;
  GraphWriter& graph_;
  Distributions& distributions_;
  FunctionBuilder& functions_;
  Evaluator& evaluator_;
  Diagnostics& diagnostics_;
  std::unordered_map<std::string, int32_t> ids_;  // by path
};

}  // namespace frontend
}  // namespace smelt
