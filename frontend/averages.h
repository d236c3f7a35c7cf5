// Averages of nets, `ema G_avg = G decay 0.999`: a second set of parameters that follows the trained one.
#pragma once

#include <functional>
#include <map>
#include <string>
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
class FunctionBuilder;
class Layers;
class Evaluator;

class Averages {
 public:
  Averages(const FileScope& file, Experiment& experiment, Scopes& scopes, Shapes& shapes, GraphWriter& graph,
           FunctionBuilder& functions, Layers& layers, Evaluator& evaluator, Diagnostics& diagnostics)
      : file_(file),
        experiment_(experiment),
        scopes_(scopes),
        shapes_(shapes),
        graph_(graph),
        functions_(functions),
        layers_(layers),
        evaluator_(evaluator),
        diagnostics_(diagnostics) {}

  /// Reads the lines of the train sections. Names of the file are declared.
  void read();
  /// Makes the variables. All parameters are known.
  void declare_variables();
  /// The net of an average, applied with its own parameters.
  Value value(const ast::EmaItem& item);
  /// Whether a step writes this variable whatever the objective updates.
  bool contains(int32_t variable) const;
  /// Lets the averages of a parameter follow its new value, in the function at hand; `update` counts updates from 1.
  void follow(int32_t parameter, const Value& update);
  /// Warns of nets that no step line trains. `runs`: whether an objective has one. Updates of objectives are known.
  void check_trained(const std::function<bool(size_t objective)>& runs);

 private:
  struct Average {
    const ast::EmaItem* item = nullptr;   // the first line that declares it
    const ast::EmaItem* moves = nullptr;  // the line of the train section at hand; null where that has none
    std::string model;
    std::map<int32_t, int32_t> variables;  // parameter -> its average
  };
  void read(const ast::EmaItem& ema, bool moves);
  Value decay_of(const Average& average);

  const FileScope& file_;
  Experiment& experiment_;
  Scopes& scopes_;
  Shapes& shapes_;
  GraphWriter& graph_;
  FunctionBuilder& functions_;
  Layers& layers_;
  Evaluator& evaluator_;
  Diagnostics& diagnostics_;
  std::vector<Average> averages_;  // fixed once read: values of the language point at `variables`
};

}  // namespace frontend
}  // namespace smelt
